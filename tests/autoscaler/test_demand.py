"""Demand goes from the sources to the leaves, and around cycles whose gain is below one."""

from __future__ import annotations

from itertools import pairwise

import pytest

from autoscaler.demand import Solved, System


def solve(
    nodes: tuple[str, ...],
    gains: dict[tuple[str, str], float],
    ingest: dict[str, float],
    cycles: tuple[frozenset[str], ...] = (),
) -> Solved:
    return System(nodes, gains, cycles).solve(ingest)


def test_demand_is_that_of_the_sources_times_the_selectivities_on_the_way() -> None:
    solved = solve(
        ("a", "b", "c", "d"), {("a", "b"): 0.5, ("a", "c"): 2.0, ("b", "d"): 1.0, ("c", "d"): 0.1}, {"a": 100}
    )

    assert solved.rates == pytest.approx({"a": 100, "b": 50, "c": 200, "d": 70})
    assert solved.order[0] == "a"
    assert solved.order[-1] == "d"


def test_several_sources_add_up() -> None:
    solved = solve(("a", "b", "c"), {("a", "c"): 1.0, ("b", "c"): 1.0}, {"a": 30, "b": 12})

    assert solved.rates["c"] == 42


def test_a_cycle_of_half_its_messages_doubles_them() -> None:
    solved = solve(
        ("in", "a", "b", "out"),
        {("in", "a"): 1.0, ("a", "b"): 1.0, ("b", "a"): 0.5, ("b", "out"): 0.5},
        {"in": 100},
        (frozenset({"a", "b"}),),
    )

    assert solved.rates == pytest.approx({"in": 100, "a": 200, "b": 200, "out": 100})
    assert solved.loops == ()


@pytest.mark.parametrize("gain", [1.0, 1.5])
def test_a_cycle_that_makes_one_message_of_each_is_told_and_not_solved(gain: float) -> None:
    cycle = frozenset({"a"})

    solved = solve(("in", "a", "out"), {("in", "a"): 1.0, ("a", "a"): gain, ("a", "out"): 1.0}, {"in": 10}, (cycle,))

    assert solved.loops == (cycle,)
    assert solved.rates["a"] == 10


def test_a_chain_of_a_thousand_nodes_in_the_wrong_order_is_no_matter() -> None:
    names = [f"n{at}" for at in range(1000)]
    gains = dict.fromkeys(pairwise(names), 1.0)

    assert solve(tuple(reversed(names)), gains, {"n0": 7.0}).rates["n999"] == 7.0


def test_a_cycle_that_was_not_told_is_an_error() -> None:
    with pytest.raises(ValueError, match="not among the cycles"):
        solve(("a", "b"), {("a", "b"): 1.0, ("b", "a"): 0.1}, {"a": 1})
