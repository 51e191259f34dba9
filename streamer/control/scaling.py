"""How the instances of a node become more or fewer while the job goes on.

More is simple: a new instance asks its parents for its share and gets one. Fewer must lose nothing: an instance that is
to go is told to *leave*: it asks for no more, finishes what it has, gives the rest back to the producers, says goodbye
to its consumers and exits; only one that does not manage that in a drain's time is killed, which costs redeliveries and
no message. Its name is taken up again when the node grows, so that its account goes on where it stood. The instances
with the highest numbers go first: which of them are the oldest or the idlest changes too fast to be worth knowing.

A stateless node may have none at all, if an autoscaler says so. It is woken here, and not by who decided: on the first
report of something that waits for it, or once those before it come to their end, which has to pass through it.
"""

from __future__ import annotations

import dataclasses

from streamer import limits
from streamer.control import placing, topology
from streamer.control.events import Decided, Effect, Exited, KillInstance, Scaled, StartInstance
from streamer.control.lifecycle import INSTANCE, InstanceEvent, InstancePhase, JobPhase, follow
from streamer.control.state import InstanceRecord, JobState
from streamer.errors import ScaleError
from streamer.plan.assignment import Role
from streamer.plan.compile import PlannedNode

_AT_ITS_END = (InstancePhase.DRAINING, InstancePhase.ENDED, InstancePhase.LEFT, InstancePhase.COMPLETED)


def check(node: PlannedNode, replicas: int) -> None:
    """Raises ScaleError if the node cannot have so many replicas."""
    shared = node.role is Role.SOURCE and (node.max_replicas or 1) > 1
    if node.role is not Role.STATELESS and not node.partition_by and not shared:
        raise ScaleError(
            f"node {node.name} is a {node.role} node and has exactly one instance",
            remedy="Stateless nodes have replicas, stateful ones with partitionBy, and sources whose instances share "
            "partitions, with maxReplicas: scale one of those.",
        )
    least, most = max(1, node.min_replicas), node.max_replicas or limits.INSTANCES_PER_NODE_MAX
    if not least <= replicas <= most:
        stateless = node.role is Role.STATELESS
        of = ("minStatelessCount", "maxStatelessCount") if stateless else ("minReplicas", "maxReplicas")
        named = of[1] if node.max_replicas else "the most that any node can have"
        raise ScaleError(
            f"node {node.name} cannot have {replicas} replicas: at least {least} ({of[0]}, or 1) and "
            f"at most {most} ({named})",
            remedy=f"Stay within {of[0]} and {of[1]}, or change them in the descriptor and start anew.",
        )


def wished(state: JobState, event: Scaled) -> JobState:
    """The state with this wish in it, unless it is an old one, or one that the node cannot have."""
    if event.number <= state.wish:
        return state
    state = dataclasses.replace(state, wish=event.number)
    node = state.plan.nodes.get(event.node)
    if node is None:
        return state
    if event.replicas is not None:
        try:
            check(node, event.replicas)
        except ScaleError:
            return state
    pinned = state.pins.get(event.node)
    decided = state.decided
    if event.replicas is None and pinned is not None and event.node in decided:
        decided = {**decided, event.node: pinned}  # it stays as it is until there is another decision
    return dataclasses.replace(state, pins={**state.pins, event.node: event.replicas}, decided=decided)


def decided(state: JobState, event: Decided) -> JobState:
    """The state with this decision in it, unless it is an old one, or one that the node cannot have."""
    if event.number is not None:
        if event.number <= state.wish:
            return state
        state = dataclasses.replace(state, wish=event.number)
    node = state.plan.nodes.get(event.node)
    if node is None or (node.role is not Role.STATELESS and not node.partition_by):
        return state
    least, most = node.min_replicas, node.max_replicas or limits.INSTANCES_PER_NODE_MAX
    if not least <= event.replicas <= most:
        return state
    return dataclasses.replace(state, decided={**state.decided, event.node: event.replicas})


def scaled(state: JobState, now: float) -> tuple[JobState, tuple[Effect, ...]]:
    """Every node on its way to the replicas that it is to have."""
    effects: list[Effect] = []
    for record in state.instances.values():
        if (record.leaving or record.renewing) and record.leave_deadline is not None and now >= record.leave_deadline:
            state = state.having(dataclasses.replace(record, leave_deadline=None))
            if record.phase.living:
                effects.append(KillInstance(record.instance, record.epoch))
    state = _woken(state)
    for name in _scalable(state):
        state, more = _towards(state, name, state.desired(name), now)
        effects += more
    return state, tuple(effects)


