"""What is kept of the past passes of a node: peaks of its recommendations, idle time, trials, and regrets.

A scale-in waits until a whole delay has asked for no more. How long that should be depends on a load that nobody knows,
so it is learnt: a node that must grow again soon after it has shrunk waits twice as long the next time, up to the
longest delay, and half as long again when it was not needed. A load that jumps every minute is then carried throughout,
and one that jumps once an hour costs no more than the shortest delay.
"""

from __future__ import annotations

from dataclasses import replace

from autoscaler.decision import Action
from autoscaler.figures import NodeFigures
from autoscaler.memory import NodeMemory, Trial
from autoscaler.policy import Situation
from autoscaler.settings import Settings
from autoscaler.snapshot import NodeView
from autoscaler.speed import Speed

_REGRET_DELAYS = 3.0
_PATIENCE_MOST = 8.0
_GAIN_LEAST = 0.1
_FRUITLESS_MOST = 2
_STOPPED_S = 600.0


def delay_s(memory: NodeMemory, view: NodeView, start_up_s: float, settings: Settings) -> float:
    """How long nothing may ask for more before replicas leave."""
    if settings.scale_in_s is not None:
        return settings.scale_in_s
    usual = max(settings.scale_in_least_s, settings.start_ups_in * start_up_s)
    if view.accelerated:
        usual *= settings.gpu_patience
    return min(settings.scale_in_most_s, usual * memory.patience)


def noted(
    memory: NodeMemory,
    steady: int | None,
    figures: NodeFigures,
    demand: float | None,
    backlog: float | None,
    now: float,
    settings: Settings,
) -> NodeMemory:
    """With the recommendation of this pass, unless it is unknown: the evidence then begins anew."""
    idle_since = memory.idle_since
    if demand != 0.0 or backlog != 0.0 or figures.handled:
        idle_since = None
    elif idle_since is None:
        idle_since = now
    if steady is None:
        return replace(memory, peaks=(), watched_since=None, idle_since=idle_since)
    oldest = now - settings.scale_in_most_s
    peaks = tuple((at, size) for at, size in memory.peaks if size > steady and at >= oldest)
    since = now if memory.watched_since is None else memory.watched_since
    return replace(memory, peaks=(*peaks, (now, steady)), watched_since=since, idle_since=idle_since)


def watched(
    memory: NodeMemory, view: NodeView, start_up_s: float, now: float, settings: Settings
) -> tuple[float, int, float]:
    """The delay of scale-in, the largest recommendation within it, and for how long recommendations are known."""
    delay = delay_s(memory, view, start_up_s, settings)
    highest = next((size for at, size in memory.peaks if at >= now - delay), 0)
    since = memory.watched_since
    return delay, highest, 0.0 if since is None else now - since


def acted(s: Situation, action: Action, wanted: int, speed: Speed | None, now: float) -> NodeMemory:
    """After the decision: what it was, and what is to be expected of it."""
    memory = _judged(s, speed, now)
    if memory.wanted != wanted:
        memory = replace(memory, wanted=wanted, since=now)
    if action is Action.DOWN:
        return replace(memory, down_at=now)
    if action is not Action.UP:
        return memory
    memory = _regretted(s, memory, now)
    return replace(memory, up_at=now, trial=memory.trial or _trial(s, wanted, speed, now))


def _regretted(s: Situation, memory: NodeMemory, now: float) -> NodeMemory:
    if memory.down_at is None:
        return memory
    soon = now - memory.down_at < _REGRET_DELAYS * s.delay_s
    patience = min(_PATIENCE_MOST, 2 * memory.patience) if soon else max(1.0, memory.patience / 2)
    return replace(memory, patience=patience, down_at=None)


def _trial(s: Situation, wanted: int, speed: Speed | None, now: float) -> Trial | None:
    """Only a node that had more to do than it could shows by what it handles whether more replicas help; and only once
    all that it has handled lately was the same work."""
    if speed is None or s.figures.handled is None or s.memory.saturated_since is None:
        return None
    if s.memory.work_just_changed(now, s.settings):
        return None
    gain = speed.capacity(wanted) - speed.capacity(s.held)
    before = s.memory.trial  # one that is just over: its rate is still in force
    ready = max(1, s.view.replicas.ready) if before is None else before.ready
    return Trial(now, s.figures.handled, gain, speed.rate / s.memory.calibration, ready)


def _judged(s: Situation, speed: Speed | None, now: float) -> NodeMemory:
    """A trial is over once its replicas have been at work for a window."""
    memory, trial = s.memory, s.memory.trial
    if trial is None:
        return memory
    if s.view.replicas.starting:
        rate = trial.rate if speed is None else speed.rate / memory.calibration
        return replace(memory, trial=replace(trial, rate=rate))
    if now - trial.at < s.start_up_s + 2 * s.settings.window_s:
        return memory
    saturated = memory.saturated_since is not None and memory.saturated_since <= trial.at
    handled = s.figures.handled
    if not saturated or handled is None or handled - trial.handled >= _GAIN_LEAST * trial.expected:
        return replace(memory, trial=None, fruitless=0)
    fruitless = memory.fruitless + 1
    stopped = now + _STOPPED_S if fruitless >= _FRUITLESS_MOST else memory.stopped_until
    return replace(memory, trial=None, fruitless=fruitless, stopped_until=stopped)
