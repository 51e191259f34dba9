"""What others see of a job: a snapshot while it goes on, and its account, which is also the contract of `--json`.

The controller's own state stays inside: a view, an endpoint or a script that read it would fix its shape. A snapshot
comes from what instances report and may be a moment old. The account comes from the instances' pages, which survive a
kill, so that what it says is what happened, also of an instance that never reported it.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from streamer.control.lifecycle import InstancePhase, JobPhase
from streamer.control.state import InstanceRecord, JobState
from streamer.control.update import outcome, progress
from streamer.metrics.samples import InstanceSample
from streamer.plan.compile import Plan
from streamer.protocol.account import EdgeCounts, InstanceAccount


class JobStatus(StrEnum):
    """`stopping` covers a drain and an end by force alike, until the last instance is gone."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    COMPLETED = "completed"
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        return self in (JobStatus.COMPLETED, JobStatus.STOPPED, JobStatus.FAILED)


_STATUS = {
    JobPhase.STARTING: JobStatus.STARTING,
    JobPhase.RUNNING: JobStatus.RUNNING,
    JobPhase.DRAINING: JobStatus.STOPPING,
    JobPhase.KILLING: JobStatus.STOPPING,
    JobPhase.FAILING: JobStatus.STOPPING,
    JobPhase.COMPLETED: JobStatus.COMPLETED,
    JobPhase.STOPPED: JobStatus.STOPPED,
    JobPhase.FAILED: JobStatus.FAILED,
}


def status_of(state: JobState) -> JobStatus:
    return _STATUS[state.phase]


@dataclass(frozen=True, slots=True)
class JobSnapshot:
    """A job now. `started_at` is the time of day.

    `samples` has the last sample of each instance that ever reported, `instances` the phase of every instance by name,
    `restarts` counts by node. `error` tells why the job failed or was killed, `killed` that it did not end in order.
    `desired` are the replicas that each node is to have, `pins` those of them that people want, `plan` has the nodes
    and the flows of now. `control` is where the controller listens, `folder` where logs and dead letters lie, `refused`
    counts messages that came there without the job's token.

    `start_up_s` are the seconds that instances of a node took to come to work, where that was seen. `ages_s` says how
    long ago each living instance has reported, `starting_s` how long ago each that is not at work yet
    was started; `leaving` are those that their node's scaling sends away. `moving` are partitioned nodes whose keys are
    on their way to other owners.

    `update` is how far an update is that is under way, or what became of the last one.
    """

    job: str
    pipeline: str
    status: JobStatus
    started_at: float
    elapsed_s: float
    samples: Mapping[str, InstanceSample]
    instances: Mapping[str, str]
    restarts: Mapping[str, int]
    error: str | None
    killed: bool
    control: str
    folder: Path
    refused: int
    plan: Plan
    desired: Mapping[str, int] = field(default_factory=dict)
    update: str = ""
    pins: Mapping[str, int] = field(default_factory=dict)
    start_up_s: Mapping[str, float] = field(default_factory=dict)
    ages_s: Mapping[str, float] = field(default_factory=dict)
    starting_s: Mapping[str, float] = field(default_factory=dict)
    leaving: frozenset[str] = frozenset()
    moving: frozenset[str] = frozenset()

    @property
    def addresses(self) -> Mapping[str, str]:
        """Where gateways take messages: URLs by node."""
        return {sample.node: sample.address for sample in self.samples.values() if sample.address}


