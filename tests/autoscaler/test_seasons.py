"""The seasons of a Prometheus server: what is asked for and how often, and that a forecast is never worth a failure."""

from __future__ import annotations

import json
from typing import Any

import pytest

from autoscaler.collect.prometheus import Prometheus
from autoscaler.collect.seasons import Seasons
from autoscaler.snapshot import History
from streamer.errors import MetricsError
from tests.autoscaler.answering import Answering, answering
from tests.autoscaler.rehearsal import JOB, Rehearsal

DAY_S = 86_400.0


class Server:
    """It has these values of the node `lines`, and keeps what it was asked."""

    def __init__(self, *values: tuple[float, str]) -> None:
        self.forms: list[dict[str, str]] = []
        self.values = values
        self.gone = False

    def ask(self, form: dict[str, str]) -> list[dict[str, Any]]:
        self.forms.append(form)
        if self.gone:
            raise MetricsError("it does not answer")
        return [{"metric": {"job": "job", "node": "lines"}, "values": self.values}]


def test_two_seasons_are_asked_for_and_steps_without_samples_are_unknown() -> None:
    server = Server((1000.0 - 30.0, "4"), (1000.0, "NaN"), (1000.0 - 90.0, "2.5"))

    found = Seasons(60.0, server.ask).read(["job"], 1000.0)

    assert found["job"]["lines"] == History(30.0, (2.5, None, 4.0, None))
    [form] = server.forms
    assert (form["start"], form["end"], form["step"]) == ("910.000", "1000.000", "30.000")
    assert 'job=~"job"' in form["query"]


def test_a_long_season_has_steps_of_which_a_server_gives_all_at_once() -> None:
    server = Server()

    Seasons(DAY_S, server.ask).read(["job"], 1e6)

    [form] = server.forms
    assert (1e6 - float(form["start"])) / float(form["step"]) < 5000
    assert f"[{float(form['step']):.0f}s]" in form["query"], "each message is in one step"


def test_it_is_asked_again_when_a_step_has_passed_or_the_jobs_are_others() -> None:
    server = Server((1000.0, "1"))
    seasons = Seasons(60.0, server.ask)

    for now in (1000.0, 1005.0, 1029.0):
        seasons.read(["job"], now)
    assert len(server.forms) == 1

    seasons.read(["job"], 1030.0)
    seasons.read(["job", "other"], 1031.0)
    seasons.read(["job", "other"], 500.0)
    assert len(server.forms) == 4, "also when the clock goes back"


def test_while_a_server_does_not_answer_nothing_is_known_and_it_is_not_asked_at_each_pass() -> None:
    server = Server((1000.0, "1"))
    seasons = Seasons(60.0, server.ask)
    seasons.read(["job"], 1000.0)
    server.gone = True

    with pytest.raises(MetricsError):
        seasons.read(["job"], 1030.0)
    assert seasons.read(["job"], 1035.0) == {}
    assert len(server.forms) == 2


class Odd:
    """What it is asked for now it answers well, and what was before in a form of its own."""

    def __init__(self) -> None:
        self._right = {"status": "success", "data": {"resultType": "matrix", "result": []}}
        self._odd = {"status": "success", "data": {"resultType": "matrix", "result": [{"values": [[1, "2"]]}]}}

    def answer(self, path: str) -> str:
        return json.dumps(self._odd if path.endswith("query_range") else self._right)


def test_an_answer_that_is_none_costs_the_forecast_alone() -> None:
    with answering(Answering(200, "application/json", Odd().answer)) as server:
        found = Prometheus(server.url, span_s=10.0, season_s=60.0).read(["job"], 1000.0)

    assert found.histories == {}
    assert "nothing is forecast by season" in found.failure
    assert "no series of job job" in found.failure, "all else is told as well"


def test_what_came_a_season_ago_has_its_replicas_before_it_comes_again() -> None:
    def load(at: float) -> int:
        return 400 if at % 400 >= 330 else 50

    def replicas_when_it_comes(*, seasoned: bool) -> int:
        rehearsal = Rehearsal(start_up_s=30, season_s=400.0)
        begin = rehearsal.wall()
        if seasoned:
            rehearsal.past = lambda now: {
                JOB: {"lines": History(10.0, tuple(float(load(now - begin - 10.0 * ago)) for ago in range(80, -1, -1)))}
            }
        for second in range(1, 330):
            rehearsal.play(1, load(float(second)))
        return rehearsal.replicas

    assert replicas_when_it_comes(seasoned=False) < 4
    assert replicas_when_it_comes(seasoned=True) > 8
