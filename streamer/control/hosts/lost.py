"""Jobs that are live in the log and have nobody who supervises them.

A supervising process can be killed at any moment, and there is no service that would notice. So every command that
looks at the log looks for such jobs first. A detached one goes on under a new supervisor; one that belonged to a
command has died with it, and is written down as failed, by whoever finds it: a job that is told to be running must be.
`resume` brings it back.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from streamer import clock
from streamer.control.book import Book, find, lines
from streamer.control.events import JobSubmitted
from streamer.control.hosts.home import folder_of, is_at_home
from streamer.control.hosts.lock import JobLock, is_supervised
from streamer.control.lifecycle import InstancePhase, JobPhase
from streamer.control.records import JobLine
from streamer.control.step import step
from streamer.errors import SupervisedError
from streamer.log.base import ControlLog


def lost_jobs(log: ControlLog, home: Path) -> list[JobLine]:
    """A copy of a home has the jobs of the other one in its log: whoever supervises those, does it there.

    Records that cannot be read are told by the commands that list jobs.
    """
    found = lines(log, lambda _error: None)
    return [line for line in found if line.live and not is_supervised(folder_of(home, line.facts.job))]


def can_go_on(line: JobLine, home: Path) -> bool:
    return line.facts.detached and is_at_home(line, folder_of(home, line.facts.job))


def bury(log: ControlLog, line: JobLine, home: Path) -> None:
    """Write down that the job has failed with the process that it belonged to."""
    folder = folder_of(home, line.facts.job)
    if not is_at_home(line, folder):
        gone = "has moved" if folder.is_dir() else "is gone"
        _write_failed(log, line.facts.job, f"its folder {line.facts.folder} {gone}")
        return
    try:
        lock = JobLock(folder)
    except SupervisedError:
        return  # it has just found somebody
    _write_failed(log, line.facts.job, "the command that ran it was killed")
    lock.release()


def _write_failed(log: ControlLog, job: str, error: str) -> None:
    kept = find(log, job)
    if kept is None or not kept.line.live:
        return
    book = Book(log, kept.line.facts)
    now = clock.now()
    state = kept.state(book.clock_offset_s, 0) or step(None, JobSubmitted(job, kept.plan), now)[0]
    instances = {
        name: record if record.phase.gone else dataclasses.replace(record, phase=InstancePhase.DEAD)
        for name, record in state.instances.items()
    }
    book.keep(dataclasses.replace(state, phase=JobPhase.FAILED, instances=instances, ended_at=now, error=error))
    book.close()