def _scalable(state: JobState) -> list[str]:
    """Nodes whose instances may come and go now; in a drain only those that have none, for the end to pass through."""
    names = [name for name in {**state.pins, **state.decided} if name not in state.partitions]
    if state.phase in (JobPhase.STARTING, JobPhase.RUNNING):
        return names
    counts = state.replicas() if state.phase is JobPhase.DRAINING else {}
    return [name for name in names if counts.get(name) == 0]


def _woken(state: JobState) -> JobState:
    """Every node that was decided to have no instances, and is needed, is to have one."""
    woken = {name: 1 for name, replicas in state.decided.items() if not replicas and _is_needed(state, name)}
    return dataclasses.replace(state, decided={**state.decided, **woken}) if woken else state


def _is_needed(state: JobState, name: str) -> bool:
    """Something waits for this node, or an end comes to it."""
    above = topology.parents(state.plan.nodes[name])
    for record in state.instances.values():
        if record.node in above:
            if record.phase in _AT_ITS_END and not record.leaving:
                return True
            edges = record.sample.edges if record.sample is not None else ()
            if any(edge.target == name and edge.backlog_messages for edge in edges):
                return True
    return False


def start_of(record: InstanceRecord) -> StartInstance:
    return StartInstance(record.node, record.index, record.instance, record.epoch, record.endpoint)


def sent_away(state: JobState, record: InstanceRecord, now: float) -> JobState:
    """This instance is to go."""
    if record.phase.living:
        leaving = dataclasses.replace(record, leaving=True, leave_deadline=now + limits.DRAIN_S)
        return state.having(leaving)
    if record.phase is InstancePhase.RESTARTING and may_keep(state, record):
        return state.having(
            dataclasses.replace(record, leaving=True)
        )  # its next life sends what is kept, and goes then
    phase = follow(INSTANCE, record.phase, InstanceEvent.RETIRES)
    return topology.changed(state.having(dataclasses.replace(record, phase=phase)), record.node)


def may_keep(state: JobState, record: InstanceRecord) -> bool:
    """Whether checkpoints of this instance may hold messages that it has still to send."""
    return state.node_of(record).role is Role.STATEFUL


def has_more_to_send(state: JobState, record: InstanceRecord, exit_: Exited) -> bool:
    """Whether an instance that was leaving has died with messages in its checkpoints: nobody else sends them."""
    in_order = exit_.ended or exit_.renewed or exit_.code == 0 or record.phase is InstancePhase.ENDED
    return may_keep(state, record) and not in_order


def begun(state: JobState, name: str, index: int, now: float) -> tuple[JobState, StartInstance]:
    """This instance is there: a new one, or one that was sent away before and has gone."""
    retired = state.instances.get(f"{name}-{index}")
    if retired is None:
        record = InstanceRecord(
            name, index, f"{name}-{index}", started_at=now, wired=state.wired, generation=state.generation
        )
    else:
        phase = follow(INSTANCE, retired.phase, InstanceEvent.STARTS)
        again = placing.freed(state, retired, now).next_life(phase, now, state.wired, state.generation)
        record = dataclasses.replace(
            again, leaving=False, leave_deadline=None, returns=retired.returns + 1, deaths=0, quick_deaths=0
        )
    return topology.changed(state.having(record), name), start_of(record)


def _towards(state: JobState, name: str, wanted: int, now: float) -> tuple[JobState, list[Effect]]:
    records = [record for record in state.instances.values() if record.node == name]
    if any(record.phase in (InstancePhase.COMPLETED, InstancePhase.DEAD) for record in records):
        return state, []  # the node is ending by itself: there is nothing to share any more
    staying = sorted(
        (r for r in records if not r.leaving and r.phase is not InstancePhase.RETIRED), key=lambda r: r.index
    )
    for record in staying[wanted:]:
        state = sent_away(state, record, now)
    effects: list[Effect] = []
    for _ in range(wanted - len(staying)):
        state, start = begun(state, name, _free_index(state, name), now)
        effects.append(start)
    return state, effects


def _free_index(state: JobState, name: str) -> int:
    """Of one that was sent away before, or the next number."""
    records = sorted((r for r in state.instances.values() if r.node == name), key=lambda r: r.index)
    retired = next((record for record in records if record.phase is InstancePhase.RETIRED), None)
    return records[-1].index + 1 if retired is None else retired.index