def snapshot(
    state: JobState, now: float, *, started_at: float, control: str, folder: Path, refused: int
) -> JobSnapshot:
    records = state.instances.values()
    return JobSnapshot(
        job=state.job,
        pipeline=state.plan.pipeline,
        status=status_of(state),
        started_at=started_at,
        elapsed_s=state.elapsed_s(now),
        samples={record.instance: record.sample for record in records if record.sample is not None},
        instances={r.instance: str(r.phase) for r in records if r.phase is not InstancePhase.RETIRED},
        restarts=state.restarts(),
        error=state.error,
        killed=state.killed,
        control=control,
        folder=folder,
        refused=refused,
        plan=state.plan,
        desired={node: state.desired(node) for node in state.plan.nodes},
        update=progress(state) or outcome(state.updates),
        pins={node: replicas for node, replicas in state.pins.items() if replicas is not None},
        start_up_s=_start_ups(records),
        ages_s={r.instance: max(0.0, now - r.said_last) for r in records if r.heard and r.phase.living},
        starting_s={r.instance: max(0.0, now - r.started_at) for r in records if r.phase is InstancePhase.STARTING},
        leaving=frozenset(r.instance for r in records if r.leaving and not r.phase.gone),
        moving=frozenset(node for node, one in state.partitions.items() if one.paused or one.to is not None),
    )


def _start_ups(records: Iterable[InstanceRecord]) -> Mapping[str, float]:
    """The mean of each node."""
    seen: dict[str, list[float]] = {}
    for record in records:
        if record.start_up_s is not None:
            seen.setdefault(record.node, []).append(record.start_up_s)
    return {node: sum(spans) / len(spans) for node, spans in seen.items()}


@dataclass(frozen=True, slots=True)
class EdgeAccount:
    """One edge, summed over the instances of its source node."""

    source: str
    target: str
    sent: int
    settled: int
    dead_lettered: int
    dropped: Mapping[str, int]
    abandoned: int
    in_flight: int
    redelivered: int

    @property
    def balanced(self) -> bool:
        dropped = sum(self.dropped.values())
        return self.sent == self.settled + self.dead_lettered + dropped + self.abandoned + self.in_flight


@dataclass(frozen=True, slots=True)
class NodeAccount:
    """One node; `instances` is their number when the end or the stop came."""

    node: str
    instances: int
    restarts: int
    received: int
    failed: int


@dataclass(frozen=True, slots=True)
class JobAccount:
    """What became of every message. Names and order of the fields are a contract: users' scripts read them."""

    job: str
    pipeline: str
    status: JobStatus
    duration_s: float
    edges: tuple[EdgeAccount, ...]
    nodes: tuple[NodeAccount, ...]

    @property
    def balanced(self) -> bool:
        return all(edge.balanced for edge in self.edges)

    def to_json(self) -> str:
        """One line, one document."""
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False)


def account(state: JobState, now: float, pages: Mapping[str, InstanceAccount]) -> JobAccount:
    """The account from the pages of the instances that have one; every node is there, and every edge that ever was."""
    by_node: dict[str, list[InstanceAccount]] = {name: [] for name in state.plan.nodes}
    for instance, page in pages.items():
        record = state.instances[instance]
        if record.phase is InstancePhase.RETIRED:
            page.recover()  # nobody will hear any more what became of what it had not seen settled
        by_node[record.node].append(page)
    counts = state.replicas()
    restarts = state.restarts()
    return JobAccount(
        job=state.job,
        pipeline=state.plan.pipeline,
        status=status_of(state),
        duration_s=round(state.elapsed_s(now), 3),
        edges=tuple(_edge(source, target, by_node[source]) for source, target in state.plan.edges_ever()),
        nodes=tuple(
            NodeAccount(
                name,
                counts[name],
                restarts[name],
                sum(page.received for page in pages_),
                sum(page.failed for page in pages_),
            )
            for name, pages_ in by_node.items()
        ),
    )


def _edge(source: str, target: str, pages: Iterable[InstanceAccount]) -> EdgeAccount:
    counts: list[EdgeCounts] = [edge for page in pages for edge in page.edges if edge.target == target]
    dropped: Counter[str] = Counter()
    for edge in counts:
        dropped.update(edge.dropped)
    return EdgeAccount(
        source,
        target,
        sent=sum(edge.sent for edge in counts),
        settled=sum(edge.settled for edge in counts),
        dead_lettered=sum(edge.dead_lettered for edge in counts),
        dropped=dict(dropped),
        abandoned=sum(edge.abandoned for edge in counts),
        in_flight=sum(edge.in_flight for edge in counts),
        redelivered=sum(edge.redelivered for edge in counts),
    )
