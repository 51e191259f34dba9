"""A change of a job's flows: which flows a person wants to be others, and the version that comes of it.

A change is small (this flow, that default) and relative: what it does not name stays as it is at the moment at which
the change is made, so two people who change different flows do not undo each other's. Whether it can be made is judged
by the rules of descriptors, on the nodes of the plan; whether it can be made now is the controller's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from streamer.descriptor.finding import path_text, quote, suggestion
from streamer.descriptor.node import NodeKind
from streamer.descriptor.streaming import Member, Violation, judge
from streamer.errors import FlowsError
from streamer.plan.assignment import Role
from streamer.plan.compile import FlowVersion, Plan, flow_version, wired

_KINDS = {Role.SOURCE: NodeKind.SOURCE, Role.GATEWAY: NodeKind.GATEWAY, Role.SINK: NodeKind.SINK}


@dataclass(frozen=True, slots=True)
class FlowsChange:
    """`flows` by name: a text adds or replaces one, None removes it. `default` '' keeps the default flow."""

    flows: Mapping[str, str | None]
    default: str = ""


def changed(plan: Plan, change: FlowsChange) -> FlowVersion | None:
    """The version after the one in force; None if the change changes nothing. Raises FlowsError that lists all."""
    before = plan.current
    texts = {**before.flows, **{name: text for name, text in change.flows.items() if text is not None}}
    violations = []
    for name in (name for name, text in change.flows.items() if text is None):
        if texts.pop(name, None) is None:
            remedy = suggestion(name, before.flows, what="flows")
            violations.append(Violation(("streaming", "flows", name), f"{quote(name)} is not a flow", remedy))
    judged = judge(texts, change.default or before.table.default_flow, _members(plan))
    violations += judged.violations
    if violations:
        told = [f"{path_text(one.path)}: {one.message}\n    {one.remedy}" for one in violations]
        raise FlowsError("the flows cannot be changed like this:\n  " + "\n  ".join(told))
    version = flow_version(judged.flows, judged.default, before.number + 1)
    same = version.flows == before.flows and judged.default == before.table.default_flow
    return None if same else version


def with_version(plan: Plan, version: FlowVersion) -> Plan:
    """The plan in which this version is alive too, and the newest."""
    return wired(plan.pipeline, plan.nodes, (*plan.versions, version), plan.past)


def without_versions(plan: Plan, below: int) -> Plan:
    """The plan in which versions below this number are over; their edges stay known."""
    kept = tuple(version for version in plan.versions if version.number >= below)
    after = wired(plan.pipeline, plan.nodes, kept)
    alive = frozenset(after.edges())
    return replace(after, past=tuple(edge for edge in plan.edges_ever() if edge not in alive))


def new_edges(before: Plan, after: Plan) -> tuple[tuple[str, str], ...]:
    known = frozenset(before.edges())
    return tuple(edge for edge in after.edges() if edge not in known)


def _members(plan: Plan) -> Mapping[str, Member]:
    return {
        name: Member(_KINDS.get(node.role, NodeKind.ALGORITHM), node.role is Role.STATELESS)
        for name, node in plan.nodes.items()
    }
