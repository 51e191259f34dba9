"""The language of flows: `sort >> A & B | A >> save`.

`&` groups nodes, `>>` joins groups as a full product, `|` separates expressions; spaces do not count, and a node may
occur again, which makes a cycle. A flow keeps its expressions as they were written instead of a set of edges, because
it is positional: the second B of `B >> C >> D >> B >> A` leads elsewhere than the first (`plan.routing` makes positions
of it). Writing a flow gives text that reads as the same flow.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from streamer import limits
from streamer.descriptor.finding import quote, suggestion
from streamer.errors import FlowSyntaxError

_NAME = re.compile(r"[-:_.A-Za-z0-9]+")


class Visit(NamedTuple):
    """The `occurrence`-th time (from 0) that an expression comes to `node`."""

    node: str
    occurrence: int


@dataclass(frozen=True, slots=True)
class Expression:
    """`A & B >> C` is the groups (A, B) and (C)."""

    groups: tuple[tuple[str, ...], ...]

    def __str__(self) -> str:
        return " >> ".join(" & ".join(group) for group in self.groups)

    def visits(self) -> tuple[tuple[Visit, ...], ...]:
        """The groups, with each node's occurrence in this expression."""
        seen: dict[str, int] = {}
        groups = []
        for group in self.groups:
            visits = tuple(Visit(node, seen.get(node, 0)) for node in group)
            seen.update({node: occurrence + 1 for node, occurrence in visits})
            groups.append(visits)
        return tuple(groups)

    def hops(self) -> Iterator[tuple[Visit, Visit]]:
        visits = self.visits()
        for left, right in pairwise(visits):
            for source in left:
                for target in right:
                    yield source, target


@dataclass(frozen=True, slots=True)
class Flow:
    """One flow of a pipeline."""

    expressions: tuple[Expression, ...]

    def __str__(self) -> str:
        return " | ".join(str(expression) for expression in self.expressions)

    def visits(self) -> tuple[Visit, ...]:
        """Every position of the flow once, in the order of the text."""
        return tuple(
            dict.fromkeys(visit for expression in self.expressions for group in expression.visits() for visit in group)
        )

    def hops(self) -> Iterator[tuple[Visit, Visit]]:
        for expression in self.expressions:
            yield from expression.hops()

    def edges(self) -> tuple[tuple[str, str], ...]:
        """Pairs of nodes, each once, in the order of the text."""
        return tuple(dict.fromkeys((source.node, target.node) for source, target in self.hops()))

    def nodes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(visit.node for visit in self.visits()))


@dataclass(frozen=True, slots=True)
class FlowProblem:
    """What is wrong with a flow's text."""

    message: str
    remedy: str


def parse_flow(text: str, name: str = "main") -> Flow:
    """Raises FlowSyntaxError that names every problem."""
    flow, problems = read_flow(text, name)
    if flow is None:
        raise FlowSyntaxError("; ".join(problem.message for problem in problems), remedy=problems[0].remedy)
    return flow


def read_flow(
    text: str, name: str, known: Collection[str] | None = None
) -> tuple[Flow | None, tuple[FlowProblem, ...]]:
    """The flow, or None and what is wrong with it. With `known` nodes, others are problems too."""
    reader = _Reader(name, known)
    expressions = tuple(reader.expression(part) for part in "".join(text.split()).split("|"))
    if not reader.problems:
        reader.relations(expressions)
    if reader.problems:
        return None, tuple(reader.problems[: limits.FINDINGS_ALIKE_MAX])
    return Flow(expressions), ()


class _Reader:
    def __init__(self, name: str, known: Collection[str] | None) -> None:
        self.problems: list[FlowProblem] = []
        self._flow = quote(name)
        self._known = known
        self._refused: set[str] = set()

    def expression(self, text: str) -> Expression:
        parts = text.split(">>")
        if not text:
            self._add(f"invalid stream flow {self._flow}: an expression is empty")
        elif len(parts) == 1:
            self._add(f"stream flow {self._flow} should have valid flow, example: A >> B; {quote(text)} has no >>")
        else:
            return Expression(tuple(self._group(parts, at) for at in range(len(parts))))
        return Expression(())

    def _group(self, parts: list[str], at: int) -> tuple[str, ...]:
        names = parts[at].split("&")
        if names == [""]:
            if at == 0:
                self._add(f"invalid node name before {quote('>> ' + parts[1])} in flow {self._flow}")
            elif parts[at - 1]:
                self._add(f"invalid node name after {quote(parts[at - 1])} in flow {self._flow}")
            return ()
        for name in names:
            self._name(name, parts[at])
        twice, count = Counter(names).most_common(1)[0]
        if twice and count > 1:
            self._add(
                f"node {quote(twice)} stands twice in the group {quote(parts[at])} of flow {self._flow}",
                "Name each node of a group once.",
            )
        return tuple(names)

    def _name(self, name: str, group: str) -> None:
        if not name:
            self._add(f"a node name is missing in {quote(group)} in flow {self._flow}")
        elif name in self._refused or len(self.problems) >= limits.FINDINGS_ALIKE_MAX:
            return
        elif not _NAME.fullmatch(name):
            self._refused.add(name)
            self._add(f"invalid node name {quote(name)} in flow {self._flow}")
        elif self._known is not None and name not in self._known:
            self._refused.add(name)
            self._add(
                f"invalid node {quote(name)} in stream flow {self._flow}", suggestion(name, self._known, what="nodes")
            )

    def relations(self, expressions: tuple[Expression, ...]) -> None:
        """No edge twice, and none from a node to itself: both would be meant otherwise."""
        count = len({name for expression in expressions for group in expression.groups for name in group})
        if count > limits.NODES_MAX:
            self._add(f"flow {self._flow} names {count} nodes", f"A pipeline has at most {limits.NODES_MAX} nodes.")
            return
        seen: set[tuple[str, str]] = set()
        for expression in expressions:
            for source, target in expression.hops():
                edge = (source.node, target.node)
                arrow = f"{edge[0]} >> {edge[1]}"
                if edge[0] == edge[1]:
                    self._add(
                        f"invalid relation found {quote(arrow)} in flow {self._flow}",
                        "A node cannot follow itself; a cycle needs another node between.",
                    )
                elif edge in seen:
                    self._add(
                        f"duplicate relation found {quote(arrow)} in flow {self._flow}",
                        "Write each edge of a flow once.",
                    )
                seen.add(edge)
                if len(self.problems) >= limits.FINDINGS_ALIKE_MAX:
                    return

    def _add(self, message: str, remedy: str = FlowSyntaxError.remedy) -> None:
        self.problems.append(FlowProblem(message, remedy))
