"""Jobs that are in the control log, for the commands that look at them or want something of them.

A command opens the log, makes sure that every live job has somebody who supervises it, and finds the job that the user
means: by its id, or by its pipeline's name where only one live job has it. A name that fits nothing is answered with
the nearest ones, since ids are typed by hand.
"""

from __future__ import annotations

import difflib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from streamer import clock
from streamer.cli.on_kafka import chosen_cluster
from streamer.cli.output import table, tell
from streamer.control.book import find, lines
from streamer.control.hosts.home import CODE_FOLDER, account_of, has_log, open_log
from streamer.control.hosts.lock import is_supervised
from streamer.control.hosts.lost import bury, can_go_on, lost_jobs
from streamer.control.jobs import JobAccount
from streamer.control.kept_code import ReadCode, write_code
from streamer.control.records import JobLine, KeptJob, job_line
from streamer.control.update import outcome
from streamer.errors import NoSuchJobError
from streamer.log.base import ControlLog, Follower
from streamer.log.topics import Topic

SUPERVISOR_LOG = "supervisor.log"
LOOK_S = 0.05
"""How often a command that waits for a job looks at the log."""

_TAKE_UP_S = 15.0
_LINES_TOLD = 10


@dataclass(frozen=True, slots=True)
class Jobs:
    """The jobs of one home."""

    log: ControlLog

    def lines(self) -> list[JobLine]:
        return lines(self.log, lambda error: tell(f"{error}; left out. {error.advice}"))

    def find(self, name: str) -> KeptJob:
        """The job that is meant. Raises NoSuchJobError."""
        return self.again(_meant(self.lines(), name).facts.job)

    def find_here(self, name: str) -> KeptJob:
        """The job that is meant, to read in its folder; what of it lies elsewhere is told. Raises NoSuchJobError."""
        kept = self.find(name)
        if elsewhere := self.elsewhere(kept):
            tell(elsewhere)
        return kept

    def elsewhere(self, kept: KeptJob) -> str:  # noqa: ARG002  # all jobs of one home lie in it
        """What is not in the job's folder on this machine; empty if all of it is."""
        return ""

    def again(self, job: str) -> KeptJob:
        """The job as it is now."""
        kept = find(self.log, job)
        if kept is None:
            raise NoSuchJobError(f"job {job} is not in the control log any more")
        return kept

    def news(self, job: str) -> JobNews:
        """The job from now on."""
        follower = self.log.follow([Topic.JOBS], self.log.end([Topic.JOBS]), scope=job)
        return JobNews(self, self.again(job).line, follower)

    def later(self, kept: KeptJob) -> KeptJob:
        """The job as it is by now, with somebody who supervises it."""
        self.see_to(kept.line)
        return self.again(kept.job)

    def see_to(self, line: JobLine) -> None:
        """See that somebody supervises this job."""
        if not is_supervised(Path(line.facts.folder)):
            self.take_up()

    def keep(self, line: JobLine, code: ReadCode) -> None:
        """See that what the job's instances will run is there for them. Raises HomeError, CodeError or LogError."""
        write_code(code.contents, Path(line.facts.folder) / CODE_FOLDER)

    def account(self, kept: KeptJob) -> JobAccount | None:
        """What became of its messages until now; None before it has begun."""
        return account_of(kept)

    def take_up(self) -> None:
        """See that every live job is supervised, or is told to have failed."""
        home = home_folder()
        lost = lost_jobs(self.log, home)
        for line in lost:
            if not can_go_on(line, home):
                bury(self.log, line, home)
        started = [(line, begin_supervising(line)) for line in lost if can_go_on(line, home)]
        for line, process in started:
            if not self._is_taken_up(line, process):
                tell(f"job {line.facts.job} cannot be taken up:\n{last_words(line)}")

    def _is_taken_up(self, line: JobLine, process: subprocess.Popen[bytes]) -> bool:
        """Somebody supervises it, and has said so in the log."""
        folder, before = Path(line.facts.folder), self.log.claimed(line.facts.job)
        deadline = clock.now() + _TAKE_UP_S
        while clock.now() < deadline:
            now = self.log.claimed(line.facts.job)
            newer = now is not None and before is not None and now.epoch > before.epoch
            if (newer and is_supervised(folder)) or not self.again(line.facts.job).line.live:
                return True
            if process.poll() is not None and not is_supervised(folder):
                return False
            time.sleep(LOOK_S)
        return False


