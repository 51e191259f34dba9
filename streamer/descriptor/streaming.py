"""The rules of a pipeline's flows: what must hold of their texts, of the default flow, and of the nodes that they join.

A descriptor is judged by them before there is a job, and a change of flows while the job runs, where the nodes are
those of a plan and the flows those of a new version. Both must get the same answers, so the rules stand here once, and
know of a node only its kind and whether it is stateless. Each says the place of what is wrong in a descriptor's terms.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from streamer import limits
from streamer.descriptor.finding import Path, quote, suggestion
from streamer.descriptor.flow import Flow, read_flow
from streamer.descriptor.node import NodeKind

_NEVER_RECEIVES = (NodeKind.SOURCE, NodeKind.GATEWAY)
_FLOWS: Path = ("streaming", "flows")


@dataclass(frozen=True, slots=True)
class Member:
    """A node as these rules see it. `stateless`: it surely is, also when all that is known of algorithms is here."""

    kind: NodeKind
    stateless: bool


@dataclass(frozen=True, slots=True)
class Violation:
    """`path` begins with `streaming`, or it is `nodes`, the name of a node and a field of it."""

    path: Path
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Judged:
    """The flows that can be read, the default flow, and all that is wrong."""

    flows: Mapping[str, Flow]
    default: str
    violations: tuple[Violation, ...]


def judge(texts: Mapping[str, str], default: str, members: Mapping[str, Member], *, complete: bool = True) -> Judged:
    """All rules at once. `default` may be empty where there is one flow. Not `complete`: some texts were refused."""
    if not texts:
        missing = Violation(_FLOWS, "please specify a stream flow", "Add streaming: {flows: {main: A >> B}}.")
        return Judged({}, default, (missing,))
    violations = [*_names(texts, default)]
    flows = {}
    for name, text in texts.items():
        flow, problems = read_flow(text, name, members)
        violations += [Violation((*_FLOWS, name), problem.message, problem.remedy) for problem in problems]
        if flow is not None:
            flows[name] = flow
    count = sum(len(flow.visits()) for flow in flows.values())
    if count > limits.ROUTES_MAX:
        remedy = f"All flows together have at most {limits.ROUTES_MAX} positions."
        violations.append(Violation(_FLOWS, f"the flows have {count} positions", remedy))
    complete = complete and not any(violation.path[:2] == _FLOWS for violation in violations)
    violations += _ends(flows, members, complete=complete)
    return Judged(flows, default or next(iter(texts)), tuple(violations))


def _names(texts: Mapping[str, str], default: str) -> Iterator[Violation]:
    if "" in texts:
        yield Violation((*_FLOWS, ""), "the name of a flow is empty", "Give the flow a name.")
    if not default and len(texts) > 1:
        yield Violation(
            ("streaming", "defaultFlow"),
            "please specify a default stream flow",
            f"Add defaultFlow with one of {', '.join(list(texts)[:12])}.",
        )
    elif default and default not in texts:
        yield Violation(
            ("streaming", "defaultFlow"), f"{quote(default)} is not a flow", suggestion(default, texts, what="flows")
        )


def _ends(flows: Mapping[str, Flow], members: Mapping[str, Member], *, complete: bool) -> Iterator[Violation]:
    """Rules of ends, on the union of the flows; a flow that was refused may hold the missing edge."""
    edges = [edge for flow in flows.values() for edge in flow.edges()]
    sources, targets = {source for source, _ in edges}, {target for _, target in edges}
    for name, member in members.items():
        if member.kind in _NEVER_RECEIVES and name in targets:
            feeder = next(source for source, target in edges if target == name)
            yield Violation(
                ("nodes", name, "kind"),
                f"{member.kind} node {quote(name)} cannot receive messages, but {quote(feeder)} sends to it",
                f"Take {feeder} >> {name} out of the flows.",
            )
        if member.kind is NodeKind.SINK and name in sources:
            fed = next(target for source, target in edges if source == name)
            yield Violation(
                ("nodes", name, "kind"),
                f"sink node {quote(name)} cannot send messages, but sends to {quote(fed)}",
                f"Take {name} >> {fed} out of the flows.",
            )
        if complete and member.stateless and name in sources and name not in targets:
            yield Violation(
                ("nodes", name, "nodeName"),
                f"entry node {quote(name)} cannot be stateless on stream pipeline",
                "Set stateType: stateful, or let a source or a stateful node send to it.",
            )
