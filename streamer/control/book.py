"""One job's place in the control log, for the process that supervises it.

The state of the controller lives in its memory, and the log has what another one would need to go on from it. So after
each step whatever has changed of that is appended, before anything is done about it: a life that is started is known to
have been meant. Only the holder of the claim can write; one that was replaced learns it here and goes away without
touching anything. Records that have not changed are not written again: a report costs nothing here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace

from streamer import clock
from streamer.control.events import Wanted
from streamer.control.records import (
    InstanceLine,
    JobFacts,
    JobLine,
    KeptJob,
    instance_entry,
    job_entry,
    job_line,
    kept_job,
    line_of,
    line_of_instance,
    plan_entry,
    update_entry,
)
from streamer.control.state import InstanceRecord, JobState
from streamer.control.wishes import wishes
from streamer.errors import ClaimError, LogError, StateError
from streamer.log.base import ControlLog, Entry, newest
from streamer.log.topics import Topic
from streamer.plan.compile import Plan


class Book:
    """`facts` are those of the job; `complaint` tells why the last records could not be written, and will be again.

    Who gets wishes in another way does not `listen` for them here.
    """

    def __init__(self, log: ControlLog, facts: JobFacts, *, holder: str = "", listens: bool = True) -> None:
        self.facts = facts
        self.complaint: str | None = None
        self.clock_offset_s = clock.wall() - clock.now()
        self._log = log
        self._claim = log.claim(facts.job, holder or f"process {os.getpid()}")
        self._written: dict[str, bytes | None] = {}
        self._state: JobState | None = None
        self._seen: Mapping[str, InstanceRecord] = {}
        self._plan: Plan | None = None
        self._update: Plan | None = None
        self._news = log.follow([Topic.COMMANDS, Topic.JOBS], scope=facts.job) if listens else None

    @property
    def epoch(self) -> int:
        """Grows from one supervisor of the job to the next."""
        return self._claim.epoch

    def begin(self, plan: Plan) -> None:
        """The job's first records."""
        self._log.append_all([plan_entry(self.facts.job, plan), job_entry(JobLine(self.facts))], claim=self._claim)

    def served_at(self, *, control: str = "", metrics: str = "") -> None:
        """The addresses of this supervisor; what is empty stays as it is."""
        facts = self.facts
        self.facts = replace(facts, control=control or facts.control, metrics=metrics or facts.metrics)
        self._state = None

    def keep(self, state: JobState, beside: Sequence[Entry] = ()) -> None:
        """Append what has changed, after what is to be known before it.

        Raises ClaimError if another process has taken the job over.
        """
        words = [entry for entry in beside if self._written.get(entry.key) != entry.value]
        if state is self._state and not words:
            return
        entries = [*words, *self._changed(state)]
        try:
            self._log.append_all(entries, claim=self._claim)
        except LogError as error:
            self.complaint = str(error)  # the job goes on without a log, as it would without a controller
            return
        self.complaint = None
        self._written.update((entry.key, entry.value) for entry in entries)
        self._state = state
        self._seen = state.instances
        self._plan = state.plan
        self._update = None if state.update is None else state.update.plan

    def wishes(self) -> Sequence[Wanted]:
        """What people have wanted since the last call; at first, since the job began.

        Raises ClaimError if another process has taken the job over, as not every log can tell at an append.
        """
        news = self._news.poll(0.0) if self._news is not None else ()
        for record in news:
            if record.is_claim and (record.epoch or 0) > self._claim.epoch:
                raise ClaimError(f"job {self.facts.job} is supervised by {(record.value or b'').decode()} now")
        return wishes([record for record in news if record.topic is Topic.COMMANDS])

    def close(self) -> None:
        if self._news is not None:
            self._news.close()

    def _changed(self, state: JobState) -> list[Entry]:
        """Instances first: a job that is told to have ended has none that goes on.

        Most states differ from the last one by what instances have counted, which is found out without making records.
        """
        moved = [record for name, record in state.instances.items() if _differs(record, self._seen.get(name))]
        entries = [instance_entry(state.job, record, self.clock_offset_s) for record in moved]
        if state.plan is not self._plan:
            entries.append(plan_entry(state.job, state.plan))
        if state.update is not None and state.update.plan is not self._update:
            entries.append(update_entry(state.job, state.update.plan))
        if moved or self._state is None or any(getattr(state, n) is not getattr(self._state, n) for n in _OF_THE_JOB):
            entries.append(job_entry(line_of(self.facts, state, self.clock_offset_s)))
        return [entry for entry in entries if self._written.get(entry.key) != entry.value]


_OF_THE_JOB = tuple(field.name for field in fields(JobState) if field.name != "instances")


def _differs(record: InstanceRecord, seen: InstanceRecord | None) -> bool:
    """In what is kept of it, or in its address, which stands in the job's record."""
    if record is seen:
        return False
    return seen is None or _kept(record) != _kept(seen)


def _kept(record: InstanceRecord) -> tuple[InstanceLine, str]:
    return line_of_instance(record), record.sample.address if record.sample is not None else ""


def find(log: ControlLog, job: str) -> KeptJob | None:
    """The job as the log has it now. Raises StateError if it cannot be read."""
    return kept_job(newest(log, Topic.JOBS, scope=job), newest(log, Topic.ASSIGNMENTS, scope=job), job)


def lines(log: ControlLog, unreadable: Callable[[StateError], object]) -> list[JobLine]:
    """All jobs that the log has, in the order in which they began; a record that cannot be read costs its job alone."""
    jobs = newest(log, Topic.JOBS)
    found = []
    for job in dict.fromkeys(record.scope for record in jobs.values()):
        try:
            line = job_line(jobs, job)
        except StateError as error:
            unreadable(error)
            continue
        if line is not None:
            found.append(line)
    return sorted(found, key=lambda line: line.facts.started_at)
