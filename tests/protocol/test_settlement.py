"""A range set is a set of numbers, whatever the order in which they come."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from streamer.protocol.settlement import RangeSet, intervals

pairs = st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda p: (min(p), max(p)))
additions = st.lists(pairs, max_size=30)


def filled(added: list[tuple[int, int]], floor: int = 0) -> tuple[RangeSet, set[int]]:
    """The same additions to a range set and to a plain set."""
    ours, model = RangeSet(floor), set(range(floor))
    for start, end in added:
        ours.add(start, end)
        model |= set(range(start, end))
    return ours, model


@given(additions, st.integers(0, 20))
def test_it_holds_what_was_added_and_nothing_else(added: list[tuple[int, int]], floor: int) -> None:
    ours, model = filled(added, floor)
    assert {n for n in range(100) if n in ours} == model
    assert len(ours) == len(model)


@given(additions)
def test_it_is_kept_as_short_as_it_can_be(added: list[tuple[int, int]]) -> None:
    ours, _ = filled(added)
    bounds = [ours.floor, *ours.ranges]
    assert all(low < high for low, high in itertools.pairwise(bounds))
    assert len(ours.ranges) % 2 == 0


@given(additions, st.randoms(use_true_random=False))
def test_the_order_of_additions_does_not_matter(added: list[tuple[int, int]], chance: object) -> None:
    ours, _ = filled(added)
    shuffled = list(added)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    assert filled(shuffled)[0] == ours


@given(additions, pairs)
def test_what_is_missing_is_what_it_does_not_hold(added: list[tuple[int, int]], within: tuple[int, int]) -> None:
    ours, model = filled(added)
    gaps = list(ours.missing(*within))
    assert [n for low, high in gaps for n in range(low, high)] == [n for n in range(*within) if n not in model]


@given(additions)
def test_ranges_above_the_floor_and_the_floor_say_all(added: list[tuple[int, int]]) -> None:
    ours, model = filled(added)
    told = set(range(ours.floor)) | {n for low, high in ours.above() for n in range(low, high)}
    assert told == model


@given(additions, pairs)
def test_a_copy_goes_its_own_way(added: list[tuple[int, int]], more: tuple[int, int]) -> None:
    ours, model = filled(added)
    ours.copy().add(*more)
    assert {n for n in range(100) if n in ours} == model


@given(st.sets(st.integers(0, 50)))
def test_intervals_are_the_runs_of_ascending_numbers(numbers: set[int]) -> None:
    runs = list(intervals(sorted(numbers)))
    assert {n for low, high in runs for n in range(low, high)} == numbers
    assert all(high < low for (_, high), (low, _) in itertools.pairwise(runs))


@given(pairs)
def test_the_interval_of_a_run_is_its_ends(run: tuple[int, int]) -> None:
    assert list(intervals(range(*run))) == ([run] if run[0] < run[1] else [])


@given(st.lists(st.integers(0, 9), max_size=12).map(sorted))
def test_siblings_with_one_position_are_no_hole(numbers: list[int]) -> None:
    told = RangeSet()
    for low, high in intervals(numbers):
        told.add(low, high)
    assert {n for n in range(20) if n in told} == set(numbers)
