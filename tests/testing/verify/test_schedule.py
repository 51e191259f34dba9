"""The faults of a seed: the same each time, of all kinds, and only such as a shape has somebody for."""

from __future__ import annotations

from collections import Counter

import pytest

from streamer.limits import SESSION_TIMEOUT_S
from streamer.testing.verify.schedule import Deck, Kind, Schedule, targets
from streamer.testing.verify.shapes import SHAPES, Shape

FAULTS = 8


def schedules(seed: int, jobs: int) -> list[tuple[Shape, Schedule]]:
    deck, shapes = Deck(seed), list(SHAPES.values())
    return [(shape, deck.schedule(shape, FAULTS)) for shape in (shapes[n % len(shapes)] for n in range(jobs))]


def test_a_seed_decides_everything() -> None:
    assert schedules(3, 20) == schedules(3, 20)
    assert schedules(3, 20) != schedules(4, 20)


def test_every_kind_comes_in_a_run_of_all_shapes() -> None:
    dealt = Counter(fault.kind for _, schedule in schedules(1, 20) for fault in schedule.faults)

    assert set(dealt) == set(Kind)


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_suffers_only_what_it_has_somebody_for(name: str) -> None:
    shape, deck = SHAPES[name], Deck(5)

    for fault in (fault for _ in range(30) for fault in deck.schedule(shape, FAULTS).faults):
        assert fault.node in targets(shape, fault.kind)


def test_nothing_comes_after_a_drain_and_faults_come_one_after_the_other() -> None:
    for _, schedule in schedules(2, 60):
        kinds = [fault.kind for fault in schedule.faults]
        moments = [fault.at_s for fault in schedule.faults]
        assert Kind.DRAIN not in kinds[:-1]
        assert moments == sorted(moments)


def test_a_long_pause_outlasts_the_sessions_and_no_drain_cuts_it_short() -> None:
    for _, schedule in schedules(2, 200):
        long = [fault for fault in schedule.faults if fault.kind is Kind.LONG_PAUSE]
        assert all(fault.length_s > SESSION_TIMEOUT_S for fault in long)
        if long and schedule.faults[-1].kind is Kind.DRAIN:
            assert schedule.faults[-1].at_s >= long[-1].at_s + long[-1].length_s


def test_some_sources_come_to_their_end_by_themselves() -> None:
    bounded = [schedule.counts for shape, schedule in schedules(2, 60) if shape.sources]

    assert 0 < sum(bool(counts) for counts in bounded) < len(bounded)
