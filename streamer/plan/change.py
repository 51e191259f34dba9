"""A change of a job's flows: which flows a person wants to be others, and the plan that comes of it.

A change is small (this flow, that default) and relative: what it does not name stays as it is at the moment at which
the change is made, so two people who change different flows do not undo each other's. It may begin with a share of the
roots: such a version is a canary until all roots take it, or none. Whether a change can be made is judged by the rules
of descriptors, on the nodes of the plan; whether it can be made now is the controller's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from streamer.descriptor.finding import path_text, quote, suggestion
from streamer.descriptor.flow import parse_flow
from streamer.descriptor.node import NodeKind
from streamer.descriptor.streaming import Member, Violation, judge
from streamer.errors import FlowsError
from streamer.limits import CANARY_PARTS, FLOW_VERSIONS_KEPT
from streamer.plan.assignment import Canary, Role
from streamer.plan.compile import Plan, wired
from streamer.plan.versions import FlowTexts, FlowVersion, Made, Origin, flow_version

_KINDS = {Role.SOURCE: NodeKind.SOURCE, Role.GATEWAY: NodeKind.GATEWAY, Role.SINK: NodeKind.SINK}


@dataclass(frozen=True, slots=True)
class FlowsChange:
    """`flows` by name: a text adds or replaces one, None removes it. `default` '' keeps the default flow.

    `parts` of CANARY_PARTS are the share of the new roots that are to take the version that comes of it.
    """

    flows: Mapping[str, str | None]
    default: str = ""
    parts: int = CANARY_PARTS

    @property
    def only_share(self) -> bool:
        """Whether it names no flow: then it is about the share of the canary that is under way."""
        return not self.flows and not self.default


@dataclass(frozen=True, slots=True)
class FlowsRollback:
    """To the flows of version `to`, or (None) of the one before that in force; a canary ends with it."""

    to: int | None = None


def changed(plan: Plan, change: FlowsChange, at: float | None = None) -> FlowVersion | None:
    """The version that follows from the one in force; None if the change changes nothing.

    Raises FlowsError that lists all that is wrong.
    """
    before = plan.current
    texts = {**before.flows, **{name: text for name, text in change.flows.items() if text is not None}}
    violations = []
    for name in (name for name, text in change.flows.items() if text is None):
        if texts.pop(name, None) is None:
            remedy = suggestion(name, before.flows, what="flows")
            violations.append(Violation(("streaming", "flows", name), f"{quote(name)} is not a flow", remedy))
    judged = judge(texts, change.default or before.default, _members(plan))
    violations += judged.violations
    if violations:
        told = [f"{path_text(one.path)}: {one.message}\n    {one.remedy}" for one in violations]
        raise FlowsError("the flows cannot be changed like this:\n  " + "\n  ".join(told))
    origin = Origin(Made.SET, at, back=before.number)
    version = flow_version(judged.flows, judged.default, plan.newest.number + 1, origin)
    return None if version.says(before) else version


def with_change(plan: Plan, change: FlowsChange | FlowsRollback, at: float | None = None) -> Plan:
    """The plan in which the change is made; this very plan if it changes nothing. Raises FlowsError."""
    if isinstance(change, FlowsRollback):
        return _rolled_back(plan, change.to, at)
    version = changed(plan, change, at)
    if plan.canary is not None:
        return _with_share(plan, plan.canary, change, version)
    if version is not None:
        whole = change.parts == CANARY_PARTS
        return with_version(plan, version, None if whole else Canary(version.number, change.parts))
    if change.only_share and change.parts != CANARY_PARTS:
        raise FlowsError(
            "no version of the flows is a canary, so there is no share to change",
            remedy="Give the flows too: streamer flows set JOB NAME='A >> B' --percent 10.",
        )
    return plan


def _with_share(plan: Plan, canary: Canary, change: FlowsChange, version: FlowVersion | None) -> Plan:
    if not change.only_share and (version is None or not version.says(plan.newest)):
        raise FlowsError(
            f"version {canary.version} of the flows is a canary, which {percent_text(canary.parts)} of the new roots "
            "take: no other flows can be set beside it",
            remedy="Let all roots take it with `streamer flows promote`, or none with `streamer flows rollback`.",
        )
    if change.parts == CANARY_PARTS:
        return wired(plan.pipeline, plan.nodes, plan.versions, plan.past, former=plan.former)
    return replace(plan, canary=Canary(canary.version, change.parts)) if change.parts != canary.parts else plan


def _rolled_back(plan: Plan, to: int | None, at: float | None) -> Plan:
    """A canary has come to nothing then: also where the flows in force stay as they are, they get another number.

    So versions end in their order, those of canaries too.
    """
    current = plan.current
    if to is None:
        to = current.origin.back if plan.canary is None else current.number
    texts = _known(plan, to)
    if plan.canary is None and current.says(texts):
        return plan
    flows = {name: parse_flow(text, name) for name, text in texts.flows.items()}
    origin = Origin(Made.ROLLBACK, at, to, texts.origin.back)
    return with_version(plan, flow_version(flows, texts.default, plan.newest.number + 1, origin))


def _known(plan: Plan, number: int) -> FlowTexts:
    """Raises FlowsError if the plan does not have this version any more, or never had it."""
    known = {texts.number: texts for texts in plan.known}
    if number in known:
        return known[number]
    current = plan.current
    if number:
        problem = f"version {number} of the flows is not known"
    elif current.origin.to:
        problem = (
            f"version {current.number} of the flows is version {current.origin.to} again, and no other came before"
        )
    else:
        problem = f"version {current.number} is the first one of the flows: there is nothing to go back to"
    others = ", ".join(str(other) for other in known if other != current.number)
    remedy = f"Name one of these with --to: {others}." if others else "Give other flows with `streamer flows set`."
    raise FlowsError(problem, remedy=remedy)


def percent_text(parts: int) -> str:
    return f"{100 * parts / CANARY_PARTS:g} %"


def with_version(plan: Plan, version: FlowVersion, canary: Canary | None = None) -> Plan:
    """The plan in which this version is alive too, and the newest: in force, or a canary."""
    return wired(plan.pipeline, plan.nodes, (*plan.versions, version), plan.past, former=plan.former, canary=canary)


def without_versions(plan: Plan, below: int) -> Plan:
    """The plan in which versions below this number are over; their edges and their texts stay known."""
    kept = tuple(version for version in plan.versions if version.number >= below)
    over = tuple(version.texts for version in plan.versions if version.number < below)
    former = (*plan.former, *over)[-FLOW_VERSIONS_KEPT:]
    after = wired(plan.pipeline, plan.nodes, kept, former=former, canary=plan.canary)
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
