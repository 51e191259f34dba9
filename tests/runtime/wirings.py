"""Wirings written as flows, for tests of instances whose flows change."""

from __future__ import annotations

from streamer.descriptor.flow import parse_flow
from streamer.plan.assignment import Canary, Role, Wiring
from streamer.plan.compile import PlannedNode, wired
from streamer.plan.versions import flow_version


def wiring(
    node: str, number: int, *flows: str, oldest: int = 1, current: int | None = None, parts: int | None = None
) -> Wiring:
    """What `node` knows of these versions of the flow `main`, the first of which has the number `oldest`.

    With `parts` the last one is a canary, and the one before is in force.
    """
    versions = [flow_version({"main": parse_flow(text)}, "main", oldest + at) for at, text in enumerate(flows)]
    names = dict.fromkeys(name for text in flows for name in parse_flow(text).nodes()) | {node: None}
    nodes = {name: PlannedNode(name, Role.STATELESS, 1, 1, None, (), (), None, None, 1, {}) for name in names}
    canary = None if parts is None else Canary(versions[-1].number, parts)
    plan = wired("words", nodes, versions, canary=canary)
    return plan.wiring(node, number, current or plan.current.number, canary)


def route_of(known: Wiring, version: int, node: str) -> int:
    """The number of the first position of a node in a version."""
    (table,) = [table for table in known.tables if table.version == version]
    return next(number for number, route in table.numbered() if route.node == node)
