"""What the controller knows of one job: frozen, so that `step` can only answer with a new one.

A controller of many jobs keeps one such value for each. A change copies the table of instances, which costs
microseconds at a thousand instances and a few reports a second from each; in exchange every state of every test and
every simulation can be kept, compared and stepped again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from streamer.control.events import Exited
from streamer.control.lifecycle import InstancePhase, JobPhase
from streamer.metrics.samples import InstanceSample
from streamer.plan.assignment import Verb, Wiring
from streamer.plan.compile import Plan, PlannedNode
from streamer.plan.difference import renewed

UNTOLD = -1


@dataclass(frozen=True, slots=True)
class Proposal:
    """A version of the flows that all instances are to know before roots take it: the newest one of `plan`.

    `number` is that of the wish behind it.
    """

    number: int
    plan: Plan
    since: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of the wish of this number: roots take `version` since then, or it is 0, and `error` says why."""

    number: int
    version: int
    error: str = ""


class UpdateStage(StrEnum):
    """New flows are added first, so that new code may name them, and messages of the flows before are waited for; then
    instances are renewed; then what is left of the flows is changed. An update that is undone begins with the third."""

    ADDING = "adding flows"
    SETTLING = "waiting for older messages"
    RENEWING = "renewing instances"
    JOINING = "changing flows"


@dataclass(frozen=True, slots=True)
class Update:
    """The job is on its way to `plan`: the nodes `renewed` get instances of this `generation`, in this order.

    `number` is that of the wish behind it, `before` and `default_before` are the flows that it found, `since` is when
    its stage began, `asked` that a version of the flows was proposed in it. `undone` says why it is taken back: then
    instances of this generation are replaced by those of the one before. `found_at`: since when this controller goes on
    with it, None at first.
    """

    number: int
    generation: int
    plan: Plan
    renewed: tuple[str, ...]
    before: Mapping[str, str]
    default_before: str
    since: float
    stage: UpdateStage = UpdateStage.ADDING
    asked: bool = False
    undone: str = ""
    found_at: float | None = None


@dataclass(frozen=True, slots=True)
class Updated:
    """What became of the update with the wish of this number: its generation is at work since then, or was to be one,
    and `error` says why it is not. `refused`: nothing was begun."""

    number: int
    generation: int
    error: str = ""
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Clear:
    """Since when nobody has said any more that anything of the versions below this one is held."""

    below: int
    since: float


@dataclass(frozen=True, slots=True)
class Partition:
    """Who owns the key groups of a partitioned node: `replicas` instances under this `epoch`.

    `to` are the replicas that it is on its way to. `paused`: the owners are told to give up what they own, under the
    next epoch; `since` when that is, None if this controller has found it so.
    """

    epoch: int
    replicas: int
    to: int | None = None
    paused: bool = False
    since: float | None = None


@dataclass(frozen=True, slots=True)
class InstanceRecord:
    """One instance over all its lives; `epoch` counts them from 1.

    This life: `started_at`, `heard` (a sample came), `progressed` (something was settled or dead-lettered), the quiet
    span (`quiet_since`, and when the last two samples came that still said so with the same counters), when its last
    two samples came at all (`said_before`, `said_last`), what it was `told`, the number of the newest wiring that it
    knows (`wired`) and of the last one that it was told (`told_wired`), its `exit`. Over lives: how long it last took
    from its start until it was at work (`start_up_s`), its `endpoint`, its last `sample`, `deaths` in a row without
    progress, those of them that came soon after the start (`quick_deaths`), and the counts against which the next death
    is judged.

    `leaving`: its node was scaled down, and it hands back what it has not started; `leave_deadline` is when it is
    killed. `renewing`: it does the same, so that a life of another generation takes its place. `generation` is that of
    this life, and `ready_at` when it was first heard to be at work. `returns` counts how often it was started again
    because its node was scaled up, or for another generation.

    `agent`: the machine of a cluster on which it is, '' while it has none; `silent`: nothing has been heard of that
    machine for too long, and the instance waits for it. `was_on`: the machine where it was before, if it may be on
    another one now. `skipped` are epochs that no life had.
    """

    node: str
    index: int
    instance: str
    started_at: float
    phase: InstancePhase = InstancePhase.STARTING
    epoch: int = 1
    endpoint: str = ""
    sample: InstanceSample | None = None

    heard: bool = False
    progressed: bool = False
    quiet_since: float | None = None
    quiet_before: float = 0.0
    quiet_last: float = 0.0
    told_at: float = 0.0
    told_version: int = UNTOLD
    told: frozenset[Verb] = frozenset()
    wired: int = 0
    told_wired: int = UNTOLD
    said_before: float = 0.0
    said_last: float = 0.0

    exit: Exited | None = None
    exited_at: float = 0.0
    restart_at: float = 0.0
    deaths: int = 0
    quick_deaths: int = 0
    completed_before: int = 0
    dead_lettered_before: int = 0

    leaving: bool = False
    leave_deadline: float | None = None
    returns: int = 0
    renewing: bool = False
    generation: int = 1
    ready_at: float | None = None
    start_up_s: float | None = None

    agent: str = ""
    silent: bool = False
    was_on: str = ""
    skipped: int = 0

    def next_life(self, phase: InstancePhase, now: float, wired: int, generation: int) -> InstanceRecord:
        """The same instance, started again with the wiring of this number: what this life knew is forgotten."""
        return dataclasses.replace(
            self,
            phase=phase,
            epoch=self.epoch + 1,
            started_at=now,
            heard=False,
            progressed=False,
            quiet_since=None,
            told_version=UNTOLD,
            told=frozenset(),
            wired=wired,
            told_wired=UNTOLD,
            said_before=0.0,
            said_last=0.0,
            exit=None,
            silent=False,
            renewing=False,
            generation=generation,
            ready_at=None,
        )


