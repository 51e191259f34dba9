"""The controller inside the command that runs a job: one loop, one machine, no service beside it.

It carries samples, exits and wishes to `control.step`, and starts, kills and commands to the platform and the links; it
decides nothing. It takes no thread either: whoever runs a job calls `poll` again and again, and between two calls
nothing happens but that pipes and sockets fill, so a view can draw and a signal can come in between.
"""

from __future__ import annotations

import secrets
import string
import sys
from collections import deque
from pathlib import Path

import zmq

from streamer import clock
from streamer.control.events import (
    Ask,
    Asked,
    Effect,
    Event,
    Exited,
    JobSubmitted,
    KillInstance,
    Reported,
    SendCommand,
    StartInstance,
    Ticked,
)
from streamer.control.hosts.link import ControlLink
from streamer.control.jobs import JobAccount, JobSnapshot, account, snapshot
from streamer.control.state import JobState
from streamer.control.step import step
from streamer.errors import HomeError, PlatformError, StateError
from streamer.plan.compile import Plan
from streamer.platform.base import OnOutput
from streamer.platform.local import LocalPlatform
from streamer.protocol.account import InstanceAccount
from streamer.state.account import read_account

INSTANCE_PROGRAM = (sys.executable, "-m", "streamer.runtime")
DEAD_LETTERS_FILE = "dead-letters.jsonl"

_JOB_ID_LETTERS = string.digits + string.ascii_lowercase
_JOB_ID_LENGTH = 12
_NOT_STARTED = 126
"""Exit code told of a life that could not begin (a shell's code for a command that it cannot execute)."""
_TICK_S = 0.05
_TICK_MIN_S = 0.01
"""Reports that come together are answered together: at most this often."""


class EmbeddedHost:
    """Runs one job of `plan` below `home`. `on_output` gets node, instance and line of what algorithms print.

    `stdout_to_stderr`: a `stdout` sink writes to standard error, because standard output is wanted for something else.
    """

    def __init__(self, plan: Plan, home: Path, *, on_output: OnOutput, stdout_to_stderr: bool = False) -> None:
        self.job = "".join(secrets.choice(_JOB_ID_LETTERS) for _ in range(_JOB_ID_LENGTH))
        self.folder = home.absolute() / "jobs" / self.job
        self._plan = plan
        self._token = secrets.token_hex(16)
        self._state: JobState | None = None
        self._link: ControlLink | None = None
        self._platform = LocalPlatform(
            INSTANCE_PROGRAM,
            logs=self.folder / "logs",
            on_output=on_output,
            stdout_fd=2 if stdout_to_stderr else 1,
        )
        self._events: deque[Event] = deque()
        self._started_at = 0.0
        self._ticked_at = 0.0

    def start(self) -> None:
        """Make the job's folder and start its instances. Raises PlatformError."""
        try:
            self.folder.mkdir(mode=0o700, parents=True)
            for part in ("instances", "logs"):
                (self.folder / part).mkdir(mode=0o700)
        except OSError as error:
            raise HomeError(f"the job's folder {self.folder} cannot be made: {error}") from error
        self._link = ControlLink(self._token)
        self._started_at = clock.wall()
        self._take(JobSubmitted(self.job, self._plan))

    def poll(self, timeout_s: float) -> JobSnapshot:
        """Serve reports, exits and output for `timeout_s`, or until the job has ended."""
        deadline = clock.now() + timeout_s
        while True:
            active = self._serve()
            now = clock.now()
            pace_s = _TICK_MIN_S if active else _TICK_S
            if now - self._ticked_at >= pace_s:
                self._ticked_at = now
                self._take(Ticked())
                active = False
            if self._job_state().phase.ended or now >= deadline:
                return self._snapshot()
            self._wait(min(deadline - now, _TICK_MIN_S if active else _TICK_S))

    def drain(self) -> None:
        """End the job in order: what has been read is finished."""
        self._take(Asked(Ask.DRAIN))

    def kill(self) -> None:
        """End the job at once, with kill -9."""
        self._take(Asked(Ask.KILL))

    def account(self) -> JobAccount:
        """The account from the instances' pages, also of those that were killed."""
        return account(self._job_state(), clock.now(), self._pages())

    def close(self) -> None:
        """Kill what is left and let go of everything."""
        self._platform.close()
        if self._link is not None:
            self._link.close()
            self._link = None

    # -- world to controller ------------------------------------------------------------------------------------------

    def _serve(self) -> bool:
        """Whether something has happened. Samples come first: the last one of a life is sent before its exit."""
        active = False
        for sample in self._control().receive():
            self._take(Reported(sample))
            active = True
        for exit_ in self._platform.poll():
            page = self._page(exit_.instance)
            completed = page.completed if page is not None else 0
            self._take(Exited(exit_.instance, exit_.epoch, exit_.code, exit_.output, completed))
            active = True
        return active

    def _wait(self, timeout_s: float) -> None:
        poller = zmq.Poller()
        poller.register(self._control().socket, zmq.POLLIN)
        poller.register(self._platform.fileno(), zmq.POLLIN)
        poller.poll(max(1, round(timeout_s * 1000)))

    def _take(self, event: Event) -> None:
        """Step, and do what the controller wants; doing it may make further events, such as a start that fails."""
        self._events.append(event)
        while self._events:
            self._state, effects = step(self._state, self._events.popleft(), clock.now())
            for effect in effects:
                self._do(effect)

    # -- controller to world ------------------------------------------------------------------------------------------

    def _do(self, effect: Effect) -> None:
        match effect:
            case StartInstance():
                self._start(effect)
            case SendCommand(instance, epoch, command):
                self._control().send(instance, epoch, command)
            case KillInstance(instance, epoch):
                self._platform.kill(instance, epoch)

    def _start(self, effect: StartInstance) -> None:
        where = {"endpoint": effect.endpoint} if effect.endpoint else {}
        assignment = self._plan.assignment(
            effect.node,
            effect.index,
            job=self.job,
            token=self._token,
            epoch=effect.epoch,
            folder=str(self._instance_folder(effect.instance)),
            dead_letters=str(self.folder / DEAD_LETTERS_FILE),
            control=self._control().endpoint,
            **where,
        )
        try:
            self._platform.start(assignment)
        except PlatformError as error:
            self._events.append(Exited(effect.instance, effect.epoch, _NOT_STARTED, (str(error),)))

    # -- views --------------------------------------------------------------------------------------------------------

    def _snapshot(self) -> JobSnapshot:
        link = self._control()
        return snapshot(
            self._job_state(),
            clock.now(),
            started_at=self._started_at,
            control=link.endpoint,
            folder=self.folder,
            refused=link.refused,
        )

    def _pages(self) -> dict[str, InstanceAccount]:
        pages = {instance: self._page(instance) for instance in self._job_state().instances}
        return {instance: page for instance, page in pages.items() if page is not None}

    def _page(self, instance: str) -> InstanceAccount | None:
        try:
            return read_account(self._instance_folder(instance))
        except StateError:
            # half made by an instance that was killed at its first breath; one that is damaged fails its owner, loudly
            return None

    def _instance_folder(self, instance: str) -> Path:
        return self.folder / "instances" / instance

    def _control(self) -> ControlLink:
        if self._link is None:
            raise PlatformError("the job is not started, or closed already")
        return self._link

    def _job_state(self) -> JobState:
        if self._state is None:
            raise PlatformError("the job is not started")
        return self._state
