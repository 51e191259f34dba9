"""When an instance lets messages gather: it is busy, and they come several at a time anyway."""

from __future__ import annotations

import pytest

from streamer.limits import GATHER_MAX_S
from streamer.runtime.gathering import Gathering

STEP_S = 0.0002


def after(steps: int, *, messages: int, wait_s: float, step_s: float = STEP_S) -> Gathering:
    gathering = Gathering()
    for _ in range(steps):
        gathering.pause_s(step_s, messages)
        gathering.waited(step_s, wait_s)
    return gathering


def test_at_first_nothing_waits() -> None:
    assert Gathering().pause_s(STEP_S, 1_000) == 0.0


def test_many_small_frames_are_let_gather_for_twice_as_long_as_a_step() -> None:
    gathering = after(100, messages=4, wait_s=0.0)
    assert gathering.pause_s(STEP_S, 4) == pytest.approx(2 * STEP_S)


def test_the_pause_is_bounded_however_long_a_step_takes() -> None:
    gathering = after(100, messages=4, wait_s=0.0)
    assert gathering.pause_s(1.0, 4) == GATHER_MAX_S


def test_messages_that_come_alone_do_not_wait_however_busy_it_is() -> None:
    assert after(100, messages=1, wait_s=0.0).pause_s(STEP_S, 1) == 0.0


def test_who_waits_more_than_he_works_does_not_pause() -> None:
    assert after(100, messages=100, wait_s=2 * STEP_S).pause_s(STEP_S, 100) == 0.0


def test_steps_that_only_hear_acknowledgements_change_nothing_about_the_messages() -> None:
    gathering = after(100, messages=4, wait_s=0.0)
    for _ in range(100):
        gathering.pause_s(STEP_S, 0)
        gathering.waited(STEP_S, 0.0)
    assert gathering.pause_s(STEP_S, 0) > 0.0


def test_it_ends_when_the_load_does() -> None:
    gathering = after(100, messages=4, wait_s=0.0)
    for _ in range(10):
        gathering.waited(STEP_S, 10 * STEP_S)
    assert gathering.pause_s(STEP_S, 4) == 0.0


def test_a_step_that_took_no_time_is_no_measure() -> None:
    gathering = after(100, messages=4, wait_s=0.0)
    gathering.waited(0.0, 0.0)
    assert gathering.pause_s(STEP_S, 4) > 0.0
