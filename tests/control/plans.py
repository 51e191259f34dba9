"""Plans written as arrows, for tests of the controller that need no descriptor."""

from __future__ import annotations

from collections.abc import Mapping

from streamer.plan.assignment import Delivery, Input, Output, Role
from streamer.plan.compile import Plan, PlannedNode
from streamer.plan.routing import RouteTable


def plan(
    *edges: tuple[str, str],
    roles: Mapping[str, Role] | None = None,
    replicas: Mapping[str, int] | None = None,
    cycles: tuple[frozenset[str], ...] = (),
    alone: tuple[str, ...] = (),
) -> Plan:
    """Nodes are named by the edges, and by `alone` where none names them; a node without a role is stateless."""
    names = tuple(dict.fromkeys([*(name for edge in edges for name in edge), *alone]))

    def inside(source: str, target: str) -> bool:
        return any(source in cycle and target in cycle for cycle in cycles)

    nodes = {}
    for name in names:
        count = (replicas or {}).get(name, 1)
        nodes[name] = PlannedNode(
            name=name,
            role=(roles or {}).get(name, Role.STATELESS),
            replicas=count,
            min_replicas=count,
            max_replicas=None,
            inputs=tuple(Input(s, inside(s, t)) for s, t in edges if t == name),
            outputs=tuple(
                Output(t, inside(s, t), Delivery.AT_LEAST_ONCE, queue_bytes=1, hop_limit=64)
                for s, t in edges
                if s == name
            ),
            code=None,
            connector=None,
            concurrency=1,
            args={},
        )
    return Plan(pipeline="words", nodes=nodes, routes=RouteTable((), "main"), components=cycles)


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
    cycles=(frozenset({"first", "second"}),),
)
