"""Quantiles of the histograms in samples: what a person reads as p50 and p99.

Samples are cumulative, so a quantile of "now" is one of a difference, and a node's is one of a sum over its instances.
Inside a bucket observations are taken as spread evenly, as Prometheus does it, so that the live view and a dashboard
agree; keeping the observations themselves would give exact values at a cost on the hot path that nobody would pay.
"""

from __future__ import annotations

from collections.abc import Iterable

from streamer.metrics.samples import HistogramSample


def merged(histograms: Iterable[HistogramSample]) -> HistogramSample | None:
    """The sum of histograms of the same bounds; None if there are none."""
    found = list(histograms)
    if not found:
        return None
    counts = tuple(sum(column) for column in zip(*(h.counts for h in found), strict=True))
    return HistogramSample(found[0].bounds, counts, sum(h.total for h in found))


def difference(later: HistogramSample, earlier: HistogramSample | None) -> HistogramSample:
    """What was observed between two samples; counts that went back belong to a new life and are taken whole."""
    if earlier is None or any(new < old for new, old in zip(later.counts, earlier.counts, strict=True)):
        return later
    counts = tuple(new - old for new, old in zip(later.counts, earlier.counts, strict=True))
    return HistogramSample(later.bounds, counts, later.total - earlier.total)


def quantile(histogram: HistogramSample, share: float) -> float | None:
    """The value below which `share` of the observations lie; None without any.

    Observations beyond the last bound have no upper edge, so the last bound stands for them.
    """
    rank = share * histogram.count
    if rank <= 0:
        return None
    below, lower = 0, 0.0
    for bound, count in zip(histogram.bounds, histogram.counts, strict=False):
        if count and below + count >= rank:
            return lower + (bound - lower) * (rank - below) / count
        below, lower = below + count, bound
    return lower
