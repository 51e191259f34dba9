"""How long messages took, kept where they arrive and readable from outside: a histogram in a mapped page.

A list of latencies would grow by a hundred thousand a second, and a percentile must not cost the sink more than the
message did. So each latency is one more in a bucket, which needs two shifts and a store. Buckets are as wide as a
thirty-second of the power of two below them, and a percentile is told as the middle of its bucket: it is off by 1.6 %
at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.scenario.tally import Tally

_FINE_BITS = 5
_SECONDS_BITS = 40
"""A latency needs 40 bits at most (18 minutes); a longer one counts as such."""
_LONGEST_NS = (1 << _SECONDS_BITS) - 1
_BUCKETS = (_SECONDS_BITS - _FINE_BITS + 1) << _FINE_BITS


class Latencies(Tally):
    """A tally that has a bucket for each latency behind its own words; it is shown with every message."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, _BUCKETS)
        self._buckets = self.more

    def note(self, latency_ns: int) -> None:
        """One more message has arrived, so long after it was to be sent."""
        self._buckets[_bucket(min(latency_ns, _LONGEST_NS))] += 1
        self.count += 1
        self.show()

    @property
    def counts(self) -> Sequence[int]:
        """By bucket, now."""
        return tuple(self._buckets)


def _bucket(latency_ns: int) -> int:
    shift = max(0, latency_ns.bit_length() - _FINE_BITS - 1)
    return (shift << _FINE_BITS) + (latency_ns >> shift)


def _middle_ns(bucket: int) -> float:
    shift = max(0, (bucket >> _FINE_BITS) - 1)
    return ((bucket - (shift << _FINE_BITS)) + 0.5) * (1 << shift)


def percentile_us(counts: Sequence[int], percent: float) -> float:
    """The latency, in microseconds, that so many percent of the messages did not exceed."""
    left = percent / 100 * sum(counts)
    for bucket, count in enumerate(counts):
        left -= count
        if count and left <= 0:
            return _middle_ns(bucket) / 1000
    raise ValueError("no message has arrived, so there is no percentile")
