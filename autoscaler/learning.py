"""What one pass learns of a node: the rate of a replica, its start-up time, and whether its busy time can be trusted.

Busy time says how fast a replica would be if it had always something to do. When it has, that can be checked: while
more than some seconds of work wait (or a queue before it is full) and nothing behind it is, a replica must be busy all
the time. If its counters say 77 %, they miss something (or something holds it up that is no work), and its rate is 1.3
times too high. That is remembered as a calibration, so that an error is paid for once and not at each jump of the load.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from autoscaler.figures import NodeFigures
from autoscaler.memory import NodeMemory
from autoscaler.settings import Settings
from autoscaler.snapshot import NodeView
from autoscaler.speed import Speed, Work

_SATURATED_S = 2.0
"""So many seconds of work must wait at both ends of a window for its replicas to have been busy in all of it."""
_CALIBRATION = (0.5, 1.5)
"""An error of more than that is no error of a measurement."""
_HALF_FULL = 0.5
_WORK_SEEN_LEAST = 0.1
_FELL = 1.25
_OVERDUE = 3.0
_OVERDUE_LEAST_S = 60.0


@dataclass(frozen=True, slots=True)
class Waits:
    """What waits for a node. `backlog`: messages, None if unknown; `pressed`: a queue before it is as good as full."""

    backlog: float | None = None
    pressed: bool = False


def speed_of(memory: NodeMemory, view: NodeView) -> Speed | None:
    """None while nothing is known of a replica's rate."""
    rates = memory.rates
    if not rates:
        return None
    counts = dict.fromkeys(rates, 0)
    for one in view.instances:
        if one.accelerator in counts:
            counts[one.accelerator] += 1
    total = sum(counts.values())
    mean = sum(rates[kind] * count for kind, count in counts.items()) / total if total else min(rates.values())
    contention = memory.work.contention
    alone = mean * memory.calibration * (1 + contention * max(0, memory.ready - 1))
    new = rates.get(view.resources.gpu_kind, min(rates.values())) if len(rates) > 1 else None
    return Speed(alone, contention, None if new is None else new * memory.calibration)


def on_trial(speed: Speed, memory: NodeMemory, view: NodeView) -> Speed:
    """A rate that falls when new replicas come to work may fall because of them: until their gain is known, the one
    from before counts, or a bottleneck outside would be answered with ever more replicas."""
    trial = memory.trial
    if trial is None or view.replicas.starting or trial.rate * memory.calibration <= speed.rate:
        return speed
    return replace(speed, rate=trial.rate * memory.calibration)


def still_on_trial(memory: NodeMemory, speed: Speed, view: NodeView) -> NodeMemory:
    """Without its trial once a rate has fallen by more than it would if all replicas shared one bottleneck: the fall
    has a reason of its own then, such as messages that take longer, and what was known before says nothing any more."""
    trial = memory.trial
    if trial is None:
        return memory
    shared = max(1.0, view.replicas.ready / trial.ready) * speed.rate / memory.calibration
    return replace(memory, trial=None) if trial.rate > _FELL * shared else memory


def learn(
    memory: NodeMemory,
    view: NodeView,
    figures: NodeFigures,
    waits: Waits,
    elapsed_s: float,
    now: float,
    settings: Settings,
) -> NodeMemory:
    """What is known after this pass."""
    started = _start_up(memory, view, elapsed_s)
    if figures.work_changed:  # what was learnt of other work says nothing of this one
        since = memory.work_changed_at if memory.work_just_changed(now, settings) else now
        memory = replace(memory, work=Work(), trial=None, work_changed_at=since)
    if not memory.rates:
        memory = replace(memory, rates=figures.rough_rates)
    if not figures.true_rates:
        return replace(memory, start_up_s=started, starting_ages_s=view.starting_ages_s, unread=figures.unread)
    work = memory.work
    if len(figures.true_rates) == 1 and (figures.busy or 0.0) > _WORK_SEEN_LEAST:
        work = work.seen(max(1, view.replicas.ready), 1.0 / next(iter(figures.true_rates.values())))
    rates = {**memory.rates, **figures.true_rates}
    since, calibration = _calibrated(memory, rates, view, figures, waits, now, settings)
    return replace(
        memory,
        rates=rates,
        work=work,
        ready=view.replicas.ready,
        start_up_s=started,
        starting_ages_s=view.starting_ages_s,
        unread=figures.unread,
        saturated_since=since,
        calibration=calibration,
    )


def _start_up(memory: NodeMemory, view: NodeView, elapsed_s: float) -> float | None:
    """Of the replicas that were the longest on their way, and are ready now; half of it is what was known before."""
    begun = len(memory.starting_ages_s) - sum(1 for age in view.starting_ages_s if age >= elapsed_s)
    if begun <= 0 or view.replicas.ready <= memory.ready or view.replicas.failing:
        return memory.start_up_s
    took = max(memory.starting_ages_s) + elapsed_s
    return took if memory.start_up_s is None else (memory.start_up_s + took) / 2


def _calibrated(
    memory: NodeMemory,
    rates: Mapping[str, float],
    view: NodeView,
    figures: NodeFigures,
    waits: Waits,
    now: float,
    settings: Settings,
) -> tuple[float | None, float]:
    """Since when its replicas have been busy all the time, and what a replica does then over what its busy time
    says."""
    held_up = any(full >= _HALF_FULL for full in figures.fullness.values())
    capacity = view.replicas.ready * max(rates.values())
    saturated = waits.pressed or (waits.backlog is not None and waits.backlog >= _SATURATED_S * capacity)
    if held_up or not saturated:
        return None, memory.calibration
    since = now if memory.saturated_since is None else memory.saturated_since
    if figures.busy is None or now - since < settings.window_s:
        return since, memory.calibration
    least, most = _CALIBRATION
    return since, min(most, max(least, figures.busy))


def start_up_s(memory: NodeMemory, view: NodeView, settings: Settings) -> float:
    """Measured, or else told, or else assumed; and not less than a replica is on its way already."""
    expected = memory.start_up_s
    if expected is None:
        expected = settings.start_up_s if view.start_up_s is None else view.start_up_s
    on_the_way = max(view.starting_ages_s, default=0.0)
    return expected if on_the_way > _OVERDUE * max(expected, _OVERDUE_LEAST_S) else max(expected, on_the_way)


def overdue(view: NodeView, expected_s: float) -> int:
    """Starting replicas that should have been at work long ago: nothing is expected of them any more."""
    limit = max(_OVERDUE * expected_s, _OVERDUE_LEAST_S)
    return sum(1 for age in view.starting_ages_s if age > limit)
