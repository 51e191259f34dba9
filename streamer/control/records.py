"""A job as records of the control log: what must be known to take it up where its controller left it.

The log could keep every event and have it replayed; but most events are reports that the next one supersedes, and a
state that was made of a million of them would have to be made again. So it keeps what cannot be learnt anew: the facts
and the phase of the job, its plan, and of each instance its life, its address and its deaths, one record each, which
the next one of the same key supersedes. Reading a record twice, or one that comes again, gives the same state. What
instances say of themselves is not kept: they say it again within a second.

Times in records are times of day, since a monotonic clock means nothing to another process after a restart.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from streamer.control.jobs import JobAccount, status_of
from streamer.control.lifecycle import InstancePhase, JobPhase
from streamer.control.state import (
    Answer,
    InstanceRecord,
    JobState,
    Partition,
    Proposal,
    Update,
    Updated,
    UpdateStage,
)
from streamer.control.update import progress
from streamer.errors import StateError
from streamer.log.base import Entry, Record
from streamer.log.topics import Topic
from streamer.plan.assignment import Canary
from streamer.plan.change import with_version
from streamer.plan.compile import Plan
from streamer.plan.plain import plain, typed
from streamer.plan.versions import FlowVersion

_PLAN = "plan"
_ACCOUNT = "account"
_UPDATE = "update"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class JobFacts:
    """What does not change while one process supervises a job. `started_at` is when the job began.

    `detached`: it outlives the command that began it. `directory` is where its instances work, `control` and `metrics`
    are the addresses at which it is served, '' before that. After `duration_s`, if given, it is drained. Whoever
    supervises it scales it as well, within `capacity` (a text for `parse_capacity`), unless that is None. `run_by` is
    the agent of the `run` on a cluster that it belongs to: its instances are on that one, and it ends with it.
    """

    job: str
    pipeline: str
    token: str
    folder: str
    directory: str
    started_at: float
    detached: bool
    duration_s: float | None = None
    control: str = ""
    metrics: str = ""
    capacity: str | None = None
    run_by: str = ""


@dataclass(frozen=True, slots=True)
class ProposalLine:
    """A version of the flows that is proposed, as a `canary` or for all; the plan without it is the job's."""

    number: int
    version: FlowVersion
    since: float
    canary: Canary | None = None


@dataclass(frozen=True, slots=True)
class UpdateLine:
    """An update that is under way, but for its plan (see `Update`). `progress` tells people how far it is."""

    number: int
    generation: int
    renewed: tuple[str, ...]
    before: Mapping[str, str]
    default_before: str
    since: float
    stage: UpdateStage
    asked: bool
    undone: str
    progress: str = ""


@dataclass(frozen=True, slots=True)
class JobLine:
    """A job but for its instances and its plan. `phase` None: it has not begun.

    `addresses` are those at which its nodes take messages from outside, as far as this supervisor was told them.
    `answers` are those to the last changes of flows that people wanted, `partitions` who owns the keys of its
    partitioned nodes, without the times.
    """

    facts: JobFacts
    status: str = "starting"
    phase: JobPhase | None = None
    replicas: Mapping[str, int] = field(default_factory=dict)
    addresses: Mapping[str, str] = field(default_factory=dict)
    submitted_at: float = 0.0
    ended: frozenset[str] = frozenset()
    drain_deadline: float | None = None
    ended_at: float | None = None
    error: str | None = None
    killed: bool = False
    pins: Mapping[str, int | None] = field(default_factory=dict)
    decided: Mapping[str, int] = field(default_factory=dict)
    wish: int = -1
    replays: frozenset[str] = frozenset()
    proposal: ProposalLine | None = None
    answers: tuple[Answer, ...] = ()
    partitions: Mapping[str, Partition] = field(default_factory=dict)
    generation: int = 1
    update: UpdateLine | None = None
    updates: tuple[Updated, ...] = ()

    @property
    def live(self) -> bool:
        return self.phase is None or not self.phase.ended


@dataclass(frozen=True, slots=True)
class InstanceLine:
    """An instance, as far as it cannot be asked, and what this life has said of the flows.

    `version` is the one that its roots take, `knows` the newest that it knows: 0 if it has not said so yet.
    """

    node: str
    index: int
    instance: str
    phase: InstancePhase
    epoch: int
    endpoint: str
    started_at: float
    exited_at: float
    restart_at: float
    deaths: int
    quick_deaths: int
    completed_before: int
    dead_lettered_before: int
    leaving: bool
    leave_deadline: float | None
    returns: int
    agent: str = ""
    silent: bool = False
    was_on: str = ""
    skipped: int = 0
    version: int = 0
    knows: int = 0
    renewing: bool = False
    generation: int = 1
    start_up_s: float | None = None


