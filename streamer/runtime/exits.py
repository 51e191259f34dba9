"""Where messages of an instance can go: its node's positions in each version of the flows that is alive.

A message goes on in the version in which its root began, however often the flows have changed since; only what begins
here takes the version in force. All of that is one value that is replaced whole when the wiring changes, so that a
handler at work sees the tables of before or those of after. A table stays known while something of its version is
held, whatever the wiring says.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass
from enum import Enum

from streamer.errors import FlowError
from streamer.plan.assignment import Wiring
from streamer.plan.routing import Route, RouteTable, part_of, part_of_version
from streamer.protocol.history import Taken
from streamer.protocol.segment import Segment


class Fate(Enum):
    """What is to be done with a message, by its version. `early`: word of it is on its way. `late`: it is over."""

    KNOWN = "known"
    EARLY = "early"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class _Known:
    """`here` are the positions of this node, `entries` its first ones by part of the numbers and flow."""

    wiring: Wiring
    tables: Mapping[int, RouteTable]
    places: Mapping[int, Route]
    here: frozenset[int]
    entries: Mapping[tuple[int, str], int]
    current: RouteTable
    next_part: int
    canary: RouteTable | None
    taking: Taken


@dataclass(frozen=True, slots=True)
class Detour:
    """While there is a canary: of the roots of a position, so many `parts` leave from the position `route` instead."""

    route: int
    parts: int


class Exits:
    """Of one node. Any thread may ask; who replaces the wiring holds the instance's lock."""

    def __init__(self, node: str, wiring: Wiring) -> None:
        self.node = node
        self._known = _known(node, wiring, wiring.tables)

    def take(self, wiring: Wiring, held: Set[int]) -> bool:
        """Know this wiring from now on, and the versions `held`. False if a held version is in a new one's way."""
        tables = {table.version: table for table in wiring.tables}
        kept = [table for table in self._known.tables.values() if table.version in held - tables.keys()]
        parts = {table.part for table in wiring.tables}
        if any(table.part in parts for table in kept):
            return False
        self._known = _known(self.node, wiring, (*kept, *wiring.tables))
        return True

    @property
    def wiring(self) -> Wiring:
        return self._known.wiring

    @property
    def table(self) -> RouteTable:
        """Of the version in force."""
        return self._known.current

    @property
    def version(self) -> int:
        """The version in force, which roots take."""
        return self._known.current.version

    @property
    def taking(self) -> Taken:
        """The version in force, and the canary with its share of the roots."""
        return self._known.taking

    @property
    def versions(self) -> Collection[int]:
        """All of which something may be here."""
        return [table.version for table in self._known.tables.values()]

    # -- of a position -------------------------------------------------------------------------------------------------

    def place(self, route: int) -> Route:
        return self._known.places[route]

    def flow_of(self, route: int) -> str:
        """The name of its flow; '' if its version is not known any more."""
        place = self._known.places.get(route)
        return "" if place is None else place.flow

    def position(self, route: int) -> tuple[str, int, int]:
        """Flow, occurrence and version; ('', 0, 0) if its version is not known any more."""
        place = self._known.places.get(route)
        return ("", 0, 0) if place is None else (place.flow, place.occurrence, self.version_of(route))

    def at(self, flow: str, occurrence: int, version: int | None) -> int | None:
        """The position of this node at a place of `flow`, in this version, or (None) in the one in force.

        There it may be the first place, if the flow does not come here so often. None if it is not known.
        """
        known = self._known
        table = known.current if version is None else known.tables.get(part_of_version(version))
        if table is None or (version is not None and table.version != version):
            return None
        here = {place.occurrence: n for n, place in table.numbered() if (place.flow, place.node) == (flow, self.node)}
        return here.get(occurrence, None if version is not None else here.get(0))

    def version_of(self, route: int) -> int:
        return self._known.tables[part_of(route)].version

    def hops(self) -> Iterable[tuple[int, Route]]:
        """The positions of this node, by number."""
        known = self._known
        return [(number, known.places[number]) for number in sorted(known.here)]

    def know(self, segments: Iterable[Segment]) -> bool:
        """Whether all of these messages can be handled here."""
        here = self._known.here
        return all(segment.route in here for segment in segments)

    def fate(self, route: int) -> Fate:
        known = self._known
        if route in known.here:
            return Fate.KNOWN
        return Fate.EARLY if part_of(route) == known.next_part and part_of(route) not in known.tables else Fate.LATE

    # -- where messages go ---------------------------------------------------------------------------------------------

    def unnamed(self, route: int | None) -> int:
        """The sender's position of a message without a flow name. `route`: of the message in hand. Raises FlowError."""
        known = self._known
        if route is None:
            return self.named(known.current.default_flow, None)
        if not known.places[route].next:
            raise self._error(f"flow {known.places[route].flow!r} ends at node {self.node!r}", route)
        return route

    def named(self, flow: str, route: int | None) -> int:
        """The sender's position in `flow`, in the version of the message in hand: its own flow is continued, another
        entered. Raises FlowError."""
        known = self._known
        if route is not None and known.places[route].flow == flow and known.places[route].next:
            return route
        entry = known.entries.get((known.current.part if route is None else part_of(route), flow))
        if entry is None or not known.places[entry].next:
            there = flow in self._table(route).flows()
            problem = (
                f"flow {flow!r} does not continue at node {self.node!r}" if there else f"no flow is named {flow!r}"
            )
            raise self._error(problem, route)
        return entry

    def of_source(self, version: int | None = None) -> int | None:
        """Where records of a connector go: the default flow, or the first flow that continues at this node.

        In the version in force, or in this one: None too if it is not known any more.
        """
        known = self._known
        table = known.current if version is None else known.tables.get(part_of_version(version))
        if table is None or (version is not None and table.version != version):
            return None
        flows = table.flows_of(self.node)
        if not flows:
            return None
        return known.entries[table.part, table.default_flow if table.default_flow in flows else flows[0]]

    def detour(self, flow: str | None) -> Detour | None:
        """Where the canary's share of the roots into this flow (None: the default one) goes.

        None if there is no canary, and where the flow does not continue here in its version: there all roots take the
        one in force.
        """
        known = self._known
        canary = known.canary
        if canary is None:
            return None
        route = known.entries.get((canary.part, canary.default_flow if flow is None else flow))
        if route is None or not known.places[route].next:
            return None
        return Detour(route, known.taking.parts)

    def continues(self, route: int) -> bool:
        """Whether the flow goes on after this position; what is not known ends."""
        place = self._known.places.get(route)
        return place is not None and bool(place.next)

    def _table(self, route: int | None) -> RouteTable:
        return self._known.current if route is None else self._known.tables[part_of(route)]

    def _error(self, problem: str, route: int | None) -> FlowError:
        """It names the flows that could be named in its text, which is all that a log or a dead letter shows of it."""
        flows = self._table(route).flows_of(self.node)
        if flows:
            return FlowError(f"{problem}; flows that continue here: {', '.join(flows)}", remedy="Name one of them.")
        return FlowError(
            f"{problem}; no flow continues at node {self.node!r}", remedy="Return nothing and send nothing here."
        )


def _known(node: str, wiring: Wiring, tables: Iterable[RouteTable]) -> _Known:
    by_part = {table.part: table for table in tables}
    places = {number: route for table in by_part.values() for number, route in table.numbered()}
    here = {number: route for number, route in places.items() if route.node == node}
    canary = wiring.canary if wiring.canary is not None and wiring.canary.parts else None
    return _Known(
        wiring=wiring,
        tables=by_part,
        places=places,
        here=frozenset(here),
        entries={(part_of(number), route.flow): number for number, route in here.items() if not route.occurrence},
        current=by_part[part_of_version(wiring.current)],
        next_part=part_of_version(1 + max(table.version for table in wiring.tables)),
        canary=None if canary is None else by_part[part_of_version(canary.version)],
        taking=Taken(wiring.current) if canary is None else Taken(wiring.current, canary.version, canary.parts),
    )
