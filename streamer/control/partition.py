"""How the key groups of a partitioned node come to other owners: the controller's side of a handover.

A group must never have two owners, so the node goes through a moment without any. New instances are started first and
wait, since a process takes longer to start than groups take to move. Then all owners are told to pause and give up what
they own (`streamer.runtime.handover`); whoever is dead owns nothing any more, and whoever stays silent is killed, which
comes to the same. When the last one has said so, the next epoch begins: its owners are told to everybody, and instances
that own nothing now are sent away. All of it stands in the job's record, so another controller goes on from there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from streamer.control import topology
from streamer.control.events import Effect, KillInstance
from streamer.control.lifecycle import InstancePhase, JobPhase
from streamer.control.scaling import begun, sent_away
from streamer.control.state import InstanceRecord, JobState, Partition
from streamer.limits import DRAIN_S, SESSION_TIMEOUT_S
from streamer.plan.compile import Plan

_GOING_ON = (JobPhase.STARTING, JobPhase.RUNNING)
_AT_ITS_END = (InstancePhase.DRAINING, InstancePhase.ENDED, InstancePhase.LEFT, InstancePhase.COMPLETED)


def first_of(plan: Plan) -> Mapping[str, Partition]:
    """The partitions of a job that begins, by node."""
    return {node.name: Partition(1, node.replicas) for node in plan.nodes.values() if node.partition_by}


def advanced(state: JobState, now: float) -> tuple[JobState, tuple[Effect, ...]]:
    """Every partitioned node on its way to the replicas that it is to have."""
    effects: list[Effect] = []
    for name in state.partitions:
        state, more = _paused(state, name, now) if state.partitions[name].paused else _settled(state, name, now)
        effects += more
    return state, tuple(effects)


def _settled(state: JobState, name: str, now: float) -> tuple[JobState, list[Effect]]:
    """All groups have owners: see whether there are to be others, and whether they are there."""
    partition = state.partitions[name]
    wanted = state.desired(name) if _may_move(state, name) else partition.replicas
    to = None if wanted == partition.replicas else wanted
    if to != partition.to:
        partition = dataclasses.replace(partition, to=to)
        state = _having(state, name, partition)
    keep = max(partition.replicas, wanted)
    effects: list[Effect] = []
    for record in _records(state, name):
        if record.index >= keep and not (record.leaving or record.phase.gone):
            state = sent_away(state, record, now)
    if to is None:
        return state, effects
    for index in range(partition.replicas, wanted):
        record_ = state.instances.get(f"{name}-{index}")
        if record_ is None or record_.phase is InstancePhase.RETIRED:
            state, start = begun(state, name, index, now)
            effects.append(start)
    if all(_waits(state.instances[f"{name}-{index}"]) for index in range(partition.replicas, wanted)):
        state = _having(state, name, dataclasses.replace(partition, paused=True, since=now))
        state = topology.owned_otherwise(state, name)
    return state, effects


def _paused(state: JobState, name: str, now: float) -> tuple[JobState, list[Effect]]:
    """The owners are giving up what they own: see whether all have."""
    partition = state.partitions[name]
    since = now if partition.since is None else partition.since
    owners = [record for record in _records(state, name) if record.index < partition.replicas]
    held = [record for record in owners if not _has_given_up(record, partition)]
    if not held:
        assert partition.to is not None
        state = _having(state, name, Partition(partition.epoch + 2, partition.to))
        return topology.changed(topology.owned_otherwise(state, name), name), []
    late = [record for record in held if _is_late(record, since, now)]
    since = now if late else since
    if since != partition.since:
        state = _having(state, name, dataclasses.replace(partition, since=since))
    return state, [KillInstance(record.instance, record.epoch) for record in late if record.phase.living]


def _may_move(state: JobState, name: str) -> bool:
    """Not once the node, or the job, comes to its end: there is nothing to share any more."""
    ending = any(record.phase in _AT_ITS_END and not record.leaving for record in _records(state, name))
    return state.phase in _GOING_ON and not ending


def _waits(record: InstanceRecord) -> bool:
    """Whether it is ready to own something."""
    return record.phase is InstancePhase.RUNNING and not record.leaving


def _has_given_up(record: InstanceRecord, partition: Partition) -> bool:
    """It has said so, or its process is gone, or it has ended and handles nothing any more."""
    if not record.phase.living or record.phase is InstancePhase.ENDED:
        return True
    sample = record.sample
    return sample is not None and sample.epoch == record.epoch and sample.ownership > partition.epoch


def _is_late(record: InstanceRecord, since: float, now: float) -> bool:
    """It has had a drain's time, or has been silent for so long that it may not be there any more.

    An instance that this controller has not heard yet may be about to speak.
    """
    silent = record.heard and now - max(record.said_last, since) >= SESSION_TIMEOUT_S
    return silent or now - since >= DRAIN_S


def _records(state: JobState, name: str) -> list[InstanceRecord]:
    return [record for record in state.instances.values() if record.node == name]


def _having(state: JobState, name: str, partition: Partition) -> JobState:
    return dataclasses.replace(state, partitions={**state.partitions, name: partition})
