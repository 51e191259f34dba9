"""The local platform of one machine of a cluster: it runs what the control log gives it, and says what becomes of it.

It decides nothing but one thing: an instance that dies while nobody leads its job is started again here. All else it
reads: which instances are its own, in which life, and what they are to be told, which it tells them again and again, as
a controller on the same machine would. Its instances outlive it; one that comes back takes up those that it finds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import zmq

from streamer import clock as clocks
from streamer.cluster_limits import (
    AGENT_BEAT_S,
    AGENT_REPORT_S,
    CODE_LATE_S,
)
from streamer.control.cluster.code import Arrived
from streamer.control.cluster.feed import Feed, Post
from streamer.control.cluster.held import (
    HeldJob,
    Life,
    Over,
    is_ahead,
    is_due,
    is_to_end,
    needs_of,
    plan_of,
    remember,
    tell,
)
from streamer.control.cluster.wire import Beat, JobReport, Left, beat_entry, facts_of, report_entry
from streamer.control.events import NOT_STARTED, Exited
from streamer.control.hosts.exits import exited
from streamer.control.hosts.home import (
    CODE_FOLDER,
    DEAD_LETTERS_FILE,
    INSTANCES_FOLDER,
    LOGS_FOLDER,
    STDOUT_FILE,
    folder_of,
    make_folder,
    page_of,
)
from streamer.control.hosts.link import ControlLink
from streamer.control.lifecycle import JobPhase
from streamer.control.records import InstanceLine, JobLine
from streamer.descriptor.resources import NOTHING, Capacity
from streamer.errors import HomeError, PlatformError, StateError
from streamer.limits import (
    COMMAND_REPEAT_S,
)
from streamer.log.base import Record
from streamer.log.topics import Topic
from streamer.metrics.samples import InstanceSample
from streamer.plan.assignment import Assignment
from streamer.plan.compile import Plan
from streamer.platform.alone import AlonePlatform, is_locked
from streamer.state.home import state_folder
from streamer.state.life import read_life

_LINK_FILE = "agent-{}.json"
"""In the folder of a job: where the instances of it find the agent of this name."""


ORDERS = (Topic.CODE, Topic.JOBS, Topic.ASSIGNMENTS)
"""What an agent follows."""


@dataclass(frozen=True, slots=True)
class Machine:
    """`address` is the host at which instances of other machines reach those of this one. `of_run`: see `Beat`."""

    agent: str
    home: Path
    home_id: str
    address: str
    capacity: Capacity
    of_run: bool = False


class Agent:
    """`orders` is a feed of the topics `ORDERS`, from their beginning. One thread calls it."""

    def __init__(
        self,
        machine: Machine,
        command: tuple[str, ...],
        orders: Feed,
        post: Post,
        say: Callable[[str], None],
        *,
        clock: clocks.Clock = clocks.now,
    ) -> None:
        self._machine = machine
        self._command = command
        self._orders = orders
        self._post = post
        self._say = say
        self._clock = clock
        self._jobs: dict[str, HeldJob] = {}
        self._code = Arrived()
        self._beat_at = 0.0

    def serve(self) -> None:
        """What is due by now; never waits."""
        now = self._clock()
        for record in self._orders.take():
            self._read(record)
        if not self._orders.caught_up:
            return
        for job in tuple(self._jobs.values()):
            self._listen(job, now)
            self._settle(job, now)
            if job.words or now - job.told_at >= COMMAND_REPEAT_S:
                job.words, job.told_at = False, now
                tell(job)
            if job.news or now - job.reported_at >= AGENT_REPORT_S:
                self._report(job, now)
        if now - self._beat_at >= AGENT_BEAT_S:
            self._beat_at = now
            self._post.leave([beat_entry(self._beat())])

    def wait(self, timeout_s: float) -> None:
        """Until an instance says or prints something, or ends; what the log says may come without it."""
        poller = zmq.Poller()
        for job in self._jobs.values():
            if job.link is not None and job.platform is not None:
                poller.register(job.link.socket, zmq.POLLIN)
                poller.register(job.platform.fileno(), zmq.POLLIN)
        poller.poll(max(1, round(timeout_s * 1000)))

    @property
    def lives(self) -> Mapping[str, Mapping[str, int]]:
        """Epochs of what runs here, by job and instance."""
        return {job.name: {name: life.epoch for name, life in job.lives.items()} for job in self._jobs.values()}

    def end(self) -> None:
        """Kill every instance that runs here."""
        for job in self._jobs.values():
            for instance in job.lives:
                job.kill(instance)

    def close(self) -> None:
        """Instances go on."""
        for job in self._jobs.values():
            job.put_away()
        self._orders.close()
        self._post.close()

    # -- what the log says --------------------------------------------------------------------------------------------

    def _read(self, record: Record) -> None:
        try:
            if record.topic is Topic.CODE:
                self._code.take(record)
            elif not (record.is_claim or record.value is None):
                remember(self._jobs.setdefault(record.scope, HeldJob(record.scope)), record)
        except StateError as error:
            self._say(f"{error}")

    # -- what is to run here ------------------------------------------------------------------------------------------

    def _settle(self, job: HeldJob, now: float) -> None:
        """Kill what is not to be here, and start what is."""
        line, plan = job.line, job.plan
        if line is None or plan is None:
            return
        if not line.live:
            self._finish(job, line, now)
            return
        own = {name: one for name, one in job.lines.items() if one.agent == self._machine.agent}
        wanted = {name: one for name, one in own.items() if one.phase.living or is_ahead(job, one)}
        for instance in job.lives:
            if is_to_end(job, instance, wanted.get(instance)):
                job.kill(instance)
        for instance, one in wanted.items():
            if instance not in job.lives and one.node in job.flows and is_due(job, one, now):
                self._open(job, line, plan)
                self._begin(job, one, line, now)

    def _open(self, job: HeldJob, line: JobLine, plan: Plan) -> None:
        """Make what the instances of a job need here, or find it again."""
        if job.platform is not None:
            return
        folder = self._folder(job)
        if not folder.is_dir():
            make_folder(folder)
        kept = folder / _LINK_FILE.format(self._machine.agent)
        endpoint = ""
        with suppress(OSError, ValueError, KeyError):
            endpoint = json.loads(kept.read_text())["control"]
        job.link = ControlLink(line.facts.token, endpoint, lasting=True)
        kept.write_text(json.dumps({"control": job.link.endpoint}))
        job.platform = AlonePlatform(self._command, logs=folder / LOGS_FOLDER, stdout=folder / STDOUT_FILE)
        self._say(f"runs instances of job {job.name} of pipeline {plan.pipeline}")

    def _begin(self, job: HeldJob, one: InstanceLine, line: JobLine, now: float) -> None:
        """Start the next life, or take up the one that is here."""
        assert job.platform is not None and job.link is not None
        folder = self._folder(job) / INSTANCES_FOLDER / one.instance
        epoch = one.epoch
        if one.instance in job.over:
            epoch = max(epoch, job.over[one.instance].left.exit.epoch + 1)
        life = read_life(folder)
        if life is not None and life.epoch >= epoch:
            job.platform.adopt(one.instance, life.epoch, life.pid, life.started)
            job.lives[one.instance] = Life(life.epoch, one.generation)
            return
        if is_locked(folder):
            return  # it has just been started, or something of its last life is left
        plan = plan_of(job, one)
        if plan is None:
            return  # its generation stands in a topic that was not read so far
        assignment = plan.assignment(
            one.node,
            one.index,
            job=job.name,
            token=line.facts.token,
            epoch=epoch,
            folder=str(folder),
            dead_letters=str(self._folder(job) / DEAD_LETTERS_FILE),
            state=str(state_folder(self._folder(job), one.node)),
            control=job.link.endpoint,
            endpoint=one.endpoint or f"tcp://{self._machine.address}:0",
            alone=True,
            kept=str(self._folder(job) / CODE_FOLDER),
            wiring=job.flows[one.node],
        )
        try:
            if not self._has_code(job, assignment, now):
                return
            job.platform.start(assignment)
        except (PlatformError, HomeError) as error:
            self._ended(job, Exited(one.instance, epoch, NOT_STARTED, (str(error),)), None, now)
        else:
            job.lives[one.instance] = Life(epoch, one.generation)

    def _has_code(self, job: HeldJob, assignment: Assignment, now: float) -> bool:
        """Whether the code of this life lies here. Raises HomeError, or PlatformError if it does not come."""
        code, instance = assignment.code, assignment.instance
        lacking = self._code.put(job.name, code, Path(assignment.kept)) if code is not None else ()
        if lacking and now - job.lacking.setdefault(instance, now) < CODE_LATE_S:
            return False
        job.lacking.pop(instance, None)
        if lacking:
            raise PlatformError(
                f"{', '.join(lacking)}, code of instance {instance}: its content is not in the control log",
                remedy="Give the job its code again: streamer update JOB FILE; streamer resume JOB if it has failed.",
            )
        return True

    def _finish(self, job: HeldJob, line: JobLine, now: float) -> None:
        """The job has ended: nothing of it stays here, after a last report."""
        for instance in job.lives:
            job.kill(instance)
        if not job.lives:
            if job.platform is not None:
                self._report(job, now)
                self._say(f"job {job.name} is {line.status}")
                if line.phase is not JobPhase.FAILED:  # else it may go on
                    self._post.leave(self._code.removal(job.name))
            job.put_away()
            del self._jobs[job.name]

    # -- what happens here --------------------------------------------------------------------------------------------

    def _listen(self, job: HeldJob, now: float) -> None:
        if job.platform is None or job.link is None:
            return
        for sample in job.link.receive():
            life, over = job.lives.get(sample.instance), job.over.get(sample.instance)
            if life is not None and life.epoch == sample.epoch:
                job.words |= life.sample is None
                job.news |= life.sample is None or facts_of(life.sample) != facts_of(sample)
                life.sample = sample
            elif over is not None and over.left.exit.epoch == sample.epoch:
                over.sample, job.news = sample, True
        for exit_ in job.platform.poll():
            last = job.lives.pop(exit_.instance).sample
            self._ended(job, exited(self._folder(job), exit_), last, now)

    def _ended(self, job: HeldJob, exit_: Exited, last: InstanceSample | None, now: float) -> None:
        job.over[exit_.instance] = Over(Left(exit_, page_of(self._folder(job), exit_.instance)), now, last)
        job.news = True

    # -- what is said of it -------------------------------------------------------------------------------------------

    def _report(self, job: HeldJob, now: float) -> None:
        job.reported_at, job.news = now, False
        if job.platform is None and not job.over:
            return
        over = [one for instance, one in job.over.items() if instance not in job.lives]
        report = JobReport(
            self._machine.agent,
            (
                *(life.sample for life in job.lives.values() if life.sample is not None),
                *(one.sample for one in over if one.sample is not None),
            ),
            tuple(one.left for one in over),
            {instance: life.epoch for instance, life in job.lives.items()},
            self._machine.home_id,
        )
        self._post.leave([report_entry(job.name, report)])

    def _beat(self) -> Beat:
        used = NOTHING
        for job in self._jobs.values():
            for instance in job.lives:
                used = used.plus(needs_of(job, instance))
        machine = self._machine
        return Beat(machine.agent, machine.address, machine.home_id, machine.capacity, used, machine.of_run)

    def _folder(self, job: HeldJob) -> Path:
        return folder_of(self._machine.home, job.name)
