"""What tells two plans of a pipeline apart, and whether a job that goes on can become the other one.

An instance can be replaced by its next life with other code, arguments and ways with failures, and nobody beside it
has to know; replicas and flows have their own ways to change. All else would have to change at several instances in the
same moment (who shares a key, what an edge promises), or has left things behind that the new one does not know
(positions of a source, files of a sink, logs): that is refused, and every such difference is named, so that a person
sees at once what it would take. Whatever a node is given one day is refused until it is said here how it changes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from streamer.plan.assignment import Code, Connector, Role
from streamer.plan.compile import Plan, PlannedNode, wired

RENEWED = frozenset({"code", "args", "concurrency", "on_error", "ttl_s", "needs"})
"""Fields of a node that its instances learn at their start."""
COUNTED = frozenset({"replicas", "min_replicas", "max_replicas"})
JOINED = frozenset({"inputs", "outputs"})
"""What follows from the flows, as do some of the arguments."""
FIXED: Mapping[str, str] = {
    "name": "nodeName",
    "role": "kind",
    "connector": "spec",
    "gateway": "spec",
    "policy": "",
    "durability": "durability",
    "partition_by": "partitionBy",
}
"""Fields that stay as they are while a job lives, and what a descriptor calls them."""

_TAKES_IN = (Role.SOURCE, Role.GATEWAY)
"""What they have taken from outside and not sent yet would be lost with their process, so it is not replaced."""
_OF_FLOWS = frozenset({"parents", "childs", "parsedFlow", "defaultFlow"})
_WORDS = {"queue_bytes": "queueBytes", "hop_limit": "hopLimit"}
_LEARNT = {"on_error": "onError", "ttl_s": "ttl", "concurrency": "concurrency"}


@dataclass(frozen=True, slots=True)
class Difference:
    """`refused` are sentences; `renewed` the nodes whose instances need a new life, consumers before their producers;
    `counted` the nodes whose replicas are others, or may be."""

    refused: tuple[str, ...] = ()
    renewed: tuple[str, ...] = ()
    counted: tuple[str, ...] = ()


def difference(before: Plan, after: Plan) -> Difference:
    """What is other in `after`, but for its flows."""
    shared = [name for name in before.nodes if name in after.nodes]
    pairs = [(before.nodes[name], after.nodes[name]) for name in shared]
    renewed = {old.name for old, new in pairs if _renewed(old, new)}
    return Difference(
        tuple(_refused(before, after, pairs)),
        tuple(name for name in _consumers_first(before) if name in renewed),
        tuple(old.name for old, new in pairs if any(getattr(old, f) != getattr(new, f) for f in COUNTED)),
    )


def renewed(plan: Plan, nodes: Mapping[str, PlannedNode], *, counted: bool) -> Plan:
    """The plan with what these nodes give to a new life, in its own flows; and with their replicas if `counted`."""
    fields = RENEWED | COUNTED if counted else RENEWED
    merged = {
        name: dataclasses.replace(node, **{field: getattr(nodes[name], field) for field in sorted(fields)})
        for name, node in plan.nodes.items()
    }
    return wired(plan.pipeline, merged, plan.versions, plan.past, former=plan.former, canary=plan.canary)


def recoded(plan: Plan, codes: Mapping[str, Code]) -> Plan:
    """The plan in which these nodes run this code."""
    nodes = {name: dataclasses.replace(node, code=codes.get(name, node.code)) for name, node in plan.nodes.items()}
    return dataclasses.replace(plan, nodes=nodes) if codes else plan


def _renewed(old: PlannedNode, new: PlannedNode) -> bool:
    return old.role not in _TAKES_IN and any(_told(old, field) != _told(new, field) for field in RENEWED)


def _told(node: PlannedNode, field: str) -> Any:
    if field == "args":
        return {key: value for key, value in node.args.items() if key not in _OF_FLOWS}
    return getattr(node, field)


def _refused(before: Plan, after: Plan, pairs: list[tuple[PlannedNode, PlannedNode]]) -> Iterator[str]:
    if before.pipeline != after.pipeline:
        yield f"the pipeline's name is {after.pipeline}, and was {before.pipeline}"
    yield from (f"node {name} is new" for name in after.nodes if name not in before.nodes)
    yield from (f"node {name} is not there any more" for name in before.nodes if name not in after.nodes)
    for old, new in pairs:
        if old.role is not new.role:
            yield f"node {old.name}: it is a {new.role} node, and was a {old.role} node"
            continue
        fixed = {**FIXED, **_LEARNT} if old.role in _TAKES_IN else FIXED
        for field, word in fixed.items():
            for path, was, now in _differing(_fixed(old, field), _fixed(new, field), word):
                yield f"node {old.name}: {path or field} is {_shown(now)}, and was {_shown(was)}"


def _fixed(node: PlannedNode, field: str) -> object:
    """A connector as its descriptor has it."""
    value = getattr(node, field)
    return {"connector": value.name, **value.spec} if isinstance(value, Connector) else value


def _differing(was: object, now: object, path: str) -> Iterator[tuple[str, object, object]]:
    """(path, before, after) of what differs inside two values."""
    if was == now:
        return
    old, new = _parts(was), _parts(now)
    if old is None or new is None:
        yield path, was, now
        return
    for key in dict.fromkeys([*old, *new]):
        yield from _differing(old.get(key), new.get(key), ".".join(filter(None, (path, _WORDS.get(key, key)))))


def _parts(value: object) -> Mapping[str, object] | None:
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return value if isinstance(value, Mapping) else None


def _shown(value: object) -> str:
    return "not given" if value is None or value == "" else str(value)


def _consumers_first(plan: Plan) -> list[str]:
    """A message of the old producer may still come to a new consumer in any order; so only that way round is asked for
    from the user's code. Inside a cycle the order is that of the search. Its stack is its own: chains are long."""
    done: list[str] = []
    seen: set[str] = set()
    for start in plan.nodes:
        path = [] if start in seen else [start]
        seen.add(start)
        while path:
            below = next((o.target for o in plan.nodes[path[-1]].outputs if o.target not in seen), None)
            if below is None:
                done.append(path.pop())
            else:
                seen.add(below)
                path.append(below)
    return done
