"""A job that has failed goes on from where it stood: as what it was, with all that it had kept.

What brings a job down is often outside of it: a full disk, a handler with a mistake, the terminal in which it ran, the
machine. Its folder has all that it takes to go on: the positions of its sources, its state, what was not settled. So it
is not begun anew, it is taken up like a detached job whose supervising process was killed, once its phase says that it
lives. The folder may have moved meanwhile, or be a copy: it is the one in the home of whoever resumes.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from streamer import clock
from streamer.control.book import Book, find
from streamer.control.events import Resumed
from streamer.control.hosts.home import CODE_FOLDER, INSTANCES_FOLDER, folder_of, is_at_home
from streamer.control.hosts.lock import JobLock
from streamer.control.jobs import JobStatus
from streamer.control.kept_code import keep_code
from streamer.control.records import KeptJob
from streamer.control.step import step
from streamer.control.wishes import want_resumption
from streamer.errors import ResumeError
from streamer.log.base import ControlLog
from streamer.plan.compile import Plan
from streamer.platform.adopted import AdoptedProcess
from streamer.state.life import read_life

_LAST_BREATH_S = 10.0
_LOOK_S = 0.02


def resume(log: ControlLog, home: Path, kept: KeptJob) -> None:
    """The job lives again, and waits for whoever supervises it, detached whatever it was before.

    Raises ResumeError, or SupervisedError if somebody has it in hand.
    """
    job, folder = kept.job, folder_of(home, kept.job)
    _check(kept, folder)
    lock = JobLock(folder)
    try:
        now = find(log, job)
        if now is not None:
            _check(now, folder)
            _revive(log, now, folder)
    finally:
        lock.release()


def lost_input(plan: Plan) -> list[str]:
    """The nodes that read what ends with the command that runs the job."""
    return [node.name for node in plan.nodes.values() if node.connector and node.connector.name == "stdin"]


def _check(kept: KeptJob, folder: Path) -> None:
    line = kept.line
    if line.status != JobStatus.FAILED:
        raise ResumeError(f"job {kept.job} is {line.status}")
    if readers := lost_input(kept.plan):
        raise ResumeError(
            f"node {', '.join(readers)} of job {kept.job} reads stdin, and what it had read is gone",
            remedy="Begin a new job with `streamer run`; a node that reads a file can go on.",
        )
    if not folder.is_dir():
        raise ResumeError(
            f"the folder {folder} of job {kept.job} is gone, and with it what it had kept",
            remedy="Bring the folder back from a copy, or begin a new job with `streamer run`.",
        )


def _revive(log: ControlLog, kept: KeptJob, folder: Path) -> None:
    facts = replace(kept.line.facts, folder=str(folder), detached=True, duration_s=None, control="")
    book = Book(log, facts)
    if is_at_home(kept.line, folder):  # those of a copy are not its own
        _bury_living(folder)
    state = kept.state(book.clock_offset_s, 0)
    if state is not None:
        mended = replace(state, plan=keep_code(state.plan, folder / CODE_FOLDER))
        book.keep(step(mended, Resumed(want_resumption(log, kept.job)), clock.now())[0])
    book.close()


def _bury_living(folder: Path) -> None:
    """Instances of a command that was killed end by themselves, but in their own time: two lives must not meet."""
    for home in (folder / INSTANCES_FOLDER).iterdir():
        life = read_life(home)
        if life is None:
            continue
        process = AdoptedProcess(life.pid, life.started)
        process.kill_group()
        deadline = clock.now() + _LAST_BREATH_S
        while not process.has_ended() and clock.now() < deadline:
            time.sleep(_LOOK_S)
        process.close()
