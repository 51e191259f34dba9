"""Routes: where in which flow a message stands, as one small integer.

A flow is positional: in `B >> C >> D >> B >> A` the two visits of B are different positions, so that the expression
means what it says. A position is (flow, node, occurrence), where expressions of one flow share a node's position unless
the node occurs twice in one expression. All positions of all flows stand in one table, and a message carries the number
of the one that its receiver is to handle.

Flows change while a job runs, and a message keeps the version in which it began. So each version has a part of its own
of these numbers: whoever has a message's route knows its version, children inherit it, and nothing more travels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamer import limits
from streamer.errors import DescriptorError

if TYPE_CHECKING:
    # Instances import this module, and a flow only exists where plans are made.
    from streamer.descriptor.flow import Flow, Visit


@dataclass(frozen=True, slots=True)
class Route:
    """One position: the `occurrence`-th (from 0) visit of `node` in `flow`; `next` are numbers of routes."""

    flow: str
    node: str
    occurrence: int
    next: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RouteTable:
    """All positions of all flows of one version, in a fixed order; `default_flow` is '' where no flow exists."""

    routes: tuple[Route, ...]
    default_flow: str
    version: int = 1

    @property
    def part(self) -> int:
        """Which part of the numbers of routes is this version's."""
        return part_of_version(self.version)

    def numbered(self) -> Iterator[tuple[int, Route]]:
        """The routes with the numbers that messages carry."""
        return enumerate(self.routes, self.part * limits.ROUTES_MAX)

    def entry(self, node: str, flow: str) -> int | None:
        """Number of the first occurrence of `node` in `flow`; None if the flow does not contain the node."""
        for number, route in self.numbered():
            if route.flow == flow and route.node == node and route.occurrence == 0:
                return number
        return None

    def flows(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(route.flow for route in self.routes))

    def flows_of(self, node: str) -> tuple[str, ...]:
        """Names of the flows in which `node` can send: it occurs there and is not only their end."""
        return tuple(dict.fromkeys(r.flow for r in self.routes if r.node == node and r.next))


def part_of(route: int) -> int:
    """The part of the numbers of routes that this one lies in."""
    return route // limits.ROUTES_MAX


def part_of_version(version: int) -> int:
    """Versions count from 1. A later one has the same part again, when nothing of the earlier one is left."""
    return (version - 1) % limits.FLOW_VERSIONS_MAX


def compile_routes(flows: Mapping[str, Flow], default: str, version: int = 1) -> RouteTable:
    """The table of all flows, in the order of their texts.

    Groups join as a full product: each position of a group leads to every position of the next one. Raises
    DescriptorError if there are more positions than a message can number.
    """
    first = part_of_version(version) * limits.ROUTES_MAX
    positions: dict[tuple[str, Visit], int] = {}
    for name, flow in flows.items():
        for visit in flow.visits():
            positions[name, visit] = first + len(positions)
    if len(positions) > limits.ROUTES_MAX:
        raise DescriptorError(f"the flows have {len(positions)} positions, more than {limits.ROUTES_MAX}")
    # Two expressions may share a hop of positions, so each is kept once.
    following: dict[int, dict[int, None]] = {number: {} for number in positions.values()}
    for name, flow in flows.items():
        for source, target in flow.hops():
            following[positions[name, source]][positions[name, target]] = None
    routes = tuple(
        Route(name, visit.node, visit.occurrence, tuple(following[number]))
        for (name, visit), number in positions.items()
    )
    return RouteTable(routes, default, version)
