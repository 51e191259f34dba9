"""How a stream ends: who must be told, because the end does not reach it by itself.

An end travels the flows from the sources, so most instances need no word from here. Three kinds do. *Intakes* (sources,
gateways, and stateful nodes into which nothing flows from outside their cycle) are told to drain when a person wants
the job to end. *Idle* nodes stand outside every flow: nothing ever reaches them, so they are told to drain with the
intakes, or when everything else has completed. The instances of a *cycle* wait for each other's end, which none can
give first.

A cycle is ended when nothing is left in it. One report of each does not show that: a message may pass from an instance
that has yet to report to one that already has. So there must be a moment after which every instance has said twice
that it is quiet, with the counters that it had before that moment (Mattern's four counters): whatever was on its way
would have moved one of them. Asking each for its counters in turn would be faster, and one more exchange to get wrong.
"""

from __future__ import annotations

import dataclasses

from streamer.control.lifecycle import InstancePhase, JobPhase
from streamer.control.state import InstanceRecord, JobState
from streamer.metrics.samples import InstanceSample
from streamer.plan.assignment import Role, Verb
from streamer.plan.compile import PlannedNode


def is_intake(node: PlannedNode) -> bool:
    """Messages begin here, so the end must begin here too."""
    if node.role in (Role.SOURCE, Role.GATEWAY):
        return True
    return node.role is Role.STATEFUL and all(edge.inside for edge in node.inputs)


def is_idle(node: PlannedNode) -> bool:
    """Outside every flow, where nothing ends by itself: a change of flows may bring it back."""
    return not node.inputs and not node.outputs and node.role not in (Role.SOURCE, Role.GATEWAY)


def drained_nodes(state: JobState) -> frozenset[str]:
    """Nodes whose instances are to be told to drain now."""
    nodes = state.plan.nodes.values()
    idle = frozenset(node.name for node in nodes if is_idle(node) and _is_exhausted(state, node))
    if state.phase is JobPhase.DRAINING:
        return idle | frozenset(node.name for node in nodes if is_intake(node))
    alone = all(record.phase.gone for record in state.instances.values() if record.node not in idle)
    return idle if alone else frozenset()


def _is_exhausted(state: JobState, node: PlannedNode) -> bool:
    """Whether nothing comes of this node of its own accord: a stateful one may go on in its `start`."""
    records = [record for record in state.instances.values() if record.node == node.name]
    samples = [record.sample for record in records if record.phase is not InstancePhase.RETIRED]
    return node.role is not Role.STATEFUL or all(sample is not None and sample.exhausted for sample in samples)


def with_quiet_components_ended(state: JobState) -> JobState:
    """Not while a version is proposed: it may lead into a cycle, or make it larger."""
    if state.proposal is not None:
        return state
    ended = frozenset(
        name
        for component in state.plan.components
        if not component <= state.ended and _is_quiet(state, component)
        for name in component
    )
    return dataclasses.replace(state, ended=state.ended | ended) if ended else state


def verbs(record: InstanceRecord, drained: frozenset[str], state: JobState) -> frozenset[Verb]:
    """What an instance must have been told, beside its peers."""
    wanted = []
    if record.node in drained:
        wanted.append(Verb.DRAIN)
    if record.node in state.ended:
        wanted.append(Verb.END)
    if record.leaving:
        wanted.append(Verb.LEAVE)
    if record.renewing:
        wanted.append(Verb.RENEW)
    if record.node in state.replays:
        wanted.append(Verb.REPLAY)
    return frozenset(wanted)


def observe_quiet(record: InstanceRecord, sample: InstanceSample, now: float) -> InstanceRecord:
    """The record's quiet span after `sample`, which it does not hold yet."""
    if not sample.quiet:
        return record if record.quiet_since is None else dataclasses.replace(record, quiet_since=None)
    if record.quiet_since is None or record.sample is None or _counters(record.sample) != _counters(sample):
        return dataclasses.replace(record, quiet_since=now, quiet_before=now, quiet_last=now)
    if now <= record.quiet_last:
        return record
    return dataclasses.replace(record, quiet_before=record.quiet_last, quiet_last=now)


def _counters(sample: InstanceSample) -> tuple[int, int]:
    return sample.received, sum(edge.sent for edge in sample.edges)


def _is_quiet(state: JobState, component: frozenset[str]) -> bool:
    records = state.instances.values()
    members = [r for r in records if r.node in component and r.phase is not InstancePhase.RETIRED]
    at_work = (InstancePhase.RUNNING, InstancePhase.DRAINING)
    if any(record.phase not in at_work for record in members):
        return False
    nodes = [state.plan.nodes[name] for name in component]
    fed_nodes = {node.name for node in nodes for edge in node.inputs if not edge.inside}
    if fed_nodes - {record.node for record in members}:
        return False  # nobody is there who could say that nothing comes from outside any more
    if not fed_nodes and not all(record.sample is not None and record.sample.exhausted for record in members):
        return False  # nothing comes from outside to this cycle, so its own senders keep it going
    since = [record.quiet_since for record in members if record.quiet_since is not None]
    return len(since) == len(members) > 0 and all(record.quiet_before > max(since) for record in members)
