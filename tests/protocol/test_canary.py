"""A canary's share of the roots: a function of their ids, even, and the smaller within the larger one."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from streamer.limits import CANARY_PARTS
from streamer.protocol.canary import runs, takes_canary

origins = st.integers(0, 2**64 - 1)
shares = st.integers(0, CANARY_PARTS)
grains = st.sampled_from([1, 2, 16])


@given(origins, st.sampled_from([1, 5, 10, 50, 99]), st.integers(0, 10**12))
def test_a_share_is_a_share_of_any_hundred_that_follow_each_other(origin: int, percent: int, first: int) -> None:
    taken = sum(takes_canary(origin, first + n, 100 * percent, 1) for n in range(100))
    assert abs(taken - percent) <= 2


@given(origins, st.integers(0, 10**12), grains)
def test_nobody_is_in_no_share_and_everybody_in_the_whole(origin: int, position: int, grain: int) -> None:
    assert not takes_canary(origin, position, 0, grain)
    assert takes_canary(origin, position, CANARY_PARTS, grain)


@given(origins, st.integers(0, 10**12), shares, shares, grains)
def test_who_is_in_a_share_is_in_each_larger_one(origin: int, position: int, one: int, other: int, grain: int) -> None:
    small, large = sorted((one, other))
    assert takes_canary(origin, position, small, grain) <= takes_canary(origin, position, large, grain)


@given(origins, st.sets(st.integers(0, 300)), shares, grains)
def test_runs_say_of_each_position_what_its_id_says_and_are_as_long_as_can_be(
    origin: int, chosen: set[int], parts: int, grain: int
) -> None:
    positions = sorted(chosen)

    found = list(runs(origin, positions, parts, grain))

    assert [at for _, first, end in found for at in range(first, end)] == list(range(len(positions)))
    assert [takes for takes, first, end in found for _ in range(first, end)] == [
        takes_canary(origin, position, parts, grain) for position in positions
    ]
    assert all(one[0] is not other[0] for one, other in pairwise(found))


def test_neighbours_of_a_run_go_together() -> None:
    lengths = [end - first for takes, first, end in runs(1 << 63, range(1_600), 1_000, 16) if takes]
    assert lengths == [16] * 10
