"""The states of a job and of an instance, as tables.

Restarting, draining, killing and failing overlap, and a controller that keeps them as flags meets combinations that
nobody thought of. So every phase stands here with the events that it may meet and where they lead; an event that a
phase does not know is a defect of ours and raises, naming both. `step` says which event has come; nothing else may
change a phase.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from streamer.errors import LifecycleError


class JobPhase(StrEnum):
    """`killing` and `failing` wait for the last instance to be gone, so that no ended job has a living instance."""

    STARTING = "starting"
    RUNNING = "running"
    DRAINING = "draining"
    KILLING = "killing"
    FAILING = "failing"
    COMPLETED = "completed"
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        return self in (JobPhase.COMPLETED, JobPhase.STOPPED, JobPhase.FAILED)

    @property
    def ending_by_force(self) -> bool:
        """No instance is started any more."""
        return self in (JobPhase.KILLING, JobPhase.FAILING)


class JobEvent(StrEnum):
    READY = "ready"
    """Every instance handles messages, or has done so."""
    DRAIN = "drain"
    KILL = "kill"
    FAIL = "fail"
    GONE = "gone"
    """The last instance is gone."""
    RESUME = "resume"
    """It goes on from where it failed."""


JOB: Mapping[JobPhase, Mapping[JobEvent, JobPhase]] = {
    JobPhase.STARTING: {
        JobEvent.READY: JobPhase.RUNNING,
        JobEvent.DRAIN: JobPhase.DRAINING,
        JobEvent.KILL: JobPhase.KILLING,
        JobEvent.FAIL: JobPhase.FAILING,
        JobEvent.GONE: JobPhase.COMPLETED,
    },
    JobPhase.RUNNING: {
        JobEvent.DRAIN: JobPhase.DRAINING,
        JobEvent.KILL: JobPhase.KILLING,
        JobEvent.FAIL: JobPhase.FAILING,
        JobEvent.GONE: JobPhase.COMPLETED,
    },
    JobPhase.DRAINING: {
        JobEvent.DRAIN: JobPhase.DRAINING,
        JobEvent.KILL: JobPhase.KILLING,
        JobEvent.FAIL: JobPhase.FAILING,
        JobEvent.GONE: JobPhase.STOPPED,
    },
    JobPhase.KILLING: {
        JobEvent.DRAIN: JobPhase.KILLING,
        JobEvent.KILL: JobPhase.KILLING,
        JobEvent.GONE: JobPhase.STOPPED,
    },
    JobPhase.FAILING: {
        JobEvent.DRAIN: JobPhase.FAILING,
        JobEvent.KILL: JobPhase.FAILING,
        JobEvent.GONE: JobPhase.FAILED,
    },
    JobPhase.COMPLETED: {JobEvent.DRAIN: JobPhase.COMPLETED, JobEvent.KILL: JobPhase.COMPLETED},
    JobPhase.STOPPED: {JobEvent.DRAIN: JobPhase.STOPPED, JobEvent.KILL: JobPhase.STOPPED},
    JobPhase.FAILED: {
        JobEvent.DRAIN: JobPhase.FAILED,
        JobEvent.KILL: JobPhase.FAILED,
        JobEvent.RESUME: JobPhase.STARTING,
    },
}


class InstancePhase(StrEnum):
    """The first four are what a living instance says about itself.

    `left`: its process ended in order, but the word that it had ended is not here yet: the two come on different ways.
    `restarting`: dead, and waits its delay. `dead`: will not be started again, unless its job is resumed. `retired`:
    its node was scaled down; it may be started again when the node is scaled up.
    """

    STARTING = "starting"
    RUNNING = "running"
    DRAINING = "draining"
    ENDED = "ended"
    LEFT = "left"
    RESTARTING = "restarting"
    COMPLETED = "completed"
    DEAD = "dead"
    RETIRED = "retired"

    @property
    def living(self) -> bool:
        """Its process is there, as far as is known."""
        return self in (InstancePhase.STARTING, InstancePhase.RUNNING, InstancePhase.DRAINING, InstancePhase.ENDED)

    @property
    def gone(self) -> bool:
        return self in (InstancePhase.COMPLETED, InstancePhase.DEAD, InstancePhase.RETIRED)


class InstanceEvent(StrEnum):
    SAYS_STARTING = "says starting"
    SAYS_RUNNING = "says running"
    SAYS_DRAINING = "says draining"
    SAYS_ENDED = "says ended"
    LEAVES = "leaves"
    """Its process ended with exit code 0."""
    DIES = "dies"
    """Its process ended otherwise, or left without a word."""
    STARTS = "starts"
    RETIRES = "retires"
    """It is gone, and its node needs it no more."""
    ENDS = "ends"
    """It is gone while its job is being ended by force, or waits for a start that will not come."""
    RESUMES = "resumes"
    """Its job failed, and goes on."""


def _ways_out(left: InstancePhase, died: InstancePhase) -> Mapping[InstanceEvent, InstancePhase]:
    return {
        InstanceEvent.LEAVES: left,
        InstanceEvent.DIES: died,
        InstanceEvent.RETIRES: InstancePhase.RETIRED,
        InstanceEvent.ENDS: InstancePhase.DEAD,
    }


_AT_WORK: Mapping[InstanceEvent, InstancePhase] = {
    InstanceEvent.SAYS_RUNNING: InstancePhase.RUNNING,
    # back to running is legal: a parent that comes back after a death reopens an input that had ended
    InstanceEvent.SAYS_DRAINING: InstancePhase.DRAINING,
    InstanceEvent.SAYS_ENDED: InstancePhase.ENDED,
    **_ways_out(InstancePhase.LEFT, InstancePhase.RESTARTING),
}

INSTANCE: Mapping[InstancePhase, Mapping[InstanceEvent, InstancePhase]] = {
    InstancePhase.STARTING: {InstanceEvent.SAYS_STARTING: InstancePhase.STARTING, **_AT_WORK},
    InstancePhase.RUNNING: _AT_WORK,
    InstancePhase.DRAINING: _AT_WORK,
    # all that it held is settled: a new life would find nothing to do, so whatever its exit code is, it has completed
    InstancePhase.ENDED: {
        InstanceEvent.SAYS_ENDED: InstancePhase.ENDED,
        **_ways_out(InstancePhase.COMPLETED, InstancePhase.COMPLETED),
    },
    InstancePhase.LEFT: {
        InstanceEvent.SAYS_STARTING: InstancePhase.LEFT,
        InstanceEvent.SAYS_RUNNING: InstancePhase.LEFT,
        InstanceEvent.SAYS_DRAINING: InstancePhase.LEFT,
        InstanceEvent.SAYS_ENDED: InstancePhase.COMPLETED,
        InstanceEvent.DIES: InstancePhase.RESTARTING,
        InstanceEvent.RETIRES: InstancePhase.RETIRED,
        InstanceEvent.ENDS: InstancePhase.DEAD,
    },
    InstancePhase.RESTARTING: {
        InstanceEvent.STARTS: InstancePhase.STARTING,
        InstanceEvent.RETIRES: InstancePhase.RETIRED,
        InstanceEvent.ENDS: InstancePhase.DEAD,
    },
    InstancePhase.COMPLETED: {},
    InstancePhase.DEAD: {InstanceEvent.RESUMES: InstancePhase.RESTARTING},
    InstancePhase.RETIRED: {InstanceEvent.STARTS: InstancePhase.STARTING},
}

_State = TypeVar("_State", JobPhase, InstancePhase)
_Event = TypeVar("_Event", JobEvent, InstanceEvent)


def follow(table: Mapping[_State, Mapping[_Event, _State]], state: _State, event: _Event) -> _State:
    """Where `event` leads from `state`. Raises LifecycleError if the table has no such entry."""
    after = table[state].get(event)
    if after is None:
        raise LifecycleError(f"{type(state).__name__} {state.value!r} does not know the event {event.value!r}")
    return after
