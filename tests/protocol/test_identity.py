"""Ids are the same for the same way, on any machine and in any life, and differ where the way differs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streamer.protocol.identity import ROOT_HASH, MessageId, chained, origin_of, step_of
from tests.protocol.messages import U64_MAX, u64


def test_ids_are_part_of_the_wire_format() -> None:
    # These numbers stand in dead letters and pages of other lives; a change of them is a change of format.
    assert origin_of("lines", "access.log", 0) == 0x35AC1565879FF716
    assert step_of("parse", "main", 0, 0) == 0x79793AF191A352A5
    assert chained(ROOT_HASH, step_of("parse", "main", 0, 0)) == 0x0BE6D1173AF4EE83


@given(u64, u64)
def test_a_hash_has_64_bits_and_depends_on_nothing_but_parent_and_step(parent: int, step: int) -> None:
    assert 0 <= chained(parent, step) <= U64_MAX
    assert chained(parent, step) == chained(parent, step)


@given(u64, st.lists(u64, min_size=2, max_size=20, unique=True))
def test_different_steps_from_one_parent_give_different_hashes(parent: int, steps: list[int]) -> None:
    assert len({chained(parent, step) for step in steps}) == len(steps)


def test_every_fact_of_a_step_counts() -> None:
    steps = [
        step_of(node, flow, occurrence, child)
        for node in ("a", "b", "a\0b")
        for flow in ("main", "alert")
        for occurrence in range(3)
        for child in range(10)
    ]
    assert len(set(steps)) == len(steps)


def test_a_new_generation_is_a_new_origin() -> None:
    origins = {origin_of(node, part, life) for node in ("a", "b") for part in ("x", "y") for life in range(3)}
    assert len(origins) == 12


def test_an_id_is_shown_as_origin_position_and_hash() -> None:
    assert str(MessageId(0xAB, 17, 0xCD)) == "00000000000000ab-17-00000000000000cd"
