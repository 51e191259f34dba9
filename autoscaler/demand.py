"""Demand, from the sources to the leaves: what would arrive at each node if no node were too slow.

The rate at which a node is handed messages is bounded by the slowest node before it, so sizing every node by what it
gets would find the right size one node after another. What a node *would* get is the demand of its sources times the
messages that they send for each one handled, which can be measured at any throughput. Flows may have cycles: each
strongly connected component is a small linear system, which has a bounded solution exactly if its gain is below one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Solved:
    """`rates` by node; `order` are the nodes, each after those that lead to it, as far as cycles allow; `loops` are
    those of gain one or more, at which rates are only what comes from outside."""

    rates: Mapping[str, float]
    order: tuple[str, ...]
    loops: tuple[frozenset[str], ...] = ()


class System:
    """A graph with its gains: d(n) = ingest(n) + sum over edges (s, n) of d(s) * gain(s, n), for whatever comes in."""

    def __init__(
        self,
        nodes: Sequence[str],
        gains: Mapping[tuple[str, str], float],
        cycles: Sequence[frozenset[str]] = (),
    ) -> None:
        self._gains = gains
        self.incoming: dict[str, list[tuple[str, float]]] = {node: [] for node in nodes}
        for (source, target), gain in gains.items():
            self.incoming[target].append((source, gain))
        self._parts = _in_order(nodes, self.incoming, cycles)

    def solve(self, ingest: Mapping[str, float]) -> Solved:
        """A loop whose gain is one or more has no solution: its nodes keep what comes from outside of it, and it is
        told in `loops`."""
        rates: dict[str, float] = {}
        loops: list[frozenset[str]] = []
        for part in self._parts:
            outside = {
                node: ingest.get(node, 0.0)
                + sum(rates[source] * gain for source, gain in self.incoming[node] if source not in part)
                for node in part
            }
            inside: dict[str, float] | None = outside
            if any(source in part for node in part for source, _ in self.incoming[node]):
                inside = _within(part, self._gains, outside)
                if inside is None:
                    loops.append(part)
            rates |= outside if inside is None else inside
        return Solved(rates, tuple(rates), tuple(loops))


def _in_order(
    nodes: Sequence[str], incoming: Mapping[str, Sequence[tuple[str, float]]], cycles: Sequence[frozenset[str]]
) -> list[frozenset[str]]:
    """The components, each after all that lead to it."""
    component = {node: frozenset((node,)) for node in nodes}
    component |= {node: cycle for cycle in cycles for node in cycle}
    missing = dict.fromkeys(component.values(), 0)
    below: dict[frozenset[str], list[frozenset[str]]] = {part: [] for part in missing}
    for target, sources in incoming.items():
        for source, _ in sources:
            if component[source] is not component[target]:
                missing[component[target]] += 1
                below[component[source]].append(component[target])
    ready = [part for part, count in missing.items() if not count]
    for part in ready:
        for following in below[part]:
            missing[following] -= 1
            if not missing[following]:
                ready.append(following)
    if len(ready) < len(missing):
        raise ValueError("a cycle of the graph is not among the cycles that were given")
    return ready


def _within(
    component: frozenset[str], gains: Mapping[tuple[str, str], float], outside: Mapping[str, float]
) -> dict[str, float] | None:
    """(I - G^T) d = outside by elimination; None if a pivot is not positive.

    For a matrix of gains (none negative) all pivots are positive exactly if its spectral radius is below one (an
    M-matrix; Berman and Plemmons, Nonnegative Matrices in the Mathematical Sciences, chapter 6).
    """
    names = sorted(component)
    rows = [
        [(1.0 if row == column else 0.0) - gains.get((column, row), 0.0) for column in names] + [outside[row]]
        for row in names
    ]
    for at, pivot_row in enumerate(rows):
        pivot = pivot_row[at]
        if pivot <= 1e-9:
            return None
        for below in rows[at + 1 :]:
            factor = below[at] / pivot
            if factor:
                below[at:] = [value - factor * above for value, above in zip(below[at:], pivot_row[at:], strict=True)]
    solution: dict[str, float] = {}
    for at in range(len(names) - 1, -1, -1):
        row = rows[at]
        known = sum(row[column] * solution[names[column]] for column in range(at + 1, len(names)))
        solution[names[at]] = (row[-1] - known) / row[at]
    return solution
