"""The jobs of one home as a platform: seen by the control log, and scaled by wishes that their supervisors find there.

It is the way that `streamer scale` takes, so it works whoever supervises a job, and goes on working when that process
is replaced. A job that scales itself (it was started without `--no-autoscale`) is left to itself: two that decide for
one node would undo each other's work. The log is followed and not read anew, so a pass costs what has changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from autoscaler.decision import Decision
from streamer.clock import Clock
from streamer.control.jobs import JobSnapshot, snapshot
from streamer.control.records import KeptJob, kept_job
from streamer.control.wishes import want_decided
from streamer.log.base import ControlLog, Entry, Record, everything
from streamer.log.topics import Topic


class LocalJobs:
    """`clock` is monotonic, `wall` the time of day."""

    def __init__(self, log: ControlLog, *, clock: Clock, wall: Clock) -> None:
        self._log = log
        self._clock = clock
        self._wall = wall
        self._follower = log.follow([Topic.JOBS, Topic.ASSIGNMENTS])
        self._tables: dict[Topic, dict[str, Record]] = {Topic.JOBS: {}, Topic.ASSIGNMENTS: {}}
        self._kept: list[KeptJob] = []

    def jobs(self) -> Sequence[JobSnapshot]:
        while records := self._follower.poll(0.0):
            for record in records:
                self._take(record)
        self._kept = [kept for job in self._names() if (kept := self._job(job)) is not None]
        return [found for kept in self._kept if (found := self._snapshot(kept)) is not None]

    def decisions(self, job: str) -> Iterable[Record]:
        return everything(self._log, Topic.DECISIONS, scope=job)

    def carry_out(self, decision: Decision) -> None:
        want_decided(self._log, decision.job, decision.node, decision.wanted)

    def write(self, entries: Sequence[Entry]) -> None:
        self._log.append_all(entries)

    def addresses(self) -> Mapping[str, str]:
        """Where the metrics of the jobs of the last look are."""
        return {kept.job: kept.line.facts.metrics for kept in self._kept if kept.line.facts.metrics}

    def _take(self, record: Record) -> None:
        table = self._tables[record.topic]
        if record.value is None:
            table.pop(record.key, None)
        elif not record.is_claim:
            table[record.key] = record

    def _names(self) -> list[str]:
        return list(dict.fromkeys(record.scope for record in self._tables[Topic.JOBS].values()))

    def _job(self, job: str) -> KeptJob | None:
        """A live job that does not scale itself; what is known of one that has ended is forgotten."""
        own = {key: one for key, one in self._tables[Topic.ASSIGNMENTS].items() if one.scope == job}
        kept = kept_job(self._tables[Topic.JOBS], own, job)
        if kept is None or (kept.line.live and kept.line.facts.capacity is None):
            return kept
        for key in own:
            del self._tables[Topic.ASSIGNMENTS][key]
        return None

    def _snapshot(self, kept: KeptJob) -> JobSnapshot | None:
        """None for a job that has not begun."""
        facts, now = kept.line.facts, self._clock()
        state = kept.state(self._wall() - now, 0)
        if state is None:
            return None
        return snapshot(
            state,
            now,
            started_at=facts.started_at,
            control=facts.control,
            folder=Path(facts.folder),
            refused=0,
        )
