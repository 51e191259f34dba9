"""When to act: the guards between what the formula recommends and what a node is told to have.

More at once, fewer late: a replica too few makes messages wait for a whole start-up time, one too many costs itself.
Each guard is one function that either has nothing to say or gives a verdict with its reason; the first one that speaks
decides. What a guard cannot know it does not guess: an unknown changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from autoscaler.decision import Guard
from autoscaler.figures import NodeFigures
from autoscaler.memory import NodeMemory
from autoscaler.settings import Settings
from autoscaler.sizing import Size
from autoscaler.snapshot import NodeView


@dataclass(frozen=True, slots=True)
class Situation:
    """A node, what is known of it, and what the formula recommends (None: it cannot be computed).

    `backlog_s`: seconds that its ready replicas need for what waits; `heading_s`: and for what waits before it as well;
    `ahead_s`: for what will wait once new ones are ready, with the replicas that it has by then. `full_target`: a node
    behind it whose queue is full, '' if none is. `pressed`: the queue before it is full, and a source does not tell
    what more it has. `overdue` are starting replicas that nothing is expected of. `highest` is the largest
    recommendation of the delay of scale-in, `watched_s` for how long they are known. `delay_s` is that delay.
    `idle_s`: for how long nothing came.
    """

    view: NodeView
    figures: NodeFigures
    memory: NodeMemory
    settings: Settings
    now: float
    demand: float | None
    backlog: float | None
    backlog_s: float
    heading_s: float
    ahead_s: float
    size: Size | None
    highest: int
    watched_s: float
    delay_s: float
    idle_s: float
    start_up_s: float
    overdue: int = 0
    full_target: str = ""
    pressed: bool = False
    in_loop: bool = False
    fallback: bool = False
    stepped: bool = False

    @property
    def held(self) -> int:
        return self.view.replicas.held


@dataclass(frozen=True, slots=True)
class Verdict:
    wanted: int
    reason: str
    guard: Guard | None = None


_Check = Callable[[Situation], Verdict | None]
_FAILING_PART = 5
_MORE_THAN_NOISE = 2
_GONE_S = 3.0
_BETWEEN_TICKS = 2.0
_WORTH_PART = 4


def judge(s: Situation) -> Verdict:
    for check in _FIRST:
        if (verdict := check(s)) is not None:
            return verdict
    assert s.size is not None, "what is unknown was decided above"
    wanted = _twice(s) if s.pressed else max(1, s.size.replicas)
    if wanted > s.held:
        return _first(_AGAINST_MORE, s) or Verdict(wanted, _why_more(s))
    if wanted < s.held:
        return _first(_AGAINST_FEWER, s) or Verdict(max(1, s.highest), _why_fewer(s))
    what = "its 1 replica is" if s.held == 1 else f"its {s.held} replicas are"
    return Verdict(s.held, f"{what} what demand and backlog ask for")


def _twice(s: Situation) -> int:
    """Demand is only known to be more than what gets through: twice as many are tried, once the last are at work."""
    assert s.size is not None
    since = s.settings.window_s if s.memory.wanted is None else s.now - s.memory.since
    at_work = not s.view.replicas.starting and since >= s.settings.window_s
    return max(1, s.size.replicas, 2 * s.held if at_work else s.held)


def _first(checks: tuple[_Check, ...], s: Situation) -> Verdict | None:
    return next((verdict for check in checks if (verdict := check(s)) is not None), None)


# -- before any size -----------------------------------------------------------------------------------------------


def _pinned(s: Situation) -> Verdict | None:
    if s.view.pinned is None:
        return None
    return Verdict(s.view.pinned, f"a person has set {s.view.pinned} replicas", Guard.PINNED)


def _single(s: Situation) -> Verdict | None:
    if s.view.scalable:
        return None
    return Verdict(s.held, f"a {s.view.role} node is one instance", Guard.SINGLE)


def _replacing(s: Situation) -> Verdict | None:
    if not s.view.replicas.replaced:
        return None
    return Verdict(s.held, f"{s.view.replicas.replaced} of its instances are being replaced", Guard.REPLACING)


def _zero(s: Situation) -> Verdict | None:
    """A node without replicas: nothing is measured of it but what waits for it."""
    if s.held or s.backlog is None:
        return None
    if s.backlog < 1.0 and not (s.demand or 0.0) > 0.0:
        return Verdict(0, "nothing waits for it")
    wanted = max(1, s.size.replicas) if s.size is not None else 1
    return Verdict(wanted, f"{s.backlog:.0f} messages wait for it and it has no replica")


def _first_steps(s: Situation) -> Verdict | None:
    """Nothing was handled yet, so that no rate is known: twice as many while something waits, one step a start-up."""
    if s.size is not None or s.memory.rates or not s.view.replicas.ready:
        return None
    if not s.backlog or s.figures.age_s is None or s.view.replicas.starting:
        return None
    if s.memory.wanted is None or s.now - s.memory.since < max(s.start_up_s, s.settings.window_s):
        return None
    return Verdict(2 * s.held, f"{s.backlog:.0f} messages wait and none was handled yet: twice as many are tried")


def _idle(s: Situation) -> Verdict | None:
    """To zero; only from here, so that a size of nothing leaves one replica."""
    enough_s = s.settings.idle_s * (s.settings.gpu_patience if s.view.accelerated else 1.0)
    if s.view.min_replicas or s.idle_s < enough_s or s.fallback or s.stepped:
        return None
    return Verdict(0, f"nothing came for {s.idle_s:.0f} s")


def _unknown(s: Situation) -> Verdict | None:
    if s.size is not None:
        return None
    known = f"{s.figures.fresh} of {s.view.replicas.ready} ready instances report"
    missing = "the demand" if s.demand is None else "the rate of a replica"
    return Verdict(s.held, f"{missing} is not known ({known})", Guard.UNKNOWN)


_FIRST: tuple[_Check, ...] = (_pinned, _single, _replacing, _zero, _idle, _first_steps, _unknown)


# -- against more --------------------------------------------------------------------------------------------------


def _failing(s: Situation) -> Verdict | None:
    failing = s.view.replicas.failing + s.overdue
    if not failing or failing * _FAILING_PART < s.held:
        return None
    return Verdict(s.held, f"{failing} of its {s.held} replicas do not come to work", Guard.FAILING)


def _loop(s: Situation) -> Verdict | None:
    if not s.in_loop:
        return None
    return Verdict(s.held, "it lies in a cycle that makes at least one message of each", Guard.LOOP)


def _downstream(s: Situation) -> Verdict | None:
    if not s.full_target:
        return None
    return Verdict(s.held, f"the queue to {s.full_target} is full: that node grows first", Guard.DOWNSTREAM)


def _no_gain(s: Situation) -> Verdict | None:
    until = s.memory.stopped_until
    if until is None or s.now >= until:
        return None
    reason = (
        "the last two scale-ups gained less than a tenth of what they should: "
        "the bottleneck is outside of it, or a few keys have most of the messages"
    )
    return Verdict(s.held, reason, Guard.NO_GAIN)


def _dead_band(s: Situation) -> Verdict | None:
    assert s.size is not None
    highest = s.settings.utilisation + s.settings.band
    if s.size.utilisation > highest or s.ahead_s > s.settings.late_s or s.pressed or not s.held:
        return None
    return Verdict(s.held, f"it is busy for {s.size.utilisation:.0%}, within {highest:.0%}", Guard.DEAD_BAND)


_AGAINST_MORE: tuple[_Check, ...] = (_failing, _loop, _no_gain, _downstream, _dead_band)


def _why_more(s: Situation) -> str:
    assert s.size is not None
    if s.pressed and s.size.replicas <= s.held:
        return "the queue before it is full, and how much more its source has is not known: twice as many are tried"
    if s.size.replicas > s.size.steady:
        return f"{s.ahead_s:.0f} s of work will wait when new replicas are ready, besides {s.demand:.0f} messages/s"
    would = f"would keep its {s.held} replica{'' if s.held == 1 else 's'} busy for {s.size.utilisation:.0%}"
    if s.demand is not None and s.size.expected > s.demand:
        return f"{s.size.expected:.0f} messages/s, which are expected when new replicas are at work, {would}"
    return f"{s.size.expected:.0f} messages/s {would}"


# -- against fewer -------------------------------------------------------------------------------------------------


def _fallback(s: Situation) -> Verdict | None:
    if not s.fallback:
        return None
    return Verdict(s.held, "the metrics server does not answer: no fewer on the word of the instances", Guard.FALLBACK)


def _clock(s: Situation) -> Verdict | None:
    return Verdict(s.held, "the clock has made a leap", Guard.CLOCK) if s.stepped else None


def _backlog(s: Situation) -> Verdict | None:
    """What was ordered for a backlog stays until that is gone, and does not leave before it has come."""
    if s.backlog is None:
        return Verdict(s.held, "what waits for it is not known", Guard.UNKNOWN)
    waiting_s = max(s.heading_s, s.ahead_s)
    if waiting_s > _GONE_S:
        return Verdict(s.held, f"{waiting_s:.0f} s of work wait at it and before it", Guard.BACKLOG)
    if s.view.replicas.starting > s.overdue:
        return Verdict(s.held, f"{s.view.replicas.starting} of its replicas are only starting", Guard.STABILISING)
    return None


def _stabilising(s: Situation) -> Verdict | None:
    if s.watched_s >= s.delay_s and s.highest < s.held and not _too_soon(s):
        return None
    return Verdict(s.held, f"fewer only once {s.delay_s:.0f} s have asked for no more", Guard.STABILISING)


def _too_soon(s: Situation) -> bool:
    """Demand that falls is seen to fall over some passes: one scale-in takes what many small ones would."""
    assert s.size is not None
    if s.memory.down_at is not None and s.now - s.memory.down_at < _BETWEEN_TICKS * s.settings.tick_s:
        return True
    return _WORTH_PART * (s.held - s.highest) < s.held - s.size.steady


def _near_enough(s: Situation) -> Verdict | None:
    """One replica more than the formula asks for is within the noise of small numbers, unless it does next to
    nothing."""
    assert s.size is not None
    lowest = s.settings.utilisation - s.settings.band
    if s.held - s.highest >= _MORE_THAN_NOISE or s.size.utilisation < lowest:
        return None
    return Verdict(s.held, f"it is busy for {s.size.utilisation:.0%}, not under {lowest:.0%}", Guard.DEAD_BAND)


_AGAINST_FEWER: tuple[_Check, ...] = (_fallback, _clock, _backlog, _near_enough, _stabilising)


def _why_fewer(s: Situation) -> str:
    most = max(1, s.highest)
    return f"for {s.delay_s:.0f} s no more than {most} replica{' was' if most == 1 else 's were'} asked for"
