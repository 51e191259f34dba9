"""A forecast is made only where load has repeated, and then tells what is coming within a start-up time."""

from __future__ import annotations

import pytest

from autoscaler.forecast import TREND_PASSES, forecast, trend
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


def _rising(per_pass: float, begin: float = 500.0) -> list[float]:
    return [begin + at * per_pass for at in range(TREND_PASSES)]


def test_a_rate_that_has_risen_for_a_minute_is_taken_to_rise_on() -> None:
    assert trend(_rising(10.0), 5.0, 15.0, ahead_s=20.0) == pytest.approx(620.0 + 40.0)


@pytest.mark.parametrize(
    "rates",
    [
        pytest.param(_rising(10.0)[1:], id="not for long enough"),
        pytest.param(_rising(-10.0), id="falling"),
        pytest.param([100.0] * 9 + [1000.0] * 4, id="a jump"),
        pytest.param([4.0 + at % 3 for at in range(TREND_PASSES)], id="noise of few messages"),
        pytest.param([0.0] * TREND_PASSES, id="nothing"),
    ],
)
def test_what_is_no_trend_is_not_carried_on(rates: list[float]) -> None:
    assert trend(rates, 5.0, 15.0, ahead_s=90.0) is None


def test_a_trend_is_carried_on_by_half_at_most() -> None:
    assert trend(_rising(100.0), 5.0, 15.0, ahead_s=90.0) == pytest.approx(1.5 * 1700.0)
