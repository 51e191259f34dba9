"""One job from its start to its verdict: descriptors, processes, faults, the end, and what is left in the files.

The schedule may want a drain, or the sources may come to their end; else the job is drained when its faults are over.
Whatever ended it, by then nothing may be in flight, and everything that a source has read must be in the sinks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from streamer import clock
from streamer.control.hosts.home import INSTANCES_FOLDER
from streamer.control.jobs import JobStatus
from streamer.control.records import KeptJob
from streamer.limits import DRAIN_S
from streamer.plan.compile import Plan
from streamer.state.home import state_folder
from streamer.testing.keyed import record_of
from streamer.testing.verify.checker import Arrival, Evidence, Verdict, judge
from streamer.testing.verify.client import Clients, Sent
from streamer.testing.verify.disks import Disk, ForbiddenGrowth, MemoryDisk
from streamer.testing.verify.job import TriedJob, arrivals, is_at_work
from streamer.testing.verify.links import Links
from streamer.testing.verify.nemesis import Nemesis
from streamer.testing.verify.pipeline import descriptor_plan, flow_plans, sink_file, ways
from streamer.testing.verify.schedule import Schedule, disk_nodes
from streamer.testing.verify.shapes import Counting, Shape

_LOOK_S = 0.05
_START_S = 60.0
_STRIKE_S = 5.0
"""A fault waits for so long until there is somebody to whom it can be done."""
_COMPLETION_S = 10.0
"""A stall makes a bounded source late; beyond this it is not waited for."""
_END_S = DRAIN_S + 10.0
_LIMIT_S = 300.0
"""A job whose verifier was killed is drained by its own supervisor at this age."""


@dataclass(frozen=True, slots=True)
class Bench:
    """Where jobs are tried: the folder of all that belongs to them, and what can be done to their machine.

    `own_disks`: state folders can be file systems of their own.
    """

    folder: Path
    links: Links
    own_disks: bool
    tell: Callable[[str], None]

    @property
    def home(self) -> Path:
        return self.folder / "home"


@dataclass(frozen=True, slots=True)
class Limits:
    """No fault strikes after `stop_at`, and the job is gone at `gone_at`, both on the clock; at most `faults`."""

    faults: int
    stop_at: float
    gone_at: float


class Trial:
    """A job of this shape in a `folder` of its own, which is empty."""

    def __init__(self, shape: Shape, schedule: Schedule, bench: Bench, folder: Path, limits: Limits) -> None:
        self._shape = shape
        self._schedule = schedule
        self._bench = bench
        self._folder = folder
        self._limits = limits
        self._plan = descriptor_plan(shape, folder, schedule.rate_per_s, schedule.counts)
        self._job = TriedJob(self._plan, bench.home, bench.links, _LIMIT_S)
        self._disks: Mapping[str, Disk] = {node: self._disk(self._state_folder(node)) for node in disk_nodes(shape)}
        self._nemesis = Nemesis(self._job, shape, bench.links, self._disks, bench.tell)
        self._clients = {gateway: Clients(gateway, self._address(gateway)) for gateway in shape.gateways}
        self._addresses: Mapping[str, str] = {}

    def run(self, verdict: Verdict) -> Verdict:
        """Go through with it; `verdict` with what came of it."""
        began = clock.now()
        try:
            self._bench.links.lay(self._plan, self._job.folder)
            self._job.supervise()
            self._start()
            self._suffer()
            kept = self._end()
            sent = [one for clients in self._clients.values() for one in clients.end()]
            self._bench.tell(f"{kept.line.status} after {clock.now() - began:.0f} s")
            return self._judge(verdict, kept, sent)
        finally:
            self._nemesis.release()
            self._job.destroy()
            for clients in self._clients.values():
                clients.end()
            for disk in self._disks.values():
                disk.close()

    # -- the three parts of its life -----------------------------------------------------------------------------------

    def _start(self) -> None:
        deadline = min(clock.now() + _START_S, self._limits.gone_at)
        kept = self._look()
        while kept.line.live and not is_at_work(kept) and clock.now() < deadline:
            kept = self._look()
        if not is_at_work(kept):
            self._bench.tell(f"the job does not start: {kept.line.status} {kept.line.error or ''}")
            self._bench.tell(self._job.last_words())
        for clients in self._clients.values():
            clients.start()

    def _suffer(self) -> None:
        """The faults, one after the other, until the last one has been undone."""
        began = clock.now()
        faults = list(self._schedule.faults[: self._limits.faults])
        kept = self._look()
        while kept.line.live and clock.now() < self._limits.stop_at and (faults or self._nemesis.hurting):
            late_s = clock.now() - began - faults[0].at_s if faults else -1.0
            if late_s >= 0 and (self._nemesis.strike(faults[0], kept) or late_s > _STRIKE_S):
                faults.pop(0)
            kept = self._look()

    def _end(self) -> KeptJob:
        """By itself where all sources end and are given the time; else by a drain."""
        self._nemesis.release()
        kept = self._look()
        if set(self._schedule.counts) == {*self._shape.sources, *self._shape.gateways}:
            kept = self._ended(kept, min(clock.now() + _COMPLETION_S, self._limits.stop_at))
        if kept.line.live:
            self._job.want_drain()
        return self._ended(kept, min(clock.now() + _END_S, self._limits.gone_at))

    def _ended(self, kept: KeptJob, deadline: float) -> KeptJob:
        while kept.line.live and clock.now() < deadline:
            kept = self._look()
        return kept

    def _look(self) -> KeptJob:
        """Wait a moment; then see how it is, and serve what is due."""
        time.sleep(_LOOK_S)
        kept = self._job.kept()
        self._addresses = kept.line.addresses
        self._nemesis.serve(kept)
        return kept

    # -- the verdict ---------------------------------------------------------------------------------------------------

    def _judge(self, verdict: Verdict, kept: KeptJob, sent: Sequence[Sent]) -> Verdict:
        in_order = kept.line.status in (JobStatus.COMPLETED, JobStatus.STOPPED) and not kept.line.killed
        if not in_order:
            self._bench.tell(f"the job has not ended in order: {kept.line.status} {kept.line.error or ''}")
            self._bench.tell(self._job.last_words())
        exposure = self._nemesis.exposure
        exposure.finish()
        read = self._read(in_order=in_order)
        by_client = {one.record: one for one in sent}
        owed = {f"{source}#{n}" for source, numbers in read.items() for n in numbers}
        owed |= {one.record for one in sent if one.answered}
        found, torn = self._arrivals()
        now = clock.now()

        def exposed(record: str) -> bool:
            if record in by_client:
                one = by_client[record]
                return exposure.overlaps(one.began, one.answered or now)
            return exposure.covers(record.partition("#")[0], record_of(record))

        evidence = Evidence(
            ways=[ways(self._shape, plan, {*owed, *(one.record for one in sent)}) for plan in self._flows()],
            owed=owed,
            arrivals=found,
            exposed=exposed,
            sent={record: one.times for record, one in by_client.items()},
            ordered=self._shape.ordered,
            edges={**self._edges(), **dict.fromkeys(self._nemesis.unbalanced, (0, False))},
            counted=self._counted(),
            keys_ordered=self._shape.keys_ordered,
        )
        judged = judge(verdict, evidence, self._bench.tell)
        if not in_order and not judged.unbalanced_edges:
            judged = replace(judged, unbalanced_edges=1)
        share = sum(map(exposed, owed)) / max(1, len(owed))
        self._bench.tell(
            f"{len(owed):,} messages, {share:.0%} of them unsettled at a fault, {judged.duplicates:,} came twice"
            f"{'' if judged.kept else ': BROKEN'}"
        )
        return replace(judged, messages=len(owed), faults=dict(self._nemesis.struck), lost=judged.lost + torn)

    def _read(self, *, in_order: bool) -> Mapping[str, Collection[int]]:
        """By source, the records that must be in the sinks: all that were read, or of a broken job those settled."""
        read: dict[str, Collection[int]] = {}
        for source, progress in self._job.progress(self._shape.sources).items():
            numbers: Collection[int] = range(progress.end)
            if not in_order:
                numbers = [n for n in numbers if all(n in settled for settled in progress.settled)]
            read[source] = numbers
        return read

    def _arrivals(self) -> tuple[Mapping[str, Sequence[Arrival]], int]:
        found = {sink: arrivals(sink_file(self._folder, sink)) for sink in self._shape.sinks}
        torn = sum(count for _, count in found.values())
        if torn:
            self._bench.tell(f"{torn} lines of the sinks cannot be read")
        return {sink: some for sink, (some, _) in found.items()}, torn

    def _flows(self) -> Sequence[Plan]:
        plans = flow_plans(self._shape, self._plan)
        return [plans[number] for number in dict.fromkeys(self._nemesis.flows)]

    def _edges(self) -> Mapping[str, tuple[int, bool]]:
        """Of each edge what is in flight, and whether it balances; out of a source also with what was read."""
        account = self._job.account()
        if account is None:
            return {}
        received = {node.node: node.received for node in account.nodes}
        edges = {}
        for edge in account.edges:
            agrees = edge.sent - edge.abandoned == received[edge.source]
            is_source = edge.source in self._shape.sources and len(self._nemesis.flows) == 1
            edges[f"{edge.source} -> {edge.target}"] = (edge.in_flight, edge.balanced and (agrees or not is_source))
        return edges

    def _counted(self) -> bool:
        kept = {actor.counting for actor in self._shape.actors.values()}
        return Counting.CHECKPOINTED in kept or (Counting.MEMORY in kept and not self._nemesis.struck)

    # -- what it stands on ---------------------------------------------------------------------------------------------

    def _state_folder(self, node: str) -> Path:
        """Keyed state has a folder of its node, all else that an instance keeps one of the instance."""
        if node in self._shape.actors and self._shape.actors[node].counting is Counting.CHECKPOINTED:
            return state_folder(self._job.folder, node)
        return self._job.folder / INSTANCES_FOLDER / f"{node}-0"

    def _disk(self, folder: Path) -> Disk:
        return MemoryDisk(folder) if self._bench.own_disks else ForbiddenGrowth()

    def _address(self, gateway: str) -> Callable[[], str]:
        return lambda: self._addresses.get(gateway, "")
