"""How a rule is judged: what it made messages wait, what it cost, and how calmly it went about it.

Late is a second with over five seconds of queueing. The oracle holds, in every second, the least replicas that carry
the rate without noise; replicas that start already cost. Decisions to settle are counted from the start and from each
jump of the load: how often a node was changed until it held a right size. A reversal is a change of direction, except
for one: that a node gives back what it had been given for a backlog, once that is gone and the load is what it was.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from autoscaler.simulation.layout import Stage
from autoscaler.simulation.traces import Trace
from autoscaler.simulation.world import StageState, World

LATE_S = 5.0
_JUMP = 0.2
_USE_LEAST = 0.6
"""A right size carries the rate, and has at most one replica more than this use of them asks for."""


@dataclass(frozen=True, slots=True)
class Criteria:
    """Fractions are of the time of the trace. `under` and `over` are replicas missing and too many, as a part of the
    oracle's, averaged over nodes and time (the accuracy of Herbst et al., SPEC 2016); `_time` is how long."""

    late_fraction: float
    queueing_p99_s: float
    oracle_ratio: float
    reversals_per_hour: float
    decisions_to_settle: int
    decisions: int
    max_replicas: int
    under: float
    over: float
    under_time: float
    over_time: float

    def to_document(self) -> dict[str, Any]:
        """The figures that are promised to scripts."""
        return {
            "late_fraction": round(self.late_fraction, 6),
            "oracle_ratio": round(self.oracle_ratio, 6),
            "reversals_per_hour": round(self.reversals_per_hour, 4),
            "decisions_to_settle": self.decisions_to_settle,
            "max_replicas": self.max_replicas,
        }


def oracle(stage: Stage, rate: float) -> int:
    """The least replicas whose capacity is at least `rate`: n * mu / (1 + c (n - 1)) >= rate, solved for n."""
    if stage.rate is None or rate <= 0.0:
        return stage.min_replicas
    left = stage.rate - stage.contention * rate
    if left <= 0.0:
        return stage.max_replicas
    least = math.ceil(rate * (1 - stage.contention) / left - 1e-9)
    return max(stage.min_replicas, 1, min(least, stage.max_replicas))


@dataclass(slots=True)
class _Settling:
    """One node after a jump: decisions until it held a right size."""

    decisions: int = 0
    worst: int = 0
    settled: bool = False

    def begin(self) -> None:
        self.end()
        self.decisions, self.settled = 0, False

    def end(self) -> None:
        """A node that has not settled needs one decision more, at least."""
        self.worst = max(self.worst, self.decisions + (not self.settled and self.decisions > 0))


@dataclass(slots=True)
class _Course:
    """Of one node: its last direction; when it last grew, and what it needed then; what it needs now."""

    direction: int = 0
    grown_at: int = -1
    need_then: int = 0
    need: int = 0


@dataclass(slots=True)
class Tally:
    """Collects while a simulation goes on: `second` after each second, `changed` for each change of replicas."""

    world: World
    trace: Trace
    _waits: list[float] = field(default_factory=list)
    _needs: dict[float, tuple[int, ...]] = field(default_factory=dict)
    _cost: int = 0
    _best: int = 0
    _most: int = 0
    _under: float = 0.0
    _over: float = 0.0
    _under_time: int = 0
    _over_time: int = 0
    _decisions: int = 0
    _reversals: int = 0
    _late_at: int = -1
    _courses: dict[str, _Course] = field(default_factory=dict)
    _settling: dict[str, _Settling] = field(default_factory=dict)

    def second(self, t: int) -> None:
        """What is there at the end of second `t`."""
        world, rate = self.world, self.trace.rates[t]
        if world.disturbance.selectivity_changes(t) or world.disturbance.work_changes(t):
            self._needs.clear()
        needs = self._needs.get(rate)
        if needs is None:
            needs = tuple(oracle(state.stage, rate * state.unit_demand) for state in world.scaled)
            self._needs[rate] = needs
        jumped = self._has_jumped(t)
        total = 0
        for state, need in zip(world.scaled, needs, strict=True):
            held = state.ready + len(state.starting)
            total += held
            self._best += need
            if state.ready < need:
                self._under += (need - state.ready) / need
                self._under_time += 1
            elif state.ready > need:
                self._over += (state.ready - need) / max(1, need)
                self._over_time += 1
            self._courses.setdefault(state.name, _Course()).need = need
            self._settle(state, need, held, jumped)
        self._cost += total
        self._most = max(self._most, total)
        wait = world.queueing_s()
        if wait > LATE_S:
            self._late_at = t
        self._waits.append(wait)

    def _has_jumped(self, t: int) -> bool:
        """Whether the load is another one at once, by more than a fifth."""
        if t == 0:
            return True
        rates = self.trace.rates
        now, before = rates[t], rates[t - 1]
        return abs(now - before) > _JUMP * max(now, before)

    def _settle(self, state: StageState, need: int, held: int, jumped: bool) -> None:
        settling = self._settling.get(state.name)
        if settling is None:
            settling = self._settling[state.name] = _Settling()
        if jumped:
            settling.begin()
        if not settling.settled and need <= held <= math.ceil(need / _USE_LEAST) + 1:
            settling.settled = True

    def changed(self, name: str, change: int) -> None:
        self._decisions += 1
        course = self._courses.setdefault(name, _Course())
        direction = 1 if change > 0 else -1
        if not (direction < 0 < course.direction and self._is_given_back(course)):
            self._reversals += course.direction * direction < 0
            course.direction = direction
        if direction > 0:
            course.grown_at, course.need_then = self.world.now, course.need
        settling = self._settling.get(name)
        if settling is not None and not settling.settled:
            settling.decisions += 1

    def _is_given_back(self, course: _Course) -> bool:
        return self._late_at >= course.grown_at and course.need >= course.need_then

    def criteria(self) -> Criteria:
        seconds = len(self._waits)
        for settling in self._settling.values():
            settling.end()
        parts = seconds * len(self.world.scaled)
        waits = sorted(self._waits)
        return Criteria(
            late_fraction=sum(wait > LATE_S for wait in waits) / seconds,
            queueing_p99_s=waits[min(seconds - 1, int(seconds * 0.99))],
            oracle_ratio=self._cost / max(1, self._best),
            reversals_per_hour=self._reversals * 3600 / seconds,
            decisions_to_settle=max((settling.worst for settling in self._settling.values()), default=0),
            decisions=self._decisions,
            max_replicas=self._most,
            under=self._under / parts,
            over=self._over / parts,
            under_time=self._under_time / parts,
            over_time=self._over_time / parts,
        )
