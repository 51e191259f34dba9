"""A forecast is made only where load has repeated, and then tells what is coming within a start-up time."""

from __future__ import annotations

import pytest

from autoscaler.forecast import forecast
from autoscaler.settings import Settings
from autoscaler.simulation.experiment import Conditions, simulate
from autoscaler.simulation.layout import three_stages
from autoscaler.simulation.rules.streamer import Streamer
from autoscaler.simulation.traces import Trace
from autoscaler.snapshot import History

SEASON = (10.0,) * 8 + (90.0,) * 2


def test_what_came_a_season_ago_is_coming_again() -> None:
    history = History(10.0, SEASON * 2)

    assert forecast(history, 100.0, ahead_s=30.0) == 10.0
    assert forecast(history, 100.0, ahead_s=80.0) == 90.0


@pytest.mark.parametrize(
    "rates",
    [
        pytest.param(SEASON, id="one season only"),
        pytest.param(SEASON + (50.0,) * 10, id="load that did not repeat"),
        pytest.param((None,) * 20, id="nothing known"),
        pytest.param((0.0,) * 20, id="nothing came"),
    ],
)
def test_nothing_is_forecast_without_a_season(rates: tuple[float | None, ...]) -> None:
    assert forecast(History(10.0, rates), 100.0, ahead_s=30.0) is None


def test_without_a_length_of_the_season_nothing_is_forecast() -> None:
    assert forecast(History(10.0, SEASON * 2), None, 30.0) is None


def test_a_load_that_repeats_is_met_before_it_comes_even_with_slow_starts() -> None:
    spikes = Trace.of("spikes", lambda t: 900.0 if t % 400 >= 330 else 100.0, 1600)
    conditions = Conditions(start_up_s=90)

    blind = simulate(three_stages(), spikes, Streamer(Settings()), conditions)
    seasoned = simulate(three_stages(), spikes, Streamer(Settings(season_s=400.0)), conditions)

    assert seasoned.late_fraction < 0.7 * blind.late_fraction
