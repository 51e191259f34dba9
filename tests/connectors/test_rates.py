"""Rate programs: messages due as a function of time, and the time of each message."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.connectors.rates import program_of

STEPS = {"shape": "steps", "steps": [{"rate": 10, "seconds": 2}, {"rate": 0, "seconds": 3}, {"rate": 5, "seconds": 4}]}
RAMP = {"shape": "ramp", "from": 0, "to": 10, "seconds": 4}
SINE = {"shape": "sine", "low": 2, "high": 10, "seconds": 8}
SPIKES = {"shape": "spikes", "base": 1, "peak": 100, "every": 10, "seconds": 2}

rates = st.floats(0, 1e5) | st.integers(0, 1000)
seconds = st.floats(0.01, 1e4)
programs = st.one_of(
    st.floats(0.01, 1e6),
    st.fixed_dictionaries(
        {
            "shape": st.just("steps"),
            "steps": st.lists(st.fixed_dictionaries({"rate": rates, "seconds": seconds}), min_size=1, max_size=6),
            "repeat": st.booleans(),
        }
    ),
    st.fixed_dictionaries({"shape": st.just("ramp"), "from": rates, "to": rates, "seconds": seconds}),
    st.fixed_dictionaries({"shape": st.just("sine"), "low": rates, "high": rates, "seconds": seconds}),
    st.fixed_dictionaries(
        {
            "shape": st.just("spikes"),
            "base": rates,
            "peak": rates,
            "every": st.floats(10, 1000),
            "seconds": st.floats(0.01, 9),
        }
    ),
)


@pytest.mark.parametrize(
    ("rate", "counts"),
    [
        pytest.param(2.5, {0: 0, 4: 10, 100: 250}, id="a-number"),
        pytest.param(STEPS, {1: 10, 2: 20, 4: 20, 5: 20, 7: 30, 9: 40, 109: 540}, id="the-last-step-goes-on"),
        pytest.param({**STEPS, "repeat": True}, {9: 40, 10: 50, 14: 60, 18: 80}, id="steps-that-repeat"),
        pytest.param(RAMP, {2: 5, 4: 20, 14: 120}, id="a-ramp-stays-up"),
        pytest.param({**RAMP, "from": 10, "to": 0}, {2: 15, 4: 20, 14: 20}, id="a-ramp-down-to-nothing"),
        pytest.param(SINE, {0: 0, 4: 24, 8: 48, 12: 72, 80: 480}, id="a-wave"),
        pytest.param(SPIKES, {8: 8, 9: 108, 10: 208, 18: 216, 20: 416}, id="a-spike-ends-each-round"),
    ],
)
def test_the_shape_says_how_many_messages_are_due(rate: Any, counts: dict[int, float]) -> None:
    program = program_of(rate)

    assert {at: program.count(at) for at in counts} == pytest.approx(counts)


def test_a_wave_is_lowest_at_its_ends_and_highest_in_the_middle() -> None:
    program = program_of(SINE)

    def rate(at: float) -> float:
        return (program.count(at + 1e-4) - program.count(at)) / 1e-4

    assert [rate(at) for at in (0, 2, 4, 6, 8)] == pytest.approx([2, 6, 10, 6, 2], abs=0.01)


def test_what_is_due_in_a_quiet_stretch_comes_when_it_is_over() -> None:
    assert program_of(STEPS).when(20) == pytest.approx(5)
    assert program_of(STEPS).when(19.9) == pytest.approx(1.99)


@pytest.mark.parametrize(
    "rate",
    [
        pytest.param({**RAMP, "from": 10, "to": 0}, id="a-ramp-down"),
        pytest.param({"shape": "steps", "steps": [{"rate": 0, "seconds": 1}], "repeat": True}, id="nothing-repeated"),
        pytest.param({**SINE, "low": 0, "high": 0}, id="a-flat-wave"),
    ],
)
def test_what_is_never_due_has_no_time(rate: Any) -> None:
    assert program_of(rate).when(20) == math.inf


@given(programs, st.floats(0, 1e6), st.floats(0, 1e3))
def test_the_count_never_falls(rate: Any, at: float, later: float) -> None:
    program = program_of(rate)

    assert program.count(at + later) >= program.count(at) * (1 - 1e-9) - 1e-6


@given(programs, st.integers(0, 10**6))
def test_a_message_is_due_when_it_is_said_to_be(rate: Any, number: int) -> None:
    program = program_of(rate)
    moment = program.when(number)

    if moment < 1e12:
        assert program.count(moment + max(1e-6, moment * 1e-9)) >= number * (1 - 1e-9)
        assert program.count(moment * (1 - 1e-9) - 1e-6) <= number * (1 + 1e-6) + 1 if moment > 1e-3 else True


@given(programs, st.integers(0, 10**6), st.floats(0, 1e3))
def test_a_program_goes_on_from_its_place_as_it_would_have_gone_on(rate: Any, number: int, later: float) -> None:
    program = program_of(rate)
    moment, place = program.when(number), program.place(number)

    if moment < 1e9:
        expected = program.count(moment + later) - program.count(moment)
        assert program.count(place + later) - program.count(place) == pytest.approx(expected, rel=1e-3, abs=1)
