"""What the samples of one node say together: rates, how busy it is, and what it has queued for others.

Everything here is one pass and no judgement: an instance whose newest sample is too old is left out, and how many were
left out is told. Rates are added up instance by instance, each over its own stretch of time, so that an instance that
came a second ago does not make the others look slow. A sudden change shows in the last two samples long before the
window is full of it, so a rate is taken from them where they differ by more than chance; so is the time of a message,
and then for as long as the window still holds messages of before.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from autoscaler.snapshot import Growth, InstanceView, NodeView

_BUSY_LEAST = 0.01
"""A true rate is well known of instances that were busy for more than this part of the time, and roughly below it."""
_OTHER_WORK = 3.0
"""The time of a message is taken from the last samples if it is so many times as long as in the window, or as short:
twice as long it is for a moment on any machine that others use."""
_JUMP = 0.1
_SIGNIFICANT = 3.0
"""The last samples speak for themselves if they differ from the window by so much, and by so many standard deviations
of a Poisson process: else they are noise."""


@dataclass(frozen=True, slots=True)
class NodeFigures:
    """`fresh` of `ready` instances are known by samples that are not stale. `handled`: messages per second of all fresh
    instances together, over the window; `handled_now` is the same with sudden changes seen. `gains`: messages to each
    target for each one handled. (Of a source that does not count what it reads, what it sends to the target that gets
    most stands for it.) `weight`: on how many messages they rest. `busy`: the mean part of its time that an instance
    was busy. `true_rates`: messages per busy second of one replica, by kind of accelerator; `rough_rates`: those of
    replicas that were hardly busy; `work_changed`: in the last samples a message takes another time than in the window.
    `queued` and `fullness`: what waits at this node for each target, and how full the fullest such queue is. Unknown is
    None, or missing."""

    ready: int
    fresh: int = 0
    samples: int = 0
    age_s: float | None = None
    handled: float | None = None
    handled_now: float | None = None
    busy: float | None = None
    true_rates: Mapping[str, float] = field(default_factory=dict)
    rough_rates: Mapping[str, float] = field(default_factory=dict)
    work_changed: bool = False
    gains: Mapping[str, float] = field(default_factory=dict)
    weight: float = 0.0
    queued: Mapping[str, float] = field(default_factory=dict)
    fullness: Mapping[str, float] = field(default_factory=dict)
    unread: float | None = None
    in_flight: float = 0.0

    @property
    def missing(self) -> float:
        """By how much rates of all ready instances may be higher than those of the fresh ones: 1 if none is missing."""
        return max(1.0, self.ready / self.fresh) if self.fresh else 1.0


def figures_of(view: NodeView, stale_s: float, *, just_changed: bool = False) -> NodeFigures:
    """`just_changed`: the window holds messages of a time of work that is over."""
    known = [one for one in view.instances if one.age_s is not None and one.age_s <= stale_s]
    grown = [(one, one.window) for one in known if one.window is not None and one.window.span_s > 0]
    busy = [window.busy_s / window.span_s for _, window in grown if window.busy_s is not None]
    handled, handled_now, weight, sent = _flows(grown)
    rates = _true_rates(grown, just_changed=just_changed)
    return NodeFigures(
        ready=view.replicas.ready,
        fresh=len(grown),
        samples=min((window.samples for _, window in grown), default=0),
        age_s=max((one.age_s for one in known if one.age_s is not None), default=None),
        handled=handled,
        handled_now=handled_now,
        busy=sum(busy) / len(busy) if busy else None,
        true_rates=rates.known,
        rough_rates=rates.rough,
        work_changed=rates.changed,
        gains={target: rate / handled for target, rate in sent.items()} if handled else {},
        weight=weight,
        queued=_added(one.backlog for one in known),
        fullness=_highest(one.fullness for one in known),
        unread=_total([one.unread for one in known]) if len(known) >= view.replicas.ready else None,
        in_flight=sum(sum(one.in_flight.values()) for one in known),
    )


def _flows(
    grown: Iterable[tuple[InstanceView, Growth]],
) -> tuple[float | None, float | None, float, dict[str, float]]:
    """Handled over the window, and now; the messages behind it; and sent to each target, over the window."""
    handled: float | None = None
    now = weight = 0.0
    sent: dict[str, float] = {}
    for one, window in grown:
        for target, messages in window.sent.items():
            sent[target] = sent.get(target, 0.0) + messages / window.span_s
        count = _units(window)
        if count is None:
            continue
        rate = count / window.span_s
        handled = rate + (handled or 0.0)
        weight += count
        latest = None if one.latest is None else _units(one.latest)
        if latest is not None and one.latest is not None and one.latest.span_s > 0:
            rate = _with_jumps(rate, latest, one.latest.span_s)
        now += rate
    return handled, None if handled is None else now, weight, sent


def _units(growth: Growth) -> float | None:
    if growth.received is not None:
        return growth.received
    return max(growth.sent.values(), default=None)


@dataclass(slots=True)
class _Rates:
    known: dict[str, float] = field(default_factory=dict)
    rough: dict[str, float] = field(default_factory=dict)
    changed: bool = False


def _true_rates(grown: Sequence[tuple[InstanceView, Growth]], *, just_changed: bool) -> _Rates:
    whole = _work([(one.accelerator, window) for one, window in grown])
    latest = _work([(one.accelerator, one.latest) for one, _ in grown if one.latest is not None])
    rates = _Rates()
    for kind, work in whole.items():
        now = latest.get(kind)
        if now is not None and now.is_known:
            differs = now.differs_from(work)
            rates.changed = rates.changed or differs
            work = now if differs or just_changed else work
        if work.received > 0 and work.busy_s > 0:
            (rates.known if work.is_known else rates.rough)[kind] = work.received / work.busy_s
    return rates


@dataclass(slots=True)
class _Work:
    """What the instances of one kind have done, all together."""

    received: float = 0.0
    busy_s: float = 0.0
    span_s: float = 0.0

    @property
    def is_known(self) -> bool:
        return self.received > 0 and self.busy_s > _BUSY_LEAST * self.span_s

    def differs_from(self, usual: _Work) -> bool:
        """Whether a message now takes another time than usual, by more than chance: times of work are taken to vary as
        much as their mean, as those of an exponential distribution do. Both are known."""
        now_s, usual_s = self.busy_s / self.received, usual.busy_s / usual.received
        jumped = max(now_s, usual_s) > _OTHER_WORK * min(now_s, usual_s)
        return jumped and abs(now_s - usual_s) > _SIGNIFICANT * usual_s / math.sqrt(self.received)


def _work(grown: Iterable[tuple[str, Growth]]) -> dict[str, _Work]:
    found: dict[str, _Work] = {}
    for kind, growth in grown:
        if growth.received is not None and growth.busy_s is not None:
            work = found.setdefault(kind, _Work())
            work.received += growth.received
            work.busy_s += growth.busy_s
            work.span_s += growth.span_s
    return found


def _with_jumps(rate: float, count: float, span_s: float) -> float:
    expected = rate * span_s
    differs = abs(count - expected)
    return count / span_s if differs > _JUMP * expected and differs > _SIGNIFICANT * (expected + 1) ** 0.5 else rate


def _added(mappings: Iterable[Mapping[str, float]]) -> dict[str, float]:
    added: dict[str, float] = {}
    for mapping in mappings:
        for key, value in mapping.items():
            added[key] = added.get(key, 0.0) + value
    return added


def _highest(mappings: Iterable[Mapping[str, float]]) -> dict[str, float]:
    highest: dict[str, float] = {}
    for mapping in mappings:
        for key, value in mapping.items():
            highest[key] = max(highest.get(key, 0.0), value)
    return highest


def _total(values: Sequence[float | None]) -> float | None:
    """None if one is not known: partitions that change hands must not look like records that come and go."""
    known = [value for value in values if value is not None]
    return sum(known) if values and len(known) == len(values) else None
