"""What an instance said at one moment, and what its counters grew by between two of them.

A counter that went back belongs to a new life of the instance and is taken whole; a missing one is unknown, and so is
what it grew by. Growth is taken between points as they are, never stretched to the edges of a window: at the few points
of a short window an extrapolation, as Prometheus' own `rate` makes it, is off by as much as the rule's dead band.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from autoscaler.snapshot import Growth

_SPAN_LEAST_S = 0.5
"""Two points that are nearer are one report, told twice."""


@dataclass(frozen=True, slots=True)
class Point:
    """An instance as it was at `at` (time of day): its counters and gauges, edges by target. None is unknown."""

    at: float
    received: float | None = None
    busy_s: float | None = None
    unread: float | None = None
    oldest_unsettled_s: float | None = None
    sent: Mapping[str, float] = field(default_factory=dict)
    settled: Mapping[str, float] = field(default_factory=dict)
    backlog: Mapping[str, float] = field(default_factory=dict)
    in_flight: Mapping[str, float] = field(default_factory=dict)
    fullness: Mapping[str, float] = field(default_factory=dict)


def growth(points: Sequence[Point]) -> Growth | None:
    """From the first to the last of these, the oldest first; None if there are not two, or they are one report."""
    if len(points) < 2 or points[-1].at - points[0].at < _SPAN_LEAST_S:
        return None
    return Growth(
        span_s=points[-1].at - points[0].at,
        samples=len(points),
        received=_grown([point.received for point in points]),
        busy_s=_grown([point.busy_s for point in points]),
        sent=_grown_by_target(points, lambda point: point.sent),
        settled=_grown_by_target(points, lambda point: point.settled),
    )


def over(points: Sequence[Point], span_s: float) -> Sequence[Point]:
    """The last points that cover so many seconds, or all of them if they cover less."""
    if not points:
        return points
    begin = points[-1].at - span_s
    first = max((index for index, point in enumerate(points) if point.at <= begin), default=0)
    return points[first:]


def last_two(points: Sequence[Point], apart_s: float) -> Sequence[Point]:
    """The last point and the newest one before it that is so much older, or else the one just before it."""
    if len(points) < 2:
        return points
    before = next((point for point in reversed(points[:-1]) if point.at <= points[-1].at - apart_s), points[-2])
    return before, points[-1]


def _grown_by_target(points: Sequence[Point], of: Callable[[Point], Mapping[str, float]]) -> dict[str, float]:
    targets = dict.fromkeys(target for point in points for target in of(point))
    grown = {target: _grown([of(point).get(target) for point in points]) for target in targets}
    return {target: count for target, count in grown.items() if count is not None}


def _grown(values: Sequence[float | None]) -> float | None:
    """By how much a counter grew; None if it is not known at both ends."""
    if values[0] is None or values[-1] is None:
        return None
    known = [value for value in values if value is not None]
    return sum(later - earlier if later >= earlier else later for earlier, later in pairwise(known))
