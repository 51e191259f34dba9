"""A job of a cluster with real instances, and how long each change of it takes to be everywhere.

What instances know is read where they have said it, in the log: the reports of their agents have the number of the
wiring by which each goes. Who its peers are an instance does not say; so of a new one it is measured when a message has
come from a peer and is settled by another, which stands in its page on the disk.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from benchmarks.scenario.cluster import PATIENCE_S, Commands
from benchmarks.scenario.side import BenchmarkError
from streamer.control.cluster.wire import report_of, submit_entry, word_of
from streamer.control.events import Ask
from streamer.control.hosts.home import folder_of, new_job, page_of
from streamer.control.jobs import JobStatus
from streamer.control.records import InstanceLine, JobLine, instance_line, job_line
from streamer.control.wishes import want_end, want_flows, want_replicas
from streamer.log.base import Record
from streamer.log.topics import Topic
from streamer.plan.assignment import Wiring
from streamer.plan.change import FlowsChange
from streamer.plan.compile import Plan

_LOOK_S = 0.005
_BREATH_S = 0.1


class Changed:
    """The job; `work` is its middle node, with two instances."""

    def __init__(self, commands: Commands, plan: Plan) -> None:
        self._commands = commands
        self._log = commands.open_log()
        facts = new_job(plan, commands.folder, detached=True)
        self._job = facts.job
        self._follower = self._log.follow([Topic.JOBS, Topic.ASSIGNMENTS, Topic.REPORTS], scope=self._job)
        self._line: JobLine | None = None
        self._instances: dict[str, InstanceLine] = {}
        self._wirings: dict[str, Wiring] = {}
        self._knows: dict[str, int] = {}
        self._lives: dict[str, int] = {}
        self._log.append_all([submit_entry(facts, plan)])

    def __enter__(self) -> Changed:
        self._until(lambda: self._status() == JobStatus.RUNNING)
        self._until(lambda: self._in_use("work-0") and self._in_use("work-1"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        want_end(self._log, self._job, Ask.KILL)
        if kind is None:
            self._until(lambda: self._line is not None and not self._line.live)
        self._log.close()

    def flows(self, number: int) -> float:
        """Seconds until every instance knows that the new version is in force."""
        time.sleep(_BREATH_S)
        change = FlowsChange({"other": "source >> sink" if number % 2 else "source >> work"})
        began_s = time.monotonic()
        wish = want_flows(self._log, self._job, change)
        self._until(lambda: self._answer(wish) is not None)
        version, error = self._answer(wish) or (0, "")
        if error:
            raise BenchmarkError(f"a change of flows was refused: {error}")
        self._until(lambda: all(wiring.current == version for wiring in self._wirings.values()))
        newest = max(wiring.number for wiring in self._wirings.values())
        self._until(lambda: all(self._knows.get(name, 0) >= newest for name in self._living()))
        return time.monotonic() - began_s

    def peers(self) -> float:
        """Seconds from the first report of a third instance until it is in use; then it leaves again."""
        before, last = self._settled("work-2"), self._lives.get("work-2", 0)
        want_replicas(self._log, self._job, "work", 3)
        self._until(lambda: self._lives.get("work-2", 0) > last)
        began_s = time.monotonic()
        self._until(lambda: self._settled("work-2") > before)
        took_s = time.monotonic() - began_s
        want_replicas(self._log, self._job, "work", 2)
        self._until(lambda: "work-2" not in self._living())
        return took_s

    def _until(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not true():
            if time.monotonic() > deadline:
                raise BenchmarkError(f"job {self._job} is {self._status()}, and has not come as far as it was to")
            for record in self._follower.poll(_LOOK_S):
                self._read(record)

    def _read(self, record: Record) -> None:
        if record.is_claim or record.value is None:
            return
        if record.topic is Topic.REPORTS:
            for sample in report_of(record).samples:
                self._knows[sample.instance] = sample.wiring
                self._lives[sample.instance] = max(sample.epoch, self._lives.get(sample.instance, 0))
        elif record.key == self._job:
            self._line = job_line({record.key: record}, record.key)
        elif record.topic is Topic.ASSIGNMENTS and record.key.count("/") == 1:
            line = instance_line(record)
            self._instances[line.instance] = line
        elif record.topic is Topic.ASSIGNMENTS and (word := word_of(record)) and isinstance(word.word, Wiring):
            self._wirings[word.about] = word.word

    def _status(self) -> str:
        return "" if self._line is None else self._line.status

    def _answer(self, wish: int) -> tuple[int, str] | None:
        answers = () if self._line is None else self._line.answers
        return next(((one.version, one.error) for one in answers if one.number == wish), None)

    def _living(self) -> list[str]:
        return [name for name, line in self._instances.items() if line.phase.living]

    def _in_use(self, instance: str) -> bool:
        return self._settled(instance) > 0

    def _settled(self, instance: str) -> int:
        """What it has received and its consumers have settled, over all its lives."""
        if instance not in self._instances:
            return 0
        agent = self._instances[instance].agent
        account = page_of(folder_of(Path(self._commands.folder / agent), self._job), instance)
        return 0 if account is None else sum(edge.settled for edge in account.edges)
