"""A source lets in what keeps its pipeline busy, and not much more."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.limits import INTAKE_FLOOR, INTAKE_TIME_S
from streamer.protocol.intake import Intake

_TICK_S = 0.01
_LAST_S = 30.0


def limit_after(
    duration_s: float, rate: float | Callable[[float], float], delay_s: float, checkpoint_s: float = _TICK_S
) -> float:
    """The usual limit at the end, for a source that always has more, before a pipeline of this capacity and delay,
    which settles every `checkpoint_s`."""
    intake = Intake(0.0)
    read = settled = 0
    done_at: list[float] = []
    limits: list[int] = []
    now = free_at = checkpoint_at = 0.0
    while now < duration_s:
        if read - settled < intake.limit:
            for _ in range(intake.limit - (read - settled)):
                free_at = max(now, free_at) + 1 / (rate(free_at) if callable(rate) else rate)
                done_at.append(free_at + delay_s)
                read += 1
            intake.sent(read, now)
        now += _TICK_S
        if now >= checkpoint_at:
            checkpoint_at += checkpoint_s
            while settled < len(done_at) and done_at[settled] <= now:
                settled += 1
        intake.measure(settled, settled, now)
        limits.append(intake.limit)
    return median(limits[-round(_LAST_S / _TICK_S) :])


def test_a_source_begins_with_the_floor() -> None:
    assert Intake(0.0).limit == INTAKE_FLOOR


@pytest.mark.parametrize("rate", [1_000.0, 10_000.0])
@pytest.mark.parametrize("duration_s", [10.0, 90.0])
def test_about_as_much_is_unsettled_as_settles_in_a_fixed_time(rate: float, duration_s: float) -> None:
    assert limit_after(duration_s, rate, 0.01) == pytest.approx(rate * INTAKE_TIME_S, rel=0.1)


def test_a_long_pipeline_gets_about_twice_its_delay_however_long_the_stream() -> None:
    assert 500 * 2.0 <= limit_after(120.0, 500.0, 2.0) <= 2.2 * 500 * 2.0


@pytest.mark.parametrize("checkpoint_s", [0.1, 0.4, 1.0, 2.0])
def test_a_node_that_settles_in_bursts_gets_what_it_can_do_until_the_next_one(checkpoint_s: float) -> None:
    usual = limit_after(90.0, 20_000.0, 0.01, checkpoint_s)
    assert (
        0.99 * 20_000 * max(INTAKE_TIME_S, 1.2 * checkpoint_s)
        <= usual
        <= 20_000 * max(1.5 * INTAKE_TIME_S, 2.5 * checkpoint_s)
    )


def test_a_slow_pipeline_keeps_the_floor() -> None:
    assert limit_after(20.0, 10.0, 0.01) == INTAKE_FLOOR


def test_a_pipeline_that_becomes_slow_is_believed_after_a_while() -> None:
    usual = limit_after(90.0, lambda now: 5_000.0 if now < 10.0 else 500.0, 0.01)
    assert usual == pytest.approx(500 * INTAKE_TIME_S, rel=0.1)


def test_a_pause_does_not_make_the_source_forget() -> None:
    intake = Intake(0.0)
    for tick in range(1, 20):
        intake.measure(1000 * tick, 1000 * tick, tick / 10)
    fast = intake.limit
    for tick in range(20):
        intake.measure(19_000, 19_000, 2.0 + tick / 10)
    assert intake.limit == fast > INTAKE_FLOOR


@given(st.lists(st.tuples(st.floats(0.0, 3.0), st.integers(0, 5_000), st.integers(0, 5_000)), max_size=60))
def test_the_limit_never_falls_below_the_floor(steps: list[tuple[float, int, int]]) -> None:
    intake, now, read, settled = Intake(0.0), 0.0, 0, 0
    for after_s, more, done in steps:
        now += after_s
        read += more
        intake.sent(read, now)
        settled = min(read, settled + done)
        intake.measure(settled, settled, now)
        assert intake.limit >= INTAKE_FLOOR
