"""The points of the last window, for sources that tell only how things are now.

They are kept about a second apart: a report that comes four times a second would make the window long without making
it wiser, and one that is told again (its instance has not said anything since) is not a new one.
"""

from __future__ import annotations

from collections import deque

from autoscaler.collect.base import Points
from autoscaler.collect.points import Point

_APART_S = 1.0
_SAME_S = 0.15
"""Instances report every quarter of a second; times of one report, told twice, differ by less than this."""


class Windows:
    """Of points by job and instance, those of the last `span_s` before the newest."""

    def __init__(self, span_s: float) -> None:
        self._span_s = span_s
        self._points: dict[str, dict[str, deque[Point]]] = {}

    def add(self, job: str, instance: str, point: Point) -> None:
        """Take a point of an instance, if it is newer than those before."""
        points = self._points.setdefault(job, {}).setdefault(instance, deque())
        if points and point.at < points[-1].at + _SAME_S:
            return
        if len(points) > 1 and points[-1].at - points[-2].at < _APART_S:
            points.pop()
        points.append(point)
        while len(points) > 1 and points[1].at <= point.at - self._span_s:
            points.popleft()

    def expire(self, now: float) -> None:
        """Forget instances, and jobs, of which nothing was heard for a whole window."""
        for job, instances in list(self._points.items()):
            for instance in [name for name, points in instances.items() if points[-1].at < now - self._span_s]:
                del instances[instance]
            if not instances:
                del self._points[job]

    def of(self, job: str) -> Points | None:
        """None if nothing is known of the job."""
        instances = self._points.get(job)
        return None if instances is None else {name: tuple(points) for name, points in instances.items()}
