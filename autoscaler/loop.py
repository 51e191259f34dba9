"""The loop around the rule: read, decide, carry out, write down, again every tick.

Nothing that goes wrong in a pass may end what is running: a source of metrics that does not answer gives a snapshot in
which nothing is known, so that every node keeps what it has and the journal says why; and a defect of ours costs one
pass, is shown with its traceback, and is counted. Whoever owns the jobs calls `look` as often as it likes.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Protocol

from autoscaler.collect.base import MetricsSource, Reading
from autoscaler.collect.jobs import can_be_scaled, comes_to_its_end, snapshot_of
from autoscaler.decide import decide
from autoscaler.decision import Action, Decision, Guard, ScalingPlan
from autoscaler.instruments import Instruments
from autoscaler.journal import Journal, journal_from
from autoscaler.memory import EMPTY
from autoscaler.recall import recalled
from autoscaler.settings import Settings
from streamer.clock import Clock
from streamer.control.jobs import JobSnapshot
from streamer.descriptor.resources import Capacity
from streamer.errors import MetricsError, StateError, StreamerError
from streamer.log.base import Entry, Record


class Platform(Protocol):
    """Where the jobs live. Every method may raise StreamerError."""

    def jobs(self) -> Sequence[JobSnapshot]:
        """Those that this autoscaler is to scale."""

    def decisions(self, job: str) -> Iterable[Record]:
        """What the control log has of its topic, the oldest first."""

    def carry_out(self, decision: Decision) -> None:
        """Have the node get its replicas."""

    def write(self, entries: Sequence[Entry]) -> None:
        """Append to the control log."""


class Autoscaler:
    """`clock` is monotonic and times passes; `wall` dates them. `tell` gets what people should read."""

    def __init__(
        self,
        platform: Platform,
        source: MetricsSource,
        capacity: Capacity,
        *,
        settings: Settings,
        clock: Clock,
        wall: Clock,
        tell: Callable[[str], None],
    ) -> None:
        self._platform = platform
        self._source = source
        self._capacity = capacity
        self._settings = settings
        self._clock = clock
        self._wall = wall
        self._tell = tell
        self._memory = EMPTY
        self._known: set[str] = set()
        """Jobs whose journal was looked into."""
        self._carried_out: dict[tuple[str, str], int] = {}
        self._journal = Journal()
        self._due_at = clock() + settings.tick_s
        self._told = ""
        self.instruments = Instruments()

    def look(self) -> float:
        """Make a pass if it is time; gives the seconds until the next one."""
        now = self._clock()
        if now >= self._due_at:
            self._due_at = max(self._due_at + self._settings.tick_s, now)
            try:
                self._pass()
            except StreamerError as error:
                self.instruments.failed("platform")
                self._tell_once(f"{error} {error.advice}")
            except Exception:  # noqa: BLE001 - a supervising loop: the jobs go on, and the next pass may succeed
                self.instruments.failed("defect")
                self._tell_once(f"a pass of the autoscaler has failed:\n{traceback.format_exc()}")
        return max(0.0, self._due_at - self._clock())

    def _pass(self) -> None:
        began = self._clock()
        jobs = [job for job in self._platform.jobs() if can_be_scaled(job)]
        self._recall(job.job for job in jobs)
        now = self._wall()
        reading = self._read([job.job for job in jobs], now)
        snapshot = snapshot_of(jobs, reading, self._capacity, now, self._settings)
        plan, self._memory = decide(snapshot, self._memory, now, self._settings)
        plan = _without(plan, {(job.job, node) for job in jobs for node in comes_to_its_end(job)})
        for decision in plan.decisions:
            self._carry_out(decision)
        self._write(plan)
        self.instruments.passed(plan, self._clock() - began)
        self._tell_once("; ".join(plan.alarms))

    def _recall(self, jobs: Iterable[str]) -> None:
        for job in jobs:
            if job not in self._known:
                with suppress(StateError):  # of another version: nothing is known then, and it is measured
                    self._memory = recalled(self._memory, job, journal_from(self._platform.decisions(job)))
                self._known.add(job)

    def _carry_out(self, decision: Decision) -> None:
        """What changes something, and once what a node has: it stays if a person who has set it gives it back."""
        key = decision.job, decision.node
        if decision.guard is Guard.SINGLE:
            return
        if decision.action is not Action.HOLD or self._carried_out.get(key) != decision.wanted:
            self._platform.carry_out(decision)
            self._carried_out[key] = decision.wanted

    def _read(self, jobs: Sequence[str], now: float) -> Reading:
        try:
            reading = self._source.read(jobs, now)
        except MetricsError as error:
            reading = Reading(fallback=True, failure=f"{error}; every node keeps what it has. {error.advice}")
        if reading.failure:
            self.instruments.failed("metrics")
        return reading

    def _write(self, plan: ScalingPlan) -> None:
        entries = self._journal.news(plan)
        try:
            self._platform.write(entries)
        except StreamerError:
            self._journal.forget(entries)
            raise

    def _tell_once(self, text: str) -> None:
        """What lasts is told when it begins."""
        if text and text != self._told:
            self._tell(text)
        self._told = text


def _without(plan: ScalingPlan, nodes: set[tuple[str, str]]) -> ScalingPlan:
    kept = tuple(decision for decision in plan.decisions if (decision.job, decision.node) not in nodes)
    return ScalingPlan(plan.at, kept, plan.alarms)
