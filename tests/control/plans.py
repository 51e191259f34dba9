"""Plans written as arrows, for tests of the controller that need no descriptor."""

from __future__ import annotations

from collections.abc import Mapping

from streamer.descriptor.flow import parse_flow
from streamer.plan.assignment import Role
from streamer.plan.compile import Plan, PlannedNode, flow_version, wired


def plan(
    *edges: tuple[str, str],
    roles: Mapping[str, Role] | None = None,
    replicas: Mapping[str, int] | None = None,
    alone: tuple[str, ...] = (),
) -> Plan:
    """Nodes are named by the edges, and by `alone` where none names them; a node without a role is stateless."""
    names = tuple(dict.fromkeys([*(name for edge in edges for name in edge), *alone]))
    nodes = {}
    for name in names:
        count = (replicas or {}).get(name, 1)
        nodes[name] = PlannedNode(
            name=name,
            role=(roles or {}).get(name, Role.STATELESS),
            replicas=count,
            min_replicas=count,
            max_replicas=None,
            inputs=(),
            outputs=(),
            code=None,
            connector=None,
            concurrency=1,
            args={},
        )
    flows = {"main": parse_flow(" | ".join(f"{source} >> {target}" for source, target in edges))} if edges else {}
    return wired("words", nodes, (flow_version(flows, "main", 1),))


LINE = plan(
    ("lines", "parse"),
    ("parse", "save"),
    roles={"lines": Role.SOURCE, "save": Role.SINK},
    replicas={"parse": 2},
)

CYCLE = plan(
    ("lines", "first"),
    ("first", "second"),
    ("second", "first"),
    ("second", "save"),
    roles={"lines": Role.SOURCE, "first": Role.STATEFUL, "save": Role.SINK},
    replicas={"second": 2},
)
