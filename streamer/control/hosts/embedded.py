"""The controller inside the command that runs a job: one loop, one machine, no service beside it.

It carries samples, exits and wishes to `control.step`, and starts, kills and commands to the platform and the links; it
decides nothing. It takes no thread either: whoever runs a job calls `poll` again and again, and between two calls
nothing happens but that pipes and sockets fill, so a view can draw and a signal can come in between.

Every job stands in the control log of its home, so that other commands see it and may want something of it. A job that
is attached lives and dies with the process of its host; a detached one is begun in the log only (`submit`), and each
host that comes, the first one too, takes it up from there (`taking_up`).
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import zmq

from streamer import clock
from streamer.control.book import Book, find
from streamer.control.events import (
    NOT_STARTED,
    Ask,
    Asked,
    Decided,
    Effect,
    Event,
    Exited,
    JobSubmitted,
    KillInstance,
    LettersHold,
    Reported,
    SendCommand,
    StartInstance,
    Ticked,
)
from streamer.control.hosts.exits import exited
from streamer.control.hosts.home import (
    CODE_FOLDER,
    DEAD_LETTERS_FILE,
    INSTANCES_FOLDER,
    LOGS_FOLDER,
    STDOUT_FILE,
    make_folder,
    new_job,
    open_log,
    pages_of,
)
from streamer.control.hosts.link import ControlLink
from streamer.control.hosts.lock import JobLock
from streamer.control.jobs import JobAccount, JobSnapshot, account, snapshot
from streamer.control.kept_code import keep_code
from streamer.control.records import JobFacts, KeptJob
from streamer.control.state import JobState
from streamer.control.step import step
from streamer.errors import LogError, PlatformError, StateError
from streamer.log.base import Entry, Record, everything
from streamer.log.sqlite import SqliteLog
from streamer.log.topics import Topic
from streamer.plan.compile import Plan
from streamer.platform.alone import AlonePlatform, is_locked
from streamer.platform.base import OnOutput
from streamer.platform.local import LocalPlatform
from streamer.protocol.account import InstanceAccount
from streamer.state.dead_letters import DeadLetters
from streamer.state.home import state_folder
from streamer.state.life import read_life

INSTANCE_PROGRAM = (sys.executable, "-m", "streamer.runtime")

_ANY_PORT = "tcp://127.0.0.1:0"
_VERSIONS_OF_AN_EPOCH = 1 << 24
"""Peers are numbered on from here by each host, so that what it tells is newer than what the last one told."""
_TICK_S = 0.05
_LETTERS_S = 0.5
"""How often dead letters are asked for their versions, while there are several."""
_TICK_MIN_S = 0.01
"""Reports that come together are answered together: at most this often."""


class EmbeddedHost:
    """Runs one job of `plan` below `home`. `on_output` gets node, instance and line of what algorithms print.

    `stdout_to_stderr`: a `stdout` sink writes to standard error, because standard output is wanted for something else.
    """

    def __init__(
        self,
        plan: Plan,
        home: Path,
        *,
        on_output: OnOutput,
        stdout_to_stderr: bool = False,
        metrics: str = "",
        capacity: str | None = None,
        detached: JobFacts | None = None,
    ) -> None:
        facts = detached or replace(new_job(plan, home, detached=False), capacity=capacity)
        self.job = facts.job
        self.folder = Path(facts.folder)
        self._facts = replace(facts, metrics=metrics or facts.metrics)
        self._home = home.absolute()
        self._plan = plan
        self._state: JobState | None = None
        self._link: ControlLink | None = None
        self._log: SqliteLog | None = None
        self._records: Book | None = None
        self._lock: JobLock | None = None
        logs = self.folder / LOGS_FOLDER
        self._platform: LocalPlatform | AlonePlatform = (
            AlonePlatform(INSTANCE_PROGRAM, logs=logs, stdout=self.folder / STDOUT_FILE)
            if facts.detached
            else LocalPlatform(INSTANCE_PROGRAM, logs=logs, on_output=on_output, stdout_fd=2 if stdout_to_stderr else 1)
        )
        self._unmet: dict[str, int] = {}
        self._events: deque[Event] = deque()
        self._ticked_at = self._asked_letters_at = 0.0
        self._letters = DeadLetters(self.folder / DEAD_LETTERS_FILE)

    @classmethod
    def taking_up(cls, kept: KeptJob, home: Path, *, on_output: OnOutput, metrics: str = "") -> EmbeddedHost:
        """The host of a detached job, whoever supervised it before."""
        return cls(kept.plan, home, on_output=on_output, metrics=metrics, detached=kept.line.facts)

    def start(self) -> None:
        """Make the job's folder and start its instances, or take up those of a detached job.

        Raises HomeError, SupervisedError, StateError, LogError or PlatformError; nothing is started then.
        """
        if self._facts.detached:
            self._lock = JobLock(self.folder)
            self._log = open_log(self._home)
            kept = find(self._log, self.job)
            if kept is None:
                raise StateError(f"the control log of {self._home} has no job {self.job}")
            self._records = Book(self._log, replace(kept.line.facts, metrics=self._facts.metrics))
            self._link = ControlLink(kept.line.facts.token, kept.line.facts.control, lasting=True)
            state = kept.state(self._records.clock_offset_s, self._records.epoch * _VERSIONS_OF_AN_EPOCH)
        else:
            self._log = open_log(self._home)
            make_folder(self.folder)
            self._lock = JobLock(self.folder)
            self._records = Book(self._log, self._facts)
            self._plan = keep_code(self._plan, self.folder / CODE_FOLDER)
            self._records.begin(self._plan)
            self._link = ControlLink(self._facts.token)
            state = None
        self._records.served_at(control=self._link.endpoint)
        if state is None:
            self._take(JobSubmitted(self.job, self._plan))
        else:
            self._state = state
            self._unmet = {record.instance: record.epoch for record in state.instances.values() if record.phase.living}

    def poll(self, timeout_s: float) -> JobSnapshot:
        """Serve reports, exits and output for `timeout_s`, or until the job has ended."""
        deadline = clock.now() + timeout_s
        while True:
            active = self._serve()
            now = clock.now()
            pace_s = _TICK_MIN_S if active else _TICK_S
            if now - self._ticked_at >= pace_s:
                self._ticked_at = now
                self._ask_letters(now)
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

    def decide(self, node: str, replicas: int) -> None:
        """An autoscaler wants so many replicas of a node."""
        self._take(Decided(node, replicas))

    def records(self, topic: Topic) -> Iterable[Record]:
        """What the control log has of this job, the oldest first. Raises LogError."""
        return () if self._log is None else everything(self._log, topic, scope=self.job)

    def write(self, entries: Sequence[Entry]) -> None:
        """Append what needs no claim to the control log. Raises LogError."""
        if self._log is not None:
            self._log.append_all(entries)

    def account(self) -> JobAccount:
        """The account from the instances' pages, also of those that were killed."""
        return account(self._job_state(), clock.now(), self._pages())

    def close(self) -> None:
        """Let go of everything; instances of a job that is not detached are killed."""
        self._platform.close()
        self._letters.close()
        if self._records is not None:
            self._records.close()
        if self._log is not None:
            if self._state is not None and self._state.phase.ended:
                with suppress(LogError):  # another command will do it when there is room, or time
                    self._log.compact()
            self._log.close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None
        if self._link is not None:
            self._link.close()
            self._link = None

    # -- world to controller ------------------------------------------------------------------------------------------

    def _serve(self) -> bool:
        """Whether something has happened. Samples come first: the last one of a life is sent before its exit."""
        active = False
        self._meet()
        for wish in self._book().wishes():
            self._take(wish)
        for sample in self._control().receive():
            self._take(Reported(sample))
            active = True
        for exit_ in self._platform.poll():
            self._take(exited(self.folder, exit_))
            active = True
        return active

    def _meet(self) -> None:
        """Find the processes of the lives that were begun before this host, or that there is none."""
        for instance, epoch in tuple(self._unmet.items()):
            folder = self._instance_folder(instance)
            life = read_life(folder)
            if life is not None and life.epoch == epoch:
                assert isinstance(self._platform, AlonePlatform)
                self._platform.adopt(instance, epoch, life.pid, life.started)
                if self._job_state().phase.ending_by_force:
                    self._platform.kill(instance, epoch)
            elif is_locked(folder):
                continue  # it has just been started, and will say in a moment who it is
            else:
                self._take(Exited(instance, epoch, NOT_STARTED, ("it was not started",)))
            del self._unmet[instance]

    def _ask_letters(self, now: float) -> None:
        """A version that is about to be over is asked for each time: its last letter is there by now."""
        state = self._job_state()
        due = state.clear is not None or now - self._asked_letters_at >= _LETTERS_S
        if due and len(state.plan.versions) > 1:
            self._asked_letters_at = now
            with suppress(StateError):  # its instances say what is wrong with the store
                if (oldest := self._letters.oldest_version()) != state.letters_hold:
                    self._take(LettersHold(oldest))

    def _wait(self, timeout_s: float) -> None:
        poller = zmq.Poller()
        poller.register(self._control().socket, zmq.POLLIN)
        poller.register(self._platform.fileno(), zmq.POLLIN)
        poller.poll(max(1, round(timeout_s * 1000)))

    def _take(self, event: Event) -> None:
        """Step, and do what the controller wants; doing it may make further events, such as a start that fails."""
        self._events.append(event)
        while self._events:
            happened = self._events.popleft()
            self._state, effects = step(self._state, happened, clock.now())
            if effects or isinstance(happened, Ticked) or self._state.phase.ended:
                self._book().keep(self._state)
            for effect in effects:
                self._do(effect)

    # -- controller to world ------------------------------------------------------------------------------------------

    def _do(self, effect: Effect) -> None:
        match effect:
            case StartInstance():
                self._start(effect)
            case SendCommand(instance, epoch, command):
                # of flows that the log does not have, another controller would know nothing; it is told again
                if command.wiring is None or self._book().complaint is None:
                    self._control().send(instance, epoch, command)
            case KillInstance(instance, epoch):
                self._platform.kill(instance, epoch)

    def _start(self, effect: StartInstance) -> None:
        state = self._job_state()
        assignment = state.plan_of(state.instances[effect.instance]).assignment(
            effect.node,
            effect.index,
            job=self.job,
            token=self._facts.token,
            epoch=effect.epoch,
            folder=str(self._instance_folder(effect.instance)),
            dead_letters=str(self.folder / DEAD_LETTERS_FILE),
            state=str(state_folder(self.folder, effect.node)),
            control=self._control().endpoint,
            endpoint=effect.endpoint or _ANY_PORT,
            alone=self._facts.detached,
            kept=str(self.folder / CODE_FOLDER),
            wiring=state.wiring_of(effect.node),
        )
        try:
            self._platform.start(assignment)
        except PlatformError as error:
            self._events.append(Exited(effect.instance, effect.epoch, NOT_STARTED, (str(error),)))

    # -- views --------------------------------------------------------------------------------------------------------

    def _snapshot(self) -> JobSnapshot:
        link = self._control()
        return snapshot(
            self._job_state(),
            clock.now(),
            started_at=self._facts.started_at,
            control=link.endpoint,
            folder=self.folder,
            refused=link.refused,
        )

    def _pages(self) -> dict[str, InstanceAccount]:
        return pages_of(self.folder, self._job_state().instances)

    def _instance_folder(self, instance: str) -> Path:
        return self.folder / INSTANCES_FOLDER / instance

    def _book(self) -> Book:
        if self._records is None:
            raise PlatformError("the job is not started, or closed already")
        return self._records

    def _control(self) -> ControlLink:
        if self._link is None:
            raise PlatformError("the job is not started, or closed already")
        return self._link

    def _job_state(self) -> JobState:
        if self._state is None:
            raise PlatformError("the job is not started")
        return self._state
