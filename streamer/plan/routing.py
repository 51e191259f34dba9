"""Routes: where in which flow a message stands, as one small integer.

A flow is positional: in `B >> C >> D >> B >> A` the two visits of B are different positions, so that the expression
means what it says. A position is (flow, node, occurrence), where expressions of one flow share a node's position unless
the node occurs twice in one expression. All positions of all flows of a job stand in one table, and a message carries
its index: the position that its receiver is to handle.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamer import limits
from streamer.errors import DescriptorError

if TYPE_CHECKING:
    # Instances import this module, and a flow only exists where plans are made.
    from streamer.descriptor.flow import Flow, Visit


@dataclass(frozen=True, slots=True)
class Route:
    """One position: the `occurrence`-th (from 0) visit of `node` in `flow`; `next` are indices into the table."""

    flow: str
    node: str
    occurrence: int
    next: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RouteTable:
    """All positions of all flows, in a fixed order; `default_flow` is '' where no flow exists."""

    routes: tuple[Route, ...]
    default_flow: str

    def entry(self, node: str, flow: str) -> int | None:
        """Index of the first occurrence of `node` in `flow`; None if the flow does not contain the node."""
        for index, route in enumerate(self.routes):
            if route.flow == flow and route.node == node and route.occurrence == 0:
                return index
        return None

    def flows(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(route.flow for route in self.routes))

    def flows_of(self, node: str) -> tuple[str, ...]:
        """Names of the flows in which `node` can send: it occurs there and is not only their end."""
        return tuple(dict.fromkeys(r.flow for r in self.routes if r.node == node and r.next))


def compile_routes(flows: Mapping[str, Flow], default: str) -> RouteTable:
    """The table of all flows, in the order of their texts.

    Groups join as a full product: each position of a group leads to every position of the next one. Raises
    DescriptorError if there are more positions than a message can number.
    """
    positions: dict[tuple[str, Visit], int] = {}
    for name, flow in flows.items():
        for visit in flow.visits():
            positions[name, visit] = len(positions)
    if len(positions) > limits.ROUTES_MAX:
        raise DescriptorError(f"the flows have {len(positions)} positions, more than {limits.ROUTES_MAX}")
    # Two expressions may share a hop of positions, so each is kept once.
    following: list[dict[int, None]] = [{} for _ in positions]
    for name, flow in flows.items():
        for source, target in flow.hops():
            following[positions[name, source]][positions[name, target]] = None
    routes = tuple(
        Route(name, visit.node, visit.occurrence, tuple(following[index])) for (name, visit), index in positions.items()
    )
    return RouteTable(routes, default)
