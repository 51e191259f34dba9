"""The service before its first pass: what it refuses, whose jobs it looks at, and its own metrics."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from urllib.request import urlopen

import pytest

from autoscaler.collect.web import Access
from autoscaler.decision import Action, Decision, Guard, ScalingPlan
from autoscaler.instruments import Instruments, shown
from autoscaler.local import LocalJobs
from autoscaler.service import ServiceOptions, serve, service_of
from autoscaler.settings import Settings
from streamer.control.book import Book
from streamer.control.events import Decided, JobSubmitted
from streamer.control.hosts.home import make_folder, new_job, open_log
from streamer.control.records import JobFacts
from streamer.control.step import step
from streamer.errors import MetricsError, OptionError, StreamerError, SupervisedError
from streamer.log.sqlite import SqliteLog
from tests.autoscaler.rehearsal import PLAN
from tests.house.source import ROOT


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteLog]:
    with closing(open_log(tmp_path)) as opened:
        yield opened


def begun(log: SqliteLog, home: Path, *, capacity: str | None, metrics: str = "") -> tuple[JobFacts, Book]:
    """A job that somebody supervises."""
    facts = replace(new_job(PLAN, home, detached=True), capacity=capacity, metrics=metrics)
    make_folder(Path(facts.folder))
    book = Book(log, facts)
    book.begin(PLAN)
    state, _ = step(None, JobSubmitted(facts.job, PLAN), time.monotonic())
    book.keep(state)
    return facts, book


def jobs_of(log: SqliteLog) -> LocalJobs:
    return LocalJobs(log, clock=time.monotonic, wall=time.time)


def test_jobs_that_do_not_scale_themselves_are_seen_and_others_are_left_alone(log: SqliteLog, tmp_path: Path) -> None:
    jobs = jobs_of(log)
    assert jobs.jobs() == []
    plain, _ = begun(log, tmp_path, capacity=None, metrics="http://127.0.0.1:1/metrics")
    begun(log, tmp_path, capacity="")

    [seen] = jobs.jobs()

    assert (seen.job, seen.pipeline, set(seen.plan.nodes)) == (plain.job, "words", {"lines", "parse", "save"})
    assert seen.instances == {"lines-0": "starting", "parse-0": "starting", "save-0": "starting"}
    assert set(seen.starting_s) == set(seen.instances)
    assert jobs.addresses() == {plain.job: "http://127.0.0.1:1/metrics"}


def test_a_decision_comes_to_whoever_supervises_the_job(log: SqliteLog, tmp_path: Path) -> None:
    facts, book = begun(log, tmp_path, capacity=None)

    jobs_of(log).carry_out(Decision(facts.job, "parse", 0.0, 1, 5, Action.UP))

    [wish] = book.wishes()
    assert isinstance(wish, Decided)
    assert (wish.node, wish.replicas) == ("parse", 5)


def test_a_platform_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="no platform 'kubernetes'") as refused:
        serve(ServiceOptions(tmp_path, platform="kubernetes"), lambda _: None)

    assert "local" in refused.value.advice


def test_an_address_that_is_none_is_refused_at_once(log: SqliteLog, tmp_path: Path) -> None:
    with pytest.raises(MetricsError, match="is no address"):
        service_of(ServiceOptions(tmp_path, prometheus="prometheus"), log, lambda _: None)


def test_a_season_without_a_server_that_has_a_history_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="a season is looked up in the history") as refused:
        serve(ServiceOptions(tmp_path, settings=Settings(season_s=60.0)), lambda _: None)

    assert "--prometheus" in refused.value.advice


def test_a_token_that_cannot_be_read_is_told_at_the_start(tmp_path: Path) -> None:
    access = Access(token_file=tmp_path / "none")

    with pytest.raises(MetricsError, match=r"the token in .*none cannot be read"):
        serve(ServiceOptions(tmp_path, prometheus="http://127.0.0.1:9", access=access), lambda _: None)


def test_two_services_of_one_home_do_not_fight(tmp_path: Path) -> None:
    refused: list[StreamerError] = []

    def tell(text: str) -> None:
        """The first one has just begun."""
        if text.startswith("scaling"):
            try:
                serve(ServiceOptions(tmp_path), lambda _: None)
            except SupervisedError as error:
                refused.append(error)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        serve(ServiceOptions(tmp_path), tell)

    assert "another autoscaler serves the jobs" in str(refused[0])


def test_its_metrics_say_what_was_decided_and_what_went_wrong() -> None:
    instruments = Instruments()
    instruments.passed(
        ScalingPlan(5.0, (Decision("j", "parse", 5.0, 2, 4, Action.UP, 6, Guard.CAPACITY, short=2),)), 0.25
    )
    instruments.failed("metrics")

    with shown(instruments, 0) as url, urlopen(url) as answer:
        text = answer.read().decode()

    for line in (
        'autoscaler_decisions_total{action="up",job="j",node="parse",reason="capacity"} 1.0',
        'autoscaler_failures_total{kind="metrics"} 1.0',
        'autoscaler_replicas_wanted{job="j",node="parse"} 4.0',
        'autoscaler_replicas_short{job="j",node="parse"} 2.0',
        "autoscaler_pass_seconds_sum 0.25",
    ):
        assert line in text


def test_every_metric_of_the_autoscaler_is_documented() -> None:
    page = (ROOT / "docs" / "autoscaling.md").read_text(encoding="utf-8")
    suffixes = {"counter": "_total"}

    names = [family.name + suffixes.get(family.type, "") for family in Instruments().families()]

    assert [name for name in names if f"`{name}" not in page] == []
