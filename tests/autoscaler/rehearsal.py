"""A job and its autoscaler in virtual time: the real controller and the real loop, around a source, a queue, replicas.

`lines` reads what comes, `parse` handles it at a rate for each replica, and all of them report every second. Whatever
is to go wrong is put between the reports and the loop.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from autoscaler.collect.at_hand import AtHand
from autoscaler.collect.base import Histories, MetricsSource, Reading
from autoscaler.collect.jobs import span_s
from autoscaler.decision import Decision
from autoscaler.loop import Autoscaler
from autoscaler.settings import Settings
from streamer.control.events import Decided
from streamer.control.jobs import JobSnapshot, snapshot
from streamer.descriptor.resources import Capacity
from streamer.errors import LogError, MetricsError
from streamer.log.base import Entry, Record, everything
from streamer.log.memory import MemoryLog, MemoryStore
from streamer.log.topics import Topic
from streamer.metrics.samples import EdgeSample
from tests.control.plans import LINE
from tests.control.stage import Stage

JOB = "job"
_WALL_S = 1_000_000.0

PLAN = dataclasses.replace(
    LINE,
    nodes={
        **LINE.nodes,
        "parse": dataclasses.replace(LINE.nodes["parse"], replicas=1, min_replicas=0, max_replicas=40),
    },
)


class Rehearsal:
    """`source` is asked for metrics, unless it is None: then they are those at hand. `past` tells of the last seasons,
    `told` is what people read."""

    def __init__(
        self, *, rate: float = 50.0, start_up_s: int = 2, capacity: Capacity | None = None, **settings: float
    ) -> None:
        self.stage = Stage(PLAN)
        self.settings = Settings(**settings)  # type: ignore[arg-type]  # those of them that are floats
        self.log = MemoryLog(MemoryStore())
        self.told: list[str] = []
        self.carried_out: list[Decision] = []
        self.source: MetricsSource | None = None
        self.past: Callable[[float], Histories] | None = None
        self.mute: set[str] = set()
        self.leap_s = 0.0
        self.broken = ""
        self.full = False
        self._rate = rate
        self._start_up_s = start_up_s
        self._capacity = capacity or Capacity()
        self._read = self._sent = 0
        self.queue = 0
        self._handled: dict[str, float] = {}
        self.restart()

    def restart(self) -> None:
        """Whoever decided was killed, and the next one has nothing but the control log."""
        self._at_hand = AtHand(span_s(self.settings))
        self.autoscaler = Autoscaler(
            self, self, self._capacity, settings=self.settings,
            clock=lambda: self.stage.now, wall=self.wall, tell=self.told.append,
        )  # fmt: skip

    def wall(self) -> float:
        return self.stage.now + _WALL_S + self.leap_s

    def play(self, seconds: int, per_s: int) -> None:
        """So many messages come in each of these seconds."""
        for _ in range(seconds):
            self.stage.now += 1.0
            self._read += per_s
            self.queue += per_s
            self._handle()
            self._report()
            self.stage.tick()
            self._at_hand.note(self.snapshot(), self.wall())
            self.autoscaler.look()

    @property
    def replicas(self) -> int:
        return self.stage.state.replicas()["parse"]

    def snapshot(self) -> JobSnapshot:
        found = snapshot(self.stage.state, self.stage.now, started_at=0.0, control="", folder=Path(), refused=0)
        return dataclasses.replace(
            found, ages_s={name: age_s for name, age_s in found.ages_s.items() if name not in self.mute}
        )

    def _ready(self) -> list[str]:
        return [
            r.instance for r in self.stage.state.instances.values() if r.node == "parse" and self._is_ready(r.instance)
        ]

    def _is_ready(self, name: str) -> bool:
        record = self.stage.record(name)
        at_work = self.stage.now - record.started_at >= self._start_up_s
        return record.phase.living and at_work and not record.leaving

    def _handle(self) -> None:
        ready = self._ready()
        taken = min(self.queue, int(self._rate * len(ready)))
        self.queue -= taken
        for name in ready:
            self._handled[name] = self._handled.get(name, 0.0) + taken / len(ready)

    def _report(self) -> None:
        edges = (EdgeSample("parse", sent=self._read, settled=self._read - self.queue, backlog_messages=self.queue),)
        self.stage.says("lines-0", received=self._read, edges=edges)
        self.stage.says("save-0")
        for record in list(self.stage.state.instances.values()):
            if record.node != "parse" or not record.phase.living:
                continue
            if record.leaving:
                self.stage.completes(record.instance)
            elif self._is_ready(record.instance):
                handled = self._handled.get(record.instance, 0.0)
                edges = (EdgeSample("save", sent=int(handled), settled=int(handled)),)
                self.stage.says(record.instance, received=int(handled), busy_s=handled / self._rate, edges=edges)

    # -- what the loop sees -----------------------------------------------------------------------------------------

    def jobs(self) -> Sequence[JobSnapshot]:
        if self.broken:
            raise ZeroDivisionError(self.broken)
        return (self.snapshot(),)

    def decisions(self, job: str) -> Iterable[Record]:
        return everything(self.log, Topic.DECISIONS, scope=job)

    def carry_out(self, decision: Decision) -> None:
        self.carried_out.append(decision)
        self.stage.take(Decided(decision.node, decision.wanted))

    def write(self, entries: Sequence[Entry]) -> None:
        if self.full:
            raise LogError("the disk is full")
        self.log.append_all(entries)

    def read(self, jobs: Sequence[str], now: float) -> Reading:
        found = (self.source or self._at_hand).read(jobs, now)
        return found if self.past is None else dataclasses.replace(found, histories=self.past(now))


class Gone:
    """A metrics server that does not answer."""

    def read(self, jobs: Sequence[str], now: float) -> Reading:
        del jobs, now
        raise MetricsError("http://prometheus:9090 does not answer: Connection refused")


class Empty:
    """A metrics server that knows nothing."""

    def read(self, jobs: Sequence[str], now: float) -> Reading:
        del now
        return Reading(failure=f"Prometheus has no series of job {', '.join(jobs)}")
