"""Metrics of a job by whoever supervises it: the samples of its control link, without a way over HTTP.

They are the freshest that there are, and cost nothing: the process that decides has them in its memory.
"""

from __future__ import annotations

from collections.abc import Sequence

from autoscaler.collect.base import Reading
from autoscaler.collect.points import Point
from autoscaler.collect.windows import Windows
from streamer.control.jobs import JobSnapshot
from streamer.metrics.samples import InstanceSample


class AtHand:
    """Reads what it was told of: see `note`."""

    def __init__(self, span_s: float) -> None:
        self._windows = Windows(span_s)

    def note(self, snapshot: JobSnapshot, now: float) -> None:
        """A job as it is at `now`, a time of day."""
        for instance, age_s in snapshot.ages_s.items():
            sample = snapshot.samples.get(instance)
            if sample is not None:
                self._windows.add(snapshot.job, instance, point_of(sample, now - age_s))

    def read(self, jobs: Sequence[str], now: float) -> Reading:
        self._windows.expire(now)
        known = {job: self._windows.of(job) for job in jobs}
        return Reading({job: points for job, points in known.items() if points is not None})


def point_of(sample: InstanceSample, at: float) -> Point:
    edges = sample.edges
    return Point(
        at=at,
        received=float(sample.received),
        busy_s=sample.busy_s,
        unread=None if sample.unread is None else float(sample.unread),
        oldest_unsettled_s=sample.oldest_unsettled_s,
        sent={edge.target: float(edge.sent) for edge in edges},
        settled={edge.target: float(edge.settled) for edge in edges},
        backlog={edge.target: float(edge.backlog_messages) for edge in edges},
        in_flight={edge.target: float(edge.in_flight) for edge in edges},
        fullness={edge.target: edge.fullness for edge in edges},
    )
