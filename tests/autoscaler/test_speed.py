"""How fast replicas are together is learnt from what they did at different numbers."""

from __future__ import annotations

import pytest

from autoscaler.speed import Speed, Work


def _seen(counts: list[int], contention: float, alone_s: float = 0.01) -> Work:
    work = Work()
    for replicas in counts:
        work = work.seen(replicas, alone_s * (1 + contention * (replicas - 1)))
    return work


def test_the_contention_of_replicas_is_found() -> None:
    assert _seen([1, 4, 8, 16], 0.005).contention == pytest.approx(0.005)


@pytest.mark.parametrize("counts", [[], [3], [3, 3, 3], [3, 4]])
def test_without_different_numbers_replicas_are_taken_to_add_up(counts: list[int]) -> None:
    assert _seen(counts, 0.005).contention == 0.0


def test_replicas_that_seem_to_help_each_other_are_taken_to_add_up() -> None:
    assert _seen([1, 8, 16], -0.01).contention == 0.0


@pytest.mark.parametrize("contention", [0.0, 0.004])
def test_the_replicas_for_a_capacity_have_it(contention: float) -> None:
    speed = Speed(50.0, contention)

    assert speed.capacity(speed.replicas_for(1234.0)) == pytest.approx(1234.0)


def test_new_replicas_of_a_faster_kind_are_fewer() -> None:
    assert Speed(100.0, new_rate=400.0).growing_from(4, 1200.0) == pytest.approx(6.0)


def test_no_number_of_replicas_reaches_what_contention_forbids() -> None:
    assert Speed(50.0, 0.02).replicas_for(2500.0) == float("inf")
