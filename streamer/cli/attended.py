"""`streamer run --kafka`: a job of a cluster, with all that it needs beside it on this machine.

The command starts an agent of its own, and a controller if none answers, and starts either again if it dies: they are
processes, so that the death of one is not the command's, and the job goes on meanwhile. With the command they end, and
so do the instances on this machine; a job that is to outlive it is submitted.
"""

from __future__ import annotations

import dataclasses
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streamer import clock
from streamer.cli.cluster_jobs import ClusterJobs, Hearing
from streamer.cli.exits import FAILED, OK
from streamer.cli.interrupts import Interrupts
from streamer.cli.jobs import home_folder
from streamer.cli.output import account_table, say, tell, terminal_width
from streamer.cli.submit import put
from streamer.cluster_limits import (
    AGENT_BEAT_S,
)
from streamer.control.cluster.wire import Member
from streamer.control.events import Ask
from streamer.control.hosts.home import STDOUT_FILE, folder_of
from streamer.control.jobs import JobStatus
from streamer.control.records import KeptJob
from streamer.control.wishes import want_end
from streamer.plan.compile import Plan

_LOOK_S = 0.2
_LOGS = "cluster"
_READ_BYTES = 1 << 20
_END_S = 10.0


def run_attended(plan: Plan, bootstrap: str, *, duration_s: float | None, as_json: bool) -> int:
    """The exit code. Raises OptionError, StateError or LogError."""
    with ClusterJobs.opened(bootstrap, home_folder()) as jobs, Interrupts() as interrupts, _helpers() as helpers:
        agent = f"run-{os.getpid()}-{secrets.token_hex(3)}"  # there may be this number on another machine
        helpers.start("agent", "--name", agent)
        hearing = Hearing(jobs.log)
        while not hearing.is_there(Member.CONTROLLER) and hearing.for_s() < 2 * AGENT_BEAT_S:
            time.sleep(_LOOK_S)
        job = put(jobs.log, plan, duration_s=duration_s, run_by=agent)
        tell(f"job {job} of pipeline {plan.pipeline} at {bootstrap}\n  logs     {helpers.folder}")
        watch = _Watch(jobs, job, helpers, hearing, to_stderr=as_json)
        kept = watch.until_ended(interrupts)
        if kept is None:
            tell(f"job {job} had not begun, and will end as soon as it does")
            return FAILED
        account = jobs.account(kept)
    if kept.line.error:
        tell(kept.line.error)
    if account is not None:
        say(account.to_json() if as_json else account_table(dataclasses.asdict(account), terminal_width(sys.stdout)))
    return FAILED if kept.line.status == JobStatus.FAILED or kept.line.killed else OK


class _Watch:
    """A job, and all that it needs beside it."""

    def __init__(self, jobs: ClusterJobs, job: str, helpers: _Helpers, hearing: Hearing, *, to_stderr: bool) -> None:
        self._jobs = jobs
        self._job = job
        self._helpers = helpers
        self._hearing = hearing
        self._output = _Output(folder_of(jobs.home, job) / STDOUT_FILE, to_stderr=to_stderr)
        self._told = ""
        self._asked: Ask | None = None

    def until_ended(self, interrupts: Interrupts) -> KeptJob | None:
        """The job once it has ended; None if it was not wanted any more before it had begun."""
        while True:
            kept = self._jobs.look(self._job, _LOOK_S)
            self._see_to_helpers()
            self._output.copy()
            self._ask(interrupts.count)
            if kept is None and interrupts.count:
                return None
            if kept is not None:
                self._tell(kept)
                if not kept.line.live:
                    self._output.copy()
                    return kept

    def _see_to_helpers(self) -> None:
        self._helpers.look()
        if not self._hearing.is_there(Member.CONTROLLER):
            self._helpers.start("controller")

    def _ask(self, interrupts: int) -> None:
        wanted = {0: None, 1: Ask.DRAIN}.get(interrupts, Ask.KILL)
        if wanted is not None and wanted is not self._asked:
            self._asked = wanted
            tell("draining: Ctrl-C again ends at once" if wanted is Ask.DRAIN else "ending at once")
            want_end(self._jobs.log, self._job, wanted)

    def _tell(self, kept: KeptJob) -> None:
        nodes = "  ".join(f"{node} {count}" for node, count in kept.line.replicas.items())
        text = f"{kept.line.status}  {nodes}"
        if text != self._told:
            self._told = text
            tell(text)


class _Output:
    """What `stdout` sinks of this machine have written, as it comes."""

    def __init__(self, path: Path, *, to_stderr: bool) -> None:
        self._path = path
        self._to = sys.stderr if to_stderr else sys.stdout
        self._offset = 0

    def copy(self) -> None:
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            while chunk := file.read(_READ_BYTES):
                self._offset += len(chunk)
                self._to.buffer.write(chunk)
        self._to.flush()


@dataclasses.dataclass(slots=True)
class _Helper:
    command: tuple[str, ...]
    log: Path
    process: subprocess.Popen[bytes]
    started_at: float


class _Helpers:
    """Processes that are there as long as the command is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._helpers: list[_Helper] = []

    def start(self, *command: str) -> None:
        """One of each."""
        if any(helper.command[0] == command[0] for helper in self._helpers):
            return
        log = self.folder / f"{command[0]}.log"
        self._helpers.append(_Helper(command, log, self._begun(command, log), clock.now()))

    def look(self) -> None:
        """Whoever has died is started again."""
        for helper in self._helpers:
            code = helper.process.poll()
            if code is not None and clock.now() - helper.started_at >= AGENT_BEAT_S:
                tell(f"the {helper.command[0]} has died ({code}) and is started again, see {helper.log}")
                helper.process = self._begun(helper.command, helper.log)
                helper.started_at = clock.now()

    def end(self) -> None:
        for helper in reversed(self._helpers):
            helper.process.send_signal(signal.SIGTERM)
        for helper in self._helpers:
            try:
                helper.process.wait(_END_S)
            except subprocess.TimeoutExpired:
                helper.process.kill()
                helper.process.wait()

    def _begun(self, command: tuple[str, ...], log: Path) -> subprocess.Popen[bytes]:
        """In a session of its own: a Ctrl-C of the terminal is the command's."""
        with log.open("ab") as output:
            return subprocess.Popen(
                (sys.executable, "-m", "streamer", *command, "--attached", str(os.getpid())),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )


@contextmanager
def _helpers() -> Iterator[_Helpers]:
    folder = home_folder() / _LOGS / str(os.getpid())
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    helpers = _Helpers(folder)
    try:
        yield helpers
    finally:
        helpers.end()