@dataclass(frozen=True, slots=True)
class JobState:
    """One job. `versions` says, by node, when the peers of its instances changed last, on the job's own counter.

    `ended` are the nodes of cycles that were ended. `killed`: it did not end in order. `pins` are the replicas that
    people want of nodes, None for a node that they have released; `wish` is the number of their last wish. `decided`
    are those that an autoscaler wants: 0 until there is something for the node to do.

    `replays` are nodes whose instances are to look for dead letters that are wanted again.

    `plan` has the flows in force. `wired` is the number of the wiring that all are to know, which grows with each
    `proposal` and with what becomes of it; `answers` are those to the last wishes, `clear` says which versions may be
    over soon. `partitions` are those of the partitioned nodes, by node. `letters_hold` is the oldest version of which a
    dead letter can be sent in again; who takes the job up looks for it anew.

    `generation` is how many versions of the pipeline the job has had, `update` the next one, while it is under way;
    `updates` tells what became of the last ones.
    """

    job: str
    plan: Plan
    submitted_at: float
    instances: Mapping[str, InstanceRecord]
    versions: Mapping[str, int]
    phase: JobPhase = JobPhase.STARTING
    ended: frozenset[str] = frozenset()
    drain_deadline: float | None = None
    ended_at: float | None = None
    error: str | None = None
    killed: bool = False
    pins: Mapping[str, int | None] = field(default_factory=dict)
    decided: Mapping[str, int] = field(default_factory=dict)
    wish: int = -1
    replays: frozenset[str] = frozenset()
    wired: int = 1
    proposal: Proposal | None = None
    answers: tuple[Answer, ...] = ()
    clear: Clear | None = None
    partitions: Mapping[str, Partition] = field(default_factory=dict)
    letters_hold: int | None = None
    generation: int = 1
    update: Update | None = None
    updates: tuple[Updated, ...] = ()

    def plan_of(self, record: InstanceRecord) -> Plan:
        """What this life of an instance runs."""
        update = self.update
        if update is None or record.generation != update.generation:
            return self.plan
        return renewed(self.plan, update.plan.nodes, counted=False)

    def next_generation(self, record: InstanceRecord) -> int:
        """That of the next life of this instance."""
        update = self.update
        if update is None or update.undone or not (record.renewing or record.generation == update.generation):
            return self.generation
        return update.generation

    def wiring_of(self, node: str) -> Wiring:
        """What every instance of the node is to know of the flows."""
        known = self.plan if self.proposal is None else self.proposal.plan
        return known.wiring(node, self.wired, self.plan.current.number, self.plan.canary)

    def node_of(self, record: InstanceRecord) -> PlannedNode:
        return self.plan.nodes[record.node]

    def having(self, record: InstanceRecord) -> JobState:
        return dataclasses.replace(self, instances={**self.instances, record.instance: record})

    def desired(self, node: str) -> int:
        """Replicas that the node is to have."""
        pinned = self.pins.get(node)
        return self.decided.get(node, self.plan.nodes[node].replicas) if pinned is None else pinned

    def replicas(self) -> Mapping[str, int]:
        """Instances of each node, those that have completed included; not those that its scaling sends away."""
        counts = dict.fromkeys(self.plan.nodes, 0)
        for record in self.instances.values():
            counts[record.node] += not (record.leaving or record.phase is InstancePhase.RETIRED)
        return counts

    def restarts(self) -> Mapping[str, int]:
        """How often instances were started again, by node."""
        counts = dict.fromkeys(self.plan.nodes, 0)
        for record in self.instances.values():
            counts[record.node] += record.epoch - 1 - record.returns - record.skipped
        return counts

    def elapsed_s(self, now: float) -> float:
        return (now if self.ended_at is None else self.ended_at) - self.submitted_at
