"""Quantiles lie where Prometheus would put them, and differences survive a restart."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.metrics.quantiles import difference, merged, quantile
from streamer.metrics.samples import HistogramSample

BOUNDS = (1.0, 2.0, 4.0)

histograms = st.lists(st.integers(0, 1000), min_size=4, max_size=4).map(
    lambda counts: HistogramSample(BOUNDS, tuple(counts), 1.0)
)


def histogram(*counts: int) -> HistogramSample:
    return HistogramSample(BOUNDS, counts, float(sum(counts)))


@pytest.mark.parametrize(
    ("counts", "share", "value"),
    [
        pytest.param((10, 0, 0, 0), 0.5, 0.5, id="the middle of the first bucket"),
        pytest.param((5, 5, 0, 0), 0.75, 1.5, id="the middle of the second bucket"),
        pytest.param((0, 0, 4, 0), 0.25, 2.5, id="a quarter of a wide bucket"),
        pytest.param((0, 0, 0, 7), 0.5, 4.0, id="beyond all bounds: the last bound"),
        pytest.param((1, 0, 0, 1), 0.99, 4.0, id="one beyond all bounds"),
    ],
)
def test_a_quantile_is_interpolated_in_its_bucket(counts: tuple[int, ...], share: float, value: float) -> None:
    assert quantile(histogram(*counts), share) == pytest.approx(value)


def test_nothing_observed_has_no_quantile() -> None:
    assert quantile(histogram(0, 0, 0, 0), 0.5) is None


@given(histograms.filter(lambda h: h.count > 0), st.lists(st.floats(0.001, 1), min_size=2))
def test_quantiles_grow_with_their_share(observed: HistogramSample, shares: list[float]) -> None:
    values = [quantile(observed, share) or 0.0 for share in sorted(shares)]

    assert all(low <= high for low, high in pairwise(values))


@given(histograms, histograms)
def test_a_difference_and_what_was_before_make_the_whole(earlier: HistogramSample, more: HistogramSample) -> None:
    later = merged([earlier, more])

    assert later is not None
    assert difference(later, earlier).counts == more.counts


def test_counts_that_went_back_are_of_a_new_life_and_taken_whole() -> None:
    assert difference(histogram(1, 0, 0, 0), histogram(5, 0, 0, 0)).counts == (1, 0, 0, 0)


def test_the_first_sample_is_its_own_difference() -> None:
    assert difference(histogram(1, 2, 3, 4), None) == histogram(1, 2, 3, 4)


def test_no_histograms_have_no_sum() -> None:
    assert merged([]) is None
