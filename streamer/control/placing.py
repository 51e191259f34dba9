"""Where instances are: found a machine, lost it, or started again by it while nobody led the job.

What an instance keeps on its machine's disk (its state, its log, how far a source has read) is nowhere else, so it
waits for that machine, however long that takes: going on elsewhere without it would lose what was promised. What keeps
nothing goes on elsewhere at once. The machine may be alive and only cut off; so lives are counted on from another
multiple of `PLACED_EPOCHS` there, and whichever of two lives is the older one is turned away by its peers.
"""

from __future__ import annotations

from dataclasses import replace

from streamer import cluster_limits
from streamer.control import topology
from streamer.control.events import AgentFound, AgentLost, BegunAgain, NotPlaced, Placed, Whereabouts
from streamer.control.lifecycle import INSTANCE, InstanceEvent, InstancePhase, JobPhase, follow
from streamer.control.state import InstanceRecord, JobState
from streamer.plan.assignment import Durability, Role
from streamer.plan.compile import PlannedNode


def moved(state: JobState, event: Whereabouts, now: float) -> JobState:
    match event:
        case Placed():
            return _placed(state, event)
        case NotPlaced():
            return _not_placed(state, now)
        case AgentLost():
            return _lost(state, event, now)
        case AgentFound():
            return _found(state, event)
        case BegunAgain():
            return _begun_again(state, event, now)


def keeps_nothing(node: PlannedNode) -> bool:
    """Whether instances of the node have nothing on their machine that another one would miss."""
    return node.role is Role.STATELESS and node.durability is Durability.NONE


def is_unplaced(state: JobState, record: InstanceRecord) -> bool:
    """Whether it waits for a machine while others of its job have one; on one machine none ever does."""
    return record.phase.living and not record.agent and any(other.agent for other in state.instances.values())


def needless(state: JobState) -> tuple[InstanceRecord, ...]:
    """Those without a machine that need none any more: they were to go, or the job ends and others of their node are
    at work."""
    return tuple(record for record in state.instances.values() if not record.agent and _is_needless(state, record))


def _is_needless(state: JobState, record: InstanceRecord) -> bool:
    if state.phase.ending_by_force:
        return not record.phase.gone
    if not record.phase.living:
        return False
    draining = state.phase is JobPhase.DRAINING and record.node not in state.partitions
    beside = any(other.agent and other.node == record.node and other.phase.living for other in state.instances.values())
    return record.leaving or record.renewing or (draining and beside)


def freed(state: JobState, record: InstanceRecord, now: float) -> InstanceRecord:
    """It is to begin again after a while: others may have its room by then, and it may go where there is some."""
    return _without_place(record, now) if record.agent and keeps_nothing(state.node_of(record)) else record


def _placed(state: JobState, event: Placed) -> JobState:
    record = state.instances.get(event.instance)
    if record is None or record.epoch != event.epoch or record.agent or not record.phase.living:
        return state
    return state.having(replace(record, agent=event.agent))


def _not_placed(state: JobState, now: float) -> JobState:
    for record in needless(state):
        event = InstanceEvent.RETIRES
        if state.phase.ending_by_force:
            event = InstanceEvent.ENDS
        elif record.renewing:
            event = InstanceEvent.DIES
        state = _over(state, record, event, now)
    return state


def _lost(state: JobState, event: AgentLost, now: float) -> JobState:
    for record in state.instances.values():
        may_move = event.shared or keeps_nothing(state.node_of(record)) or state.phase.ending_by_force
        if record.agent != event.agent or record.phase.gone:
            continue
        state = _moved_away(state, record, now) if may_move else state.having(replace(record, silent=True))
    return state


def _found(state: JobState, event: AgentFound) -> JobState:
    for record in state.instances.values():
        if record.silent and record.agent == event.agent:
            state = state.having(replace(record, silent=False))
    return state


def _moved_away(state: JobState, record: InstanceRecord, now: float) -> JobState:
    """It is gone from there, which is no death of its own; whoever shares with it learns that it is."""
    event = InstanceEvent.DIES
    if state.phase.ending_by_force:
        event = InstanceEvent.ENDS
    elif record.leaving:
        event = InstanceEvent.RETIRES
    elif record.phase is InstancePhase.RESTARTING:
        return state.having(_without_place(record, now))
    return _over(state, record, event, now)


def _over(state: JobState, record: InstanceRecord, event: InstanceEvent, now: float) -> JobState:
    phase = follow(INSTANCE, record.phase, event)
    state = state.having(replace(_without_place(record, now), phase=phase, exited_at=now, quiet_since=None))
    return topology.changed(state, record.node) if phase.gone else state


def _without_place(record: InstanceRecord, now: float) -> InstanceRecord:
    """Its next life may be anywhere, and has the first epoch of another machine, where nobody is bound yet."""
    last = (record.epoch // cluster_limits.PLACED_EPOCHS + 1) * cluster_limits.PLACED_EPOCHS - 1
    return replace(
        record,
        agent="",
        silent=False,
        was_on=record.agent or record.was_on,
        endpoint="",
        epoch=last,
        skipped=record.skipped + last - record.epoch,
        leave_deadline=None,
        restart_at=now,
    )


def _begun_again(state: JobState, event: BegunAgain, now: float) -> JobState:
    record = state.instances.get(event.instance)
    if record is None or record.agent != event.agent or event.epoch <= record.epoch or record.phase.gone:
        return state
    if record.phase.living:
        record = replace(record, phase=follow(INSTANCE, record.phase, InstanceEvent.DIES))
        if record.phase is not InstancePhase.RESTARTING:
            return topology.changed(state.having(record), record.node)
    if record.phase is not InstancePhase.RESTARTING:
        return state
    phase = follow(INSTANCE, record.phase, InstanceEvent.STARTS)
    alive = record.next_life(phase, now, 0, record.generation)  # nobody had told the machine of another one
    return topology.changed(state.having(replace(alive, epoch=event.epoch)), alive.node)
