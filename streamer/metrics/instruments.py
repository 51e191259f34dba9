"""What is counted on the hot path: a few additions per frame, no names, no locks.

One thread writes an instrument and any may read it: a reader can see a histogram whose newest observation is half in,
which the next sample puts right.
"""

from __future__ import annotations

from bisect import bisect_left

from streamer.metrics.samples import HistogramSample


class Histogram:
    """Observations in seconds, in buckets with these upper bounds and one beyond them."""

    __slots__ = ("_bounds", "_counts", "_total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0

    def observe(self, value_s: float, count: int = 1) -> None:
        """`count` observations of the same value."""
        self._counts[bisect_left(self._bounds, value_s)] += count
        self._total += value_s * count

    def sample(self) -> HistogramSample:
        return HistogramSample(self._bounds, tuple(self._counts), self._total)