_SAME = tuple(
    f.name
    for f in dataclasses.fields(InstanceLine)
    if f.name not in ("started_at", "exited_at", "restart_at", "leave_deadline", "version", "knows")
)


_UPDATE_SAME = tuple(f.name for f in dataclasses.fields(UpdateLine) if f.name not in ("since", "progress"))


def plan_key(job: str) -> str:
    return f"{job}/{_PLAN}"


def plan_entry(job: str, plan: Plan) -> Entry:
    return Entry(Topic.JOBS, plan_key(job), _encoded(plan))


def update_key(job: str) -> str:
    return f"{job}/{_UPDATE}"


def update_entry(job: str, plan: Plan) -> Entry:
    """The plan of the job's last update, which is nobody's any more once that has ended."""
    return Entry(Topic.JOBS, update_key(job), _encoded(plan))


def job_entry(line: JobLine) -> Entry:
    return Entry(Topic.JOBS, line.facts.job, _encoded(line))


def account_entry(account: JobAccount) -> Entry:
    """The account of a job that has ended, where the pages of its instances are on other machines."""
    return Entry(Topic.JOBS, f"{account.job}/{_ACCOUNT}", _encoded(account))


def instance_entry(job: str, record: InstanceRecord, clock_offset_s: float) -> Entry:
    """`clock_offset_s` is the time of day at which the controller's clock shows 0."""
    return Entry(Topic.ASSIGNMENTS, f"{job}/{record.instance}", _encoded(line_of_instance(record, clock_offset_s)))


def line_of_instance(record: InstanceRecord, clock_offset_s: float = 0.0) -> InstanceLine:
    """To be compared with another one, it costs less than to be encoded."""
    sample = record.sample if record.heard else None
    return InstanceLine(
        **{name: getattr(record, name) for name in _SAME},
        started_at=record.started_at + clock_offset_s,
        exited_at=record.exited_at + clock_offset_s,
        restart_at=record.restart_at + clock_offset_s,
        leave_deadline=_moved(record.leave_deadline, clock_offset_s),
        version=sample.version if sample is not None else 0,
        knows=sample.newest_version if sample is not None else 0,
    )


def line_of(facts: JobFacts, state: JobState, clock_offset_s: float) -> JobLine:
    return JobLine(
        facts=facts,
        status=str(status_of(state)),
        phase=state.phase,
        replicas=state.replicas(),
        addresses={r.node: r.sample.address for r in state.instances.values() if r.sample and r.sample.address},
        submitted_at=state.submitted_at + clock_offset_s,
        ended=state.ended,
        drain_deadline=_moved(state.drain_deadline, clock_offset_s),
        ended_at=_moved(state.ended_at, clock_offset_s),
        error=state.error,
        killed=state.killed,
        pins=state.pins,
        decided=state.decided,
        wish=state.wish,
        replays=state.replays,
        proposal=_proposal_line(state.proposal, clock_offset_s),
        answers=state.answers,
        partitions={node: dataclasses.replace(one, since=None) for node, one in state.partitions.items()},
        generation=state.generation,
        update=_update_line(state, clock_offset_s),
        updates=state.updates,
    )


def _update_line(state: JobState, clock_offset_s: float) -> UpdateLine | None:
    update = state.update
    if update is None:
        return None
    same = {name: getattr(update, name) for name in _UPDATE_SAME}
    return UpdateLine(**same, since=update.since + clock_offset_s, progress=progress(state))


def _proposal_line(proposal: Proposal | None, clock_offset_s: float) -> ProposalLine | None:
    if proposal is None:
        return None
    plan = proposal.plan
    return ProposalLine(proposal.number, plan.newest, proposal.since + clock_offset_s, plan.canary)


