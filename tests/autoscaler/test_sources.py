"""The contract of every source of metrics: a supervisor's samples, the jobs' pages, a real Prometheus server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from autoscaler.collect.points import growth
from autoscaler.collect.prometheus import Prometheus
from tests.autoscaler.sources import (
    SPAN_S,
    Told,
    ToldAtHand,
    ToldByPages,
    reading,
    sample,
    served,
    until,
    wait_until,
)

JOBS = ("whole", "grows", "hangs", "there", "one", "two", "repeats")


@pytest.fixture(scope="module", params=["at hand", "pages", "server"])
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    if request.param == "at hand":
        yield ToldAtHand()
        return
    pages = ToldByPages(JOBS)
    with closing(pages):
        if request.param == "pages":
            yield pages
            return
        with served(tmp_path_factory.mktemp("prometheus"), list(pages.addresses().values())) as url:
            pages.source = Prometheus(url, span_s=SPAN_S, season_s=60.0)
            yield pages


def test_an_instance_is_told_as_it_said(told: Told) -> None:
    told.tell("whole", [sample("parse-0", 70, 3.5, sent=30, backlog=4)])

    found = until(told.source, "whole", lambda points: "parse-0" in points)

    [point] = found["parse-0"]
    assert abs(point.at - time.time()) < 20
    assert (point.received, point.busy_s, point.oldest_unsettled_s, point.unread) == (70, 3.5, 1.5, 11)
    assert (point.sent, point.settled) == ({"save": 30}, {"save": 30})
    assert (point.backlog, point.in_flight, point.fullness) == ({"save": 4}, {"save": 4}, {"save": 0.25})


def test_what_counters_grew_by_is_told_also_when_they_began_anew(told: Told) -> None:
    told.tell("grows", [sample("parse-0", 100, 9.0, sent=40)])
    until(told.source, "grows", lambda points: "parse-0" in points)
    wait_until(time.time() + 0.6)
    told.tell("grows", [sample("parse-0", 160, 0.5, sent=70)])

    found = until(told.source, "grows", lambda points: len(points["parse-0"]) > 1)

    grown = growth(found["parse-0"])
    assert grown is not None
    assert (grown.received, grown.busy_s, grown.sent) == (60, 0.5, {"save": 30})
    assert 0.5 < grown.span_s < 30


def test_an_instance_that_says_nothing_more_looks_old_and_not_idle(told: Told) -> None:
    told_at = time.time()
    told.tell("hangs", [sample("parse-0", 5, 1.0)])
    until(told.source, "hangs", lambda points: bool(points))
    wait_until(told_at + 1.2)
    told.tell("hangs", [sample("parse-0", 5, 1.0)], silent_s=time.time() - told_at)

    found = until(told.source, "hangs", lambda points: time.time() - points["parse-0"][-1].at >= 1.2)

    assert growth(found["parse-0"]) is None
    assert found["parse-0"][-1].at == pytest.approx(told_at, abs=0.3)


def test_a_job_of_which_nothing_is_known_is_missing_and_not_empty(told: Told) -> None:
    told.tell("there", [sample("parse-0", 1, 0.0)])
    until(told.source, "there", lambda points: bool(points))

    assert set(reading(told.source, "there").jobs) == {"there"}
    assert reading(told.source, "elsewhere").jobs == {}


def test_jobs_are_told_apart(told: Told) -> None:
    told.tell("one", [sample("parse-0", 1, 0.0)])
    told.tell("two", [sample("parse-0", 2, 0.0)])
    until(told.source, "one", lambda points: bool(points))
    until(told.source, "two", lambda points: bool(points))

    jobs = told.source.read(["one", "two"], time.time()).jobs

    assert {job: points["parse-0"][-1].received for job, points in jobs.items()} == {"one": 1, "two": 2}


def test_a_server_that_does_not_know_a_job_says_so_with_the_remedy(told: Told) -> None:
    if not isinstance(told.source, Prometheus):
        return

    failure = reading(told.source, "nobody").failure

    assert "no series of job nobody" in failure
    assert "honor_labels: true" in failure


def test_a_server_tells_what_a_node_took_in_during_the_last_two_seasons(told: Told) -> None:
    if not isinstance(told.source, Prometheus):
        return
    told.tell("repeats", [sample("parse-0", 100, 1.0)])
    until(told.source, "repeats", lambda points: "parse-0" in points)
    told.tell("repeats", [sample("parse-0", 160, 1.0)])
    until(told.source, "repeats", lambda points: points["parse-0"][-1].received == 160)

    found = told.source.read(["repeats", "one"], time.time())

    history = found.histories["repeats"]["parse"]
    assert (history.step_s, len(history.rates)) == (30.0, 4)
    assert history.rates[-1] is not None
    assert history.rates[-1] > 0
    assert history.rates[0] is None, "nothing was scraped then"
