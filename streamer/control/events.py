"""What happens to a controller, and what it wants done: the only two things that pass between `step` and a host.

Both are frozen values, so that a story told in a test, in a simulation or by a real job reads the same. Every event
names the life it speaks of (instance and epoch): events are doubled, late and out of order, and one that speaks of a
life that is over must change nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from streamer.metrics.samples import InstanceSample
from streamer.plan.assignment import Code, Command
from streamer.plan.change import FlowsChange, FlowsRollback
from streamer.plan.compile import Plan

UNSEEN = 256
"""Told as the exit code of a process that was no child of ours and left no word: no process can have it."""
NOT_STARTED = 126
"""Told as that of a life that could not begin (a shell's code for a command that it cannot execute)."""


@dataclass(frozen=True, slots=True)
class JobSubmitted:
    """A job begins. Later ones for the same state are repeats."""

    job: str
    plan: Plan


@dataclass(frozen=True, slots=True)
class Reported:
    sample: InstanceSample


@dataclass(frozen=True, slots=True)
class Exited:
    """A process is gone. `code` is negative for a signal, `UNSEEN` if nobody saw it; `output` its last lines.

    `completed` is the count of its account page, over all lives of the instance. It may have left word in its folder:
    `ended`, that all it held is settled, so its last report need not be waited for; `cannot_open`, that its algorithm
    or connector cannot be opened, which no new life would change; `handler_error`, the traceback of a handler's error
    that is to end the job; `renewed`, that it has left for its next life. The exit code alone may be the user's own.
    """

    instance: str
    epoch: int
    code: int
    output: tuple[str, ...] = ()
    completed: int = 0
    ended: bool = False
    cannot_open: bool = False
    handler_error: str = ""
    renewed: bool = False


class Ask(StrEnum):
    DRAIN = "drain"
    KILL = "kill"


@dataclass(frozen=True, slots=True)
class Asked:
    """A person, or a time limit that a person set, wants the job to end.

    `number` grows as that of `Scaled`; None if it did not come by the log.
    """

    ask: Ask
    number: int | None = None


@dataclass(frozen=True, slots=True)
class Scaled:
    """Somebody pins the replicas of a node, or (None) leaves them to the engine again.

    `number` grows from wish to wish, so that one which comes again does not undo a later one.
    """

    node: str
    replicas: int | None
    number: int


@dataclass(frozen=True, slots=True)
class Decided:
    """An autoscaler wants so many replicas of a node. A stateless one may have none. A pin goes before it.

    `number` grows as that of `Scaled`; None if it did not come by the log.
    """

    node: str
    replicas: int
    number: int | None = None


@dataclass(frozen=True, slots=True)
class FlowsSet:
    """Somebody wants other flows, or former ones. `number` grows as that of `Scaled`, from the same count.

    `at` is the time of day at which it was wanted, by the clock of whoever did: it is shown to people, and decides
    nothing.
    """

    change: FlowsChange | FlowsRollback
    number: int
    at: float | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class UpdateWanted:
    """Somebody wants the job to become this plan. `number` grows as that of `Scaled`, from the same count."""

    plan: Plan
    number: int


@dataclass(frozen=True, slots=True)
class ReplayWanted:
    """Somebody has marked dead letters of a node as wanted again. `number` grows as that of `Scaled`."""

    node: str
    number: int


@dataclass(frozen=True, slots=True)
class Resumed:
    """A job that has failed is to go on from where it stood. What was wanted before `number` is over.

    `code`: what its nodes run from now on, where that was read anew.
    """

    number: int
    code: Mapping[str, Code] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LettersHold:
    """The oldest version of the flows that a dead letter came by which can be sent in again; None if there is none."""

    oldest: int | None


@dataclass(frozen=True, slots=True)
class Placed:
    """A machine was found for this life of an instance."""

    instance: str
    epoch: int
    agent: str


@dataclass(frozen=True, slots=True)
class AgentLost:
    """A machine is not heard of any more. `shared`: another one has the same folder of jobs."""

    agent: str
    shared: bool = False


@dataclass(frozen=True, slots=True)
class AgentFound:
    """A machine that was lost is heard of again."""

    agent: str


@dataclass(frozen=True, slots=True)
class NotPlaced:
    """No machine has begun these lives, and none is to: see `placing.needless`."""


@dataclass(frozen=True, slots=True)
class BegunAgain:
    """A machine has started an instance again by itself, since nobody told it anything: this life is there now."""

    instance: str
    epoch: int
    agent: str


@dataclass(frozen=True, slots=True)
class Ticked:
    """Time has passed. Whatever waits for a moment, and every command, leaves at a tick."""


Wanted = Asked | Scaled | Decided | FlowsSet | UpdateWanted | ReplayWanted | Resumed
"""What people want of a job."""

Whereabouts = Placed | NotPlaced | AgentLost | AgentFound | BegunAgain
"""What a cluster says of machines."""

Event = JobSubmitted | Reported | Exited | Wanted | LettersHold | Whereabouts | Ticked


@dataclass(frozen=True, slots=True)
class StartInstance:
    """`endpoint` is where its last life was bound, so that consumers find the new one; '' at its first start."""

    node: str
    index: int
    instance: str
    epoch: int
    endpoint: str


@dataclass(frozen=True, slots=True)
class SendCommand:
    instance: str
    epoch: int
    command: Command


@dataclass(frozen=True, slots=True)
class KillInstance:
    instance: str
    epoch: int


Effect = StartInstance | SendCommand | KillInstance
