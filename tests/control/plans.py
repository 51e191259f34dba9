"""Plans written as arrows, for tests of the controller that need no descriptor."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from streamer.descriptor.flow import parse_flow
from streamer.plan.assignment import Code, Role
from streamer.plan.compile import Plan, PlannedNode, wired
from streamer.plan.versions import flow_version


def plan(
    *edges: tuple[str, str],
    roles: Mapping[str, Role] | None = None,
    replicas: Mapping[str, int] | None = None,
    alone: tuple[str, ...] = (),
    partitioned: Mapping[str, str] | None = None,
) -> Plan:
    """Nodes are named by the edges, and by `alone` where none names them; a node without a role is stateless.

    `partitioned` nodes, with the path of their keys, have one to five replicas.
    """
    names = tuple(dict.fromkeys([*(name for edge in edges for name in edge), *alone]))
    nodes = {}
    for name in names:
        count, path = (replicas or {}).get(name, 1), (partitioned or {}).get(name, "")
        nodes[name] = PlannedNode(
            name=name,
            role=(roles or {}).get(name, Role.STATELESS),
            replicas=count,
            min_replicas=1 if path else count,
            max_replicas=5 if path else None,
            inputs=(),
            outputs=(),
            code=None,
            connector=None,
            concurrency=1,
            args={},
            partition_by=path,
        )
    flows = {"main": parse_flow(" | ".join(f"{source} >> {target}" for source, target in edges))} if edges else {}
    return wired("words", nodes, (flow_version(flows, "main", 1),))


def coded(plan: Plan, *nodes: str, path: str = "/new.py") -> Plan:
    """The plan in which these nodes have other code."""
    code = Code("new", path)
    return dataclasses.replace(
        plan, nodes={n: dataclasses.replace(one, code=code) if n in nodes else one for n, one in plan.nodes.items()}
    )


def joined(plan: Plan, flows: Mapping[str, str], default: str) -> Plan:
    """The plan as a descriptor with these flows would give it."""
    parsed = {name: parse_flow(text) for name, text in flows.items()}
    return wired(plan.pipeline, plan.nodes, (flow_version(parsed, default, 1),))


LINE = plan(
    ("lines", "parse"),
    ("parse", "save"),
    roles={"lines": Role.SOURCE, "save": Role.SINK},
    replicas={"parse": 2},
)

KEYED = plan(
    ("lines", "count"),
    ("count", "save"),
    roles={"lines": Role.SOURCE, "count": Role.STATEFUL, "save": Role.SINK},
    replicas={"count": 2},
    partitioned={"count": "word"},
)

CYCLE = plan(
    ("lines", "first"),
    ("first", "second"),
    ("second", "first"),
    ("second", "save"),
    roles={"lines": Role.SOURCE, "first": Role.STATEFUL, "save": Role.SINK},
    replicas={"second": 2},
)
