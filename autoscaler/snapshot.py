"""What one pass of the autoscaler sees: frozen values, made by whoever collects samples and read by the rule alone.

Two rules hold for every field. **Unknown is None (or a missing key), never zero**: an empty answer of a metrics server,
a sample that is too old and a counter that a version does not have are all unknown, and the rule then leaves the node
as it is or waits. **Counters arrive as their growth** over a stretch of time, with the number of samples behind it, so
that resets (a new life of an instance counts from zero again) are dealt with where the samples are, and the rule never
sees a total. Rates are computed by the rule alone.

How the fields are filled, by place:

* `Growth` is what the counters of one instance grew by between its first and last sample in a stretch of `span_s`
  seconds, resets added up, nothing extrapolated. With fewer than two samples there is no growth: None.
* An instance has two of them. `window` covers the metric window (15 to 30 s, `Settings.window_s`); `latest` covers only
  the last two samples, at least a tick apart where the source of metrics allows, and lets a sudden change be seen
  before the window is full of it. None where that source cannot tell it; it may equal `window`.
* Edges are told by the *producing* instance, as in the account: `sent`, `settled`, `backlog`, `in_flight`, `fullness`
  are keyed by the name of the target node. So the backlog of a node is the sum over the instances of its sources.
* `fullness` is 1 also where a producer is held back by another limit than the queue's, such as that of its intake: it
  says that the target gets all that it can take, and that more may be waiting.
* `unread` is for sources: records that wait outside and were not read yet, where the connector can tell (a Kafka lag).
  None elsewhere.
* `replicas` are counted by the platform, not by samples: a ready replica that reports nothing is in `replicas.ready`
  and has either no `InstanceView`, or one with `window=None`.
* Times: `Snapshot.at` and `now` of a pass are the same clock in seconds, which may step; ages and spans are durations
  measured by whoever fills the snapshot, and are never negative.

The alternative, handing over cumulative totals and letting the rule subtract, was rejected: the rule would need the
identity of every instance's life in its memory, and would be as impure as the server that it asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from streamer.plan.assignment import Overload, Role


@dataclass(frozen=True, slots=True)
class Growth:
    """What the counters of one instance grew by in `span_s` seconds, from `samples` >= 2 samples.

    `received`: messages that its handler has taken (for a source: records read). `busy_s`: seconds in the handler,
    without waiting to send, divided by the node's concurrency. `sent` and `settled`: messages, by target node; `sent`
    holds those that were dropped on the way, and not redeliveries. None and missing keys are unknown.
    """

    span_s: float
    samples: int
    received: float | None = None
    busy_s: float | None = None
    sent: Mapping[str, float] = field(default_factory=dict)
    settled: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InstanceView:
    """One instance as its samples show it.

    `age_s`: how old its newest sample is; None if there is none. `backlog`, `in_flight` (messages) and `fullness` (0 to
    1, of the queue that the edge may fill) are of the newest sample, by target node. `unread`: see the module.
    `oldest_unsettled_s`: age of the oldest message that it has sent or taken and that is not settled.
    `accelerator`: the kind of accelerator that it has, '' without one: true rates are kept apart by it.
    """

    name: str
    age_s: float | None = None
    window: Growth | None = None
    latest: Growth | None = None
    backlog: Mapping[str, float] = field(default_factory=dict)
    in_flight: Mapping[str, float] = field(default_factory=dict)
    fullness: Mapping[str, float] = field(default_factory=dict)
    unread: float | None = None
    oldest_unsettled_s: float | None = None
    accelerator: str = ""


@dataclass(frozen=True, slots=True)
class Replicas:
    """Instances of one node by state, as the platform counts them; each is in one of them.

    `ready`: at work. `starting`: asked for, not at work yet. `leaving`: told to go, still finishing; they count for
    nothing that is to come. `replaced`: going away to be followed by another (a new version, a moved key group).
    `failing`: died, and waiting for the next try: they hold their place and do no work.
    """

    ready: int = 0
    starting: int = 0
    leaving: int = 0
    replaced: int = 0
    failing: int = 0

    @property
    def held(self) -> int:
        """What a wish for replicas is compared with: all but those that leave."""
        return self.ready + self.starting + self.replaced + self.failing


@dataclass(frozen=True, slots=True)
class Resources:
    """What one replica asks of the platform. `gpu_kind` '' means any kind; it says nothing if `gpu` is 0."""

    cpu: float = 0.1
    gpu: float = 0.0
    gpu_kind: str = ""
    memory_bytes: float = 0.0


@dataclass(frozen=True, slots=True)
class History:
    """Rates of the past, for a seasonal forecast: one value per `step_s` seconds, the oldest first, the last one now.

    Messages per second that a source took in (its demand, where that is known); None where nothing is known.
    """

    step_s: float
    rates: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class NodeView:
    """One node of a job.

    `min_replicas` and `max_replicas` (None: no bound of the user's) are those of the descriptor; `partitioned` is of a
    stateful node whose messages are shared by key. `pinned`: replicas that a person asked for: the node is left alone.
    `priority`: the higher one is served first when the platform is full. `start_up_s`: seconds from the wish for a
    replica until it is at work, as the platform (or the user) expects them; None: unknown, the rule measures it.
    `starting_ages_s`: for each starting replica, how long ago it was asked for. `history`: of a source, where there is
    one.
    """

    name: str
    role: Role
    replicas: Replicas
    min_replicas: int = 0
    max_replicas: int | None = None
    instances: tuple[InstanceView, ...] = ()
    partitioned: bool = False
    pinned: int | None = None
    resources: Resources = field(default_factory=Resources)
    priority: int = 0
    start_up_s: float | None = None
    starting_ages_s: tuple[float, ...] = ()
    history: History | None = None

    @property
    def scalable(self) -> bool:
        """Whether the node can have several replicas."""
        return self.role is Role.STATELESS or self.partitioned

    @property
    def accelerated(self) -> bool:
        return self.resources.gpu > 0


@dataclass(frozen=True, slots=True)
class EdgeView:
    """An edge of the union of all flows that are alive. `in_cycle`: both ends lie in one cycle: it never blocks."""

    source: str
    target: str
    overload: Overload = Overload.BLOCK
    in_cycle: bool = False


@dataclass(frozen=True, slots=True)
class JobView:
    """One job: its graph, and its nodes. `cycles` are the strongly connected components of more than one node, or of
    one that sends to itself."""

    job: str
    pipeline: str
    nodes: tuple[NodeView, ...]
    edges: tuple[EdgeView, ...] = ()
    cycles: tuple[frozenset[str], ...] = ()


@dataclass(frozen=True, slots=True)
class Room:
    """An amount of what replicas ask for; None is not told, and then does not limit. `gpu` is by kind of accelerator,
    {} where there is none."""

    cpu: float | None = None
    memory_bytes: float | None = None
    gpu: Mapping[str, float] | None = None
    instances: int | None = None


@dataclass(frozen=True, slots=True)
class PlatformView:
    """`capacity`: all that replicas of these jobs can have; `free`: what of it is not taken, by them or by others."""

    capacity: Room = field(default_factory=Room)
    free: Room = field(default_factory=Room)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that one pass sees, taken at `at`.

    `fallback`: the metrics server that was configured does not answer, and the figures come from the instances
    themselves (or are missing): they may justify more replicas, never fewer. `failure` says why in one line, '' if
    nothing failed.
    """

    at: float
    jobs: tuple[JobView, ...]
    platform: PlatformView = field(default_factory=PlatformView)
    fallback: bool = False
    failure: str = ""