@dataclass(frozen=True, slots=True)
class KeptJob:
    """One job as the log has it. `account`: it has ended on a cluster; `update`: the plan that it is on its way to."""

    line: JobLine
    plan: Plan
    instances: tuple[InstanceLine, ...]
    account: JobAccount | None = None
    update: Plan | None = None

    @property
    def job(self) -> str:
        return self.line.facts.job

    def desired(self, node: str) -> int:
        """Replicas that the node is to have: see `JobState.desired`."""
        pinned = self.line.pins.get(node)
        return self.line.decided.get(node, self.plan.nodes[node].replicas) if pinned is None else pinned

    def waiting(self, node: str | None = None) -> tuple[str, ...]:
        """The instances (of this node) for which a cluster has no machine so far."""
        if not any(line.agent for line in self.instances):
            return ()
        meant = (line for line in self.instances if node in (None, line.node))
        return tuple(line.instance for line in meant if line.phase.living and not line.agent)

    def state(self, clock_offset_s: float, version: int) -> JobState | None:
        """The state to go on from; None if the job has not begun. Peers and wirings are told anew, from `version` on.

        So an instance that knows one of this number has it from this controller, and from no other.
        """
        line = self.line
        if line.phase is None:
            return None
        return JobState(
            job=line.facts.job,
            plan=self.plan,
            submitted_at=line.submitted_at - clock_offset_s,
            instances={one.instance: _record(one, clock_offset_s) for one in self.instances},
            versions=dict.fromkeys(self.plan.nodes, version),
            phase=line.phase,
            ended=line.ended,
            drain_deadline=_moved(line.drain_deadline, -clock_offset_s),
            ended_at=_moved(line.ended_at, -clock_offset_s),
            error=line.error,
            killed=line.killed,
            pins=line.pins,
            decided=line.decided,
            wish=line.wish,
            replays=line.replays,
            wired=version,
            proposal=self._proposal(clock_offset_s),
            answers=line.answers,
            partitions=line.partitions,
            generation=line.generation,
            update=self._update(clock_offset_s),
            updates=line.updates,
        )

    def _update(self, clock_offset_s: float) -> Update | None:
        line = self.line.update
        if line is None or self.update is None:
            return None
        same = {name: getattr(line, name) for name in _UPDATE_SAME}
        return Update(**same, plan=self.update, since=line.since - clock_offset_s)

    def _proposal(self, clock_offset_s: float) -> Proposal | None:
        line = self.line.proposal
        if line is None:
            return None
        return Proposal(line.number, with_version(self.plan, line.version, line.canary), line.since - clock_offset_s)


def kept_job(jobs: Mapping[str, Record], assignments: Mapping[str, Record], job: str) -> KeptJob | None:
    """The job from the newest records of the two topics; None if there is none. Raises StateError."""
    line = job_line(jobs, job)
    if line is None or plan_key(job) not in jobs:
        return None
    plan = job_plan(jobs[plan_key(job)])
    lines = [
        instance_line(record)
        for record in assignments.values()
        if record.scope == job and record.key.count("/") == 1  # deeper ones are words to instances
    ]
    places = {name: at for at, name in enumerate(plan.nodes)}
    lines.sort(key=lambda one: (places[one.node], one.index))
    ended = jobs.get(f"{job}/{_ACCOUNT}")
    account = None if ended is None else _decoded(JobAccount, ended)
    update = _decoded(Plan, jobs[update_key(job)]) if line.update is not None else None
    return KeptJob(line, plan, tuple(lines), account, update)


def job_line(jobs: Mapping[str, Record], job: str) -> JobLine | None:
    """The job without its plan and its instances, which costs less."""
    return _decoded(JobLine, jobs[job]) if job in jobs else None


def instance_line(record: Record) -> InstanceLine:
    """Raises StateError."""
    return _decoded(InstanceLine, record)


def job_plan(record: Record) -> Plan:
    """Raises StateError."""
    return _decoded(Plan, record)


def _record(line: InstanceLine, clock_offset_s: float) -> InstanceRecord:
    return InstanceRecord(
        **{name: getattr(line, name) for name in _SAME},
        started_at=line.started_at - clock_offset_s,
        exited_at=line.exited_at - clock_offset_s,
        restart_at=line.restart_at - clock_offset_s,
        leave_deadline=_moved(line.leave_deadline, -clock_offset_s),
    )


def _moved(moment: float | None, by_s: float) -> float | None:
    return None if moment is None else moment + by_s


def _encoded(value: object) -> bytes:
    return json.dumps(plain(value), ensure_ascii=False).encode()


def _decoded(kind: type[_T], record: Record) -> _T:
    where = f"the record of {record.key} at {record.offset} in {record.topic} of the control log cannot be read"
    try:
        return typed(kind, json.loads(record.value or b""))
    except StateError as error:
        raise StateError(f"{where}: {error}", remedy=error.advice) from error
    except ValueError as error:
        raise StateError(f"{where}: {error}") from error