@dataclass
class JobNews:
    """One job as its log goes on: for commands that wait for something that few records tell.

    `later` reads the whole job each time, which is cheaper only where little has happened to it.
    """

    jobs: Jobs
    line: JobLine
    _follower: Follower

    def until(self, true: Callable[[JobLine], bool], deadline: float) -> JobLine:
        """The job once this is true of it, once it has ended, or at the deadline, with somebody who supervises it."""
        job = self.line.facts.job
        while self.line.live and not true(self.line) and clock.now() < deadline:
            for record in self._follower.poll(LOOK_S):
                if record.key == job:
                    self.line = job_line({job: record}, job) or self.line
            self.jobs.see_to(self.line)
        return self.line


def home_folder() -> Path:
    return Path(os.environ.get("STREAMER_HOME") or Path.home() / ".streamer").absolute()


@contextmanager
def opened_jobs() -> Iterator[Jobs]:
    """The jobs of a cluster if one was named, else those of the user's home, all live ones supervised.

    Raises OptionError, HomeError, StateError or LogError.
    """
    if bootstrap := chosen_cluster():
        from streamer.cli.cluster_jobs import ClusterJobs  # its client is not needed on one machine

        with ClusterJobs.opened(bootstrap, home_folder()) as elsewhere:
            yield elsewhere
        return
    log = open_log(home_folder())
    try:
        jobs = Jobs(log)
        jobs.take_up()
        yield jobs
    finally:
        log.close()


def take_up_lost_jobs() -> None:
    """For a command that needs no job."""
    if has_log(home_folder()):
        with opened_jobs():
            pass


def begin_supervising(line: JobLine) -> subprocess.Popen[bytes]:
    """Start a process for the job that outlives this one and its terminal."""
    with (Path(line.facts.folder) / SUPERVISOR_LOG).open("ab") as log:
        return subprocess.Popen(
            (sys.executable, "-m", "streamer", "supervise", line.facts.job),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def last_words(line: JobLine) -> str:
    """The end of what the supervising process has said."""
    try:
        text = (Path(line.facts.folder) / SUPERVISOR_LOG).read_text(errors="replace")
    except OSError as error:
        return str(error)
    return "\n".join(text.splitlines()[-_LINES_TOLD:])


def since(line: JobLine) -> str:
    """When the job began, as UTC."""
    return datetime.fromtimestamp(line.facts.started_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def facts_of(line: JobLine) -> dict[str, object]:
    """What `ps` says of a job: a contract with scripts."""
    return {
        "job": line.facts.job,
        "pipeline": line.facts.pipeline,
        "status": line.status,
        "since": since(line),
        "nodes": dict(line.replicas),
        "update": line.update.progress if line.update is not None else outcome(line.updates),
    }


def jobs_table(rows: Sequence[Mapping[str, object]]) -> str:
    """What `ps` says for people: of updates, if there were any, what a line can hold."""
    short = [{**row, "update": str(row["update"]).partition("\n")[0].rstrip(":")} for row in rows]
    keys = ("job", "pipeline", "status", "since", "nodes")
    return table((*keys, "update") if any(row["update"] for row in short) else keys, short)


def lacking(waiting: Sequence[str]) -> str:
    """What is said of instances that wait for a machine; nothing if there are none."""
    return f", and no machine has taken {', '.join(waiting)} so far" if waiting else ""


def nearest(name: str, known: list[str]) -> str:
    """` (did you mean ...?)`, or nothing."""
    close = difflib.get_close_matches(name, known, 3)
    return f" (did you mean {' or '.join(close)}?)" if close else ""


def _meant(all_lines: list[JobLine], name: str) -> JobLine:
    for line in all_lines:
        if line.facts.job == name:
            return line
    named = [line for line in all_lines if line.facts.pipeline == name]
    live = [line for line in named if line.live]
    if len(live) == 1:
        return live[0]
    if live:
        ids = ", ".join(line.facts.job for line in live)
        raise NoSuchJobError(f"pipeline {name} has {len(live)} live jobs: {ids}", remedy="Name one of them by its id.")
    if named:
        ids = ", ".join(line.facts.job for line in named[-3:])
        raise NoSuchJobError(
            f"pipeline {name} has no live job; it had {ids}", remedy="Name a job that has ended by its id."
        )
    known = list(dict.fromkeys(text for line in all_lines for text in (line.facts.job, line.facts.pipeline)))
    raise NoSuchJobError(f"there is no job {name}{nearest(name, known)}")
