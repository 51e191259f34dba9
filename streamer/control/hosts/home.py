"""The folder in which the jobs of a user lie, and what is found where in it.

Whoever supervises a job writes there; every other command only reads: the control log says which jobs there are, a
job's folder has its logs, its dead letters and the pages of its instances, from which its account can be made at any
moment, also while nobody supervises it. So the names of all these are known in this one place.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from streamer import clock
from streamer.control.book import Book
from streamer.control.jobs import JobAccount, account
from streamer.control.kept_code import keep_code
from streamer.control.records import JobFacts, JobLine, KeptJob
from streamer.errors import HomeError, StateError
from streamer.log.sqlite import SqliteLog
from streamer.plan.compile import Plan
from streamer.protocol.account import InstanceAccount
from streamer.state.account import read_account

CODE_FOLDER = "code"
"""The files of its algorithms, of all its generations, by their digests."""
DEAD_LETTERS_FILE = "dead-letters.sqlite"
INSTANCES_FOLDER = "instances"
LOGS_FOLDER = "logs"
STDOUT_FILE = "stdout"
"""What the `stdout` sinks of a detached job write."""

_JOBS_FOLDER = "jobs"
_LOG_FOLDER = "log"
_JOB_ID_LETTERS = string.digits + string.ascii_lowercase
_JOB_ID_LENGTH = 12


def open_log(home: Path) -> SqliteLog:
    """The control log, made if there is none. Raises HomeError, StateError or LogError."""
    folder = home / _LOG_FOLDER
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise HomeError(f"the folder {folder} cannot be made: {error}") from error
    return SqliteLog(folder)


def has_log(home: Path) -> bool:
    """Whether there was ever a job."""
    return (home / _LOG_FOLDER).exists()


def folder_of(home: Path, job: str) -> Path:
    """Where what belongs to the job lies in this home."""
    return home.absolute() / _JOBS_FOLDER / job


def is_at_home(line: JobLine, folder: Path) -> bool:
    """Whether the job was last seen in this folder: a home may have moved since, or be a copy of another one."""
    try:
        return folder.samefile(line.facts.folder)
    except OSError:
        return False


def new_job(plan: Plan, home: Path, *, detached: bool) -> JobFacts:
    """The facts of a job that begins now."""
    job = "".join(secrets.choice(_JOB_ID_LETTERS) for _ in range(_JOB_ID_LENGTH))
    return JobFacts(
        job=job,
        pipeline=plan.pipeline,
        token=secrets.token_hex(16),
        folder=str(folder_of(home, job)),
        directory=str(Path.cwd()),
        started_at=clock.wall(),
        detached=detached,
    )


def make_folder(folder: Path) -> None:
    """The folder of a job. Raises HomeError."""
    try:
        folder.mkdir(mode=0o700, parents=True)
        for part in (CODE_FOLDER, INSTANCES_FOLDER, LOGS_FOLDER):
            (folder / part).mkdir(mode=0o700)
    except OSError as error:
        raise HomeError(f"the job's folder {folder} cannot be made: {error}") from error


def submit(
    plan: Plan, home: Path, *, duration_s: float | None = None, metrics: str = "", capacity: str | None = None
) -> JobFacts:
    """A detached job in the log, for a host to take up. Raises HomeError, StateError or LogError."""
    log = open_log(home)
    try:
        facts = replace(new_job(plan, home, detached=True), duration_s=duration_s, metrics=metrics, capacity=capacity)
        make_folder(Path(facts.folder))
        book = Book(log, facts)
        book.begin(keep_code(plan, Path(facts.folder) / CODE_FOLDER))
        book.close()
    finally:
        log.close()
    return facts


def account_of(kept: KeptJob) -> JobAccount | None:
    """The account of a job as its instances keep it now; None before it has begun."""
    offset_s = clock.wall() - clock.now()
    state = kept.state(offset_s, 0)
    if state is None:
        return None
    return account(state, clock.now(), pages_of(Path(kept.line.facts.folder), state.instances))


def pages_of(folder: Path, instances: Iterable[str]) -> dict[str, InstanceAccount]:
    """The account pages of those instances of a job that have one."""
    pages = {instance: page_of(folder, instance) for instance in instances}
    return {instance: page for instance, page in pages.items() if page is not None}


def page_of(folder: Path, instance: str) -> InstanceAccount | None:
    try:
        return read_account(folder / INSTANCES_FOLDER / instance)
    except StateError:
        # half made by an instance that was killed at its first breath; one that is damaged fails its owner, loudly
        return None
