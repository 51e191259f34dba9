"""What counters grew by: resets, gaps and unknowns, and which points of a series a window takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.collect.points import Point, growth, last_two, over
from autoscaler.collect.windows import Windows


def points(*received: float | None, every_s: float = 1.0) -> list[Point]:
    return [Point(100.0 + every_s * n, received=count) for n, count in enumerate(received)]


def test_growth_is_from_the_first_to_the_last_point_and_over_their_own_time() -> None:
    grown = growth([Point(10.0, received=5, busy_s=1.0), Point(13.0, received=11, busy_s=2.5)])

    assert grown is not None
    assert (grown.span_s, grown.samples, grown.received, grown.busy_s) == (3.0, 2, 6, 1.5)


def test_a_counter_that_went_back_is_of_a_new_life_and_is_added() -> None:
    grown = growth(points(100, 130, 7, 20))

    assert grown is not None
    assert grown.received == 30 + 7 + 13


@pytest.mark.parametrize(
    "told", [pytest.param((None, 5), id="at the beginning"), pytest.param((5, None), id="at the end")]
)
def test_a_counter_that_is_not_told_has_grown_by_nobody_knows_what(told: tuple[float | None, ...]) -> None:
    grown = growth(points(*told))

    assert grown is not None
    assert grown.received is None


def test_edges_grow_by_target_and_one_that_was_not_told_throughout_is_unknown() -> None:
    grown = growth([Point(1.0, sent={"a": 1.0}), Point(2.0, sent={"a": 4.0, "b": 9.0})])

    assert grown is not None
    assert grown.sent == {"a": 3.0}


@pytest.mark.parametrize(
    "known",
    [
        pytest.param([], id="none"),
        pytest.param(points(1), id="one"),
        pytest.param([Point(1.0, received=1), Point(1.2, received=1)], id="one report, told twice"),
    ],
)
def test_of_fewer_than_two_reports_there_is_no_growth(known: list[Point]) -> None:
    assert growth(known) is None


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=20))
def test_growth_is_never_negative(counts: list[int]) -> None:
    grown = growth(points(*counts))

    assert grown is not None
    assert grown.received is not None and grown.received >= 0


def test_a_window_takes_the_last_points_that_cover_it_and_what_there_is_where_they_do_not() -> None:
    known = points(*range(20))

    assert [point.received for point in over(known, 3.0)] == [16, 17, 18, 19]
    assert len(over(known, 100.0)) == 20
    assert len(over([], 3.0)) == 0


def test_the_last_two_points_are_so_far_apart_as_they_are_asked_to_be_if_that_is_possible() -> None:
    known = points(*range(8))

    assert [point.received for point in last_two(known, 5.0)] == [2, 7]
    assert [point.received for point in last_two(known, 50.0)] == [6, 7]
    assert len(last_two(known[:1], 5.0)) == 1


def test_a_report_that_is_told_again_is_no_new_point() -> None:
    windows = Windows(10.0)
    for at in (1.0, 1.05, 1.01, 2.0):
        windows.add("job", "a-0", Point(at))

    assert [point.at for point in (windows.of("job") or {})["a-0"]] == [1.0, 2.0]


def test_points_are_thinned_to_about_one_a_second_and_the_newest_is_always_there() -> None:
    windows = Windows(10.0)
    for quarter in range(41):
        windows.add("job", "a-0", Point(quarter / 4, received=quarter))

    kept = (windows.of("job") or {})["a-0"]
    assert len(kept) <= 12
    assert (kept[0].at, kept[-1].received) == (0.0, 40)


def test_what_is_older_than_the_window_is_let_go_but_for_the_point_at_its_edge() -> None:
    windows = Windows(5.0)
    for at in range(20):
        windows.add("job", "a-0", Point(float(at)))

    assert [point.at for point in (windows.of("job") or {})["a-0"]] == [14.0, 15.0, 16.0, 17.0, 18.0, 19.0]


def test_an_instance_that_was_silent_for_a_window_is_forgotten_and_with_the_last_one_its_job() -> None:
    windows = Windows(5.0)
    windows.add("job", "a-0", Point(1.0))
    windows.add("job", "a-1", Point(8.0))

    windows.expire(9.0)
    assert set(windows.of("job") or {}) == {"a-1"}
    windows.expire(20.0)
    assert windows.of("job") is None
