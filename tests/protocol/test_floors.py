"""Floors say what origins have settled: they only grow, and are passed on when one of them has."""

from __future__ import annotations

from streamer.limits import FLOORS_MAX
from streamer.protocol.floors import Floors, decode_floors, encode_floors


def test_what_is_heard_is_passed_on_once_with_all_that_is_known() -> None:
    floors = Floors()
    floors.hear({7: 10})
    assert floors.take() == {7: 10}
    assert floors.take() == {}

    floors.hear({8: 1})
    assert floors.take() == {7: 10, 8: 1}


def test_an_older_floor_is_no_news() -> None:
    floors = Floors()
    floors.hear({7: 10})
    floors.take()

    floors.hear({7: 9})

    assert floors.take() == {}
    assert floors.known == {7: 10}


def test_the_origins_that_were_heard_of_first_are_forgotten() -> None:
    floors = Floors()
    floors.hear(dict.fromkeys(range(FLOORS_MAX + 2), 1))
    assert min(floors.known) == 2
    assert len(floors.known) == FLOORS_MAX


def test_floors_travel_in_a_frame() -> None:
    assert decode_floors(encode_floors({2**64 - 1: 3, 0: 2**64 - 1})) == {2**64 - 1: 3, 0: 2**64 - 1}
