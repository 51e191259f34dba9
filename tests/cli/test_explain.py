"""`streamer explain`: what the journal of a job says, in words and as JSON, and what it says where there is none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from autoscaler.decision import Action, Decision, Formula, Guard, Inputs, ScalingPlan
from autoscaler.journal import Journal
from streamer.cli.explain import explain
from streamer.control.book import Book
from streamer.control.hosts.home import make_folder, new_job, open_log
from streamer.control.lifecycle import JobPhase
from streamer.control.records import JobFacts, JobLine, job_entry
from streamer.errors import NoSuchJobError
from streamer.log.sqlite import SqliteLog
from tests.autoscaler.rehearsal import PLAN

FORMULA = Formula(
    "replicas whose capacity is demand / utilisation",
    {"rate": 20.0, "contention": 0.0, "utilisation": 0.75, "highest_utilisation": 0.85, "late_s": 5.0, "demand": 100.0},
    6.7,
    7,
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STREAMER_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def log(home: Path) -> Iterator[SqliteLog]:
    with closing(open_log(home)) as opened:
        yield opened


def ended_job(log: SqliteLog, home: Path, *, capacity: str | None = "") -> JobFacts:
    """A job whose parse had seven replicas at the end."""
    facts = replace(new_job(PLAN, home, detached=True), capacity=capacity)
    make_folder(Path(facts.folder))
    book = Book(log, facts)
    book.begin(PLAN)
    line = JobLine(facts, status="stopped", phase=JobPhase.STOPPED, replicas={"lines": 1, "parse": 7, "save": 1})
    claim = log.claimed(facts.job)
    log.append_all([job_entry(line)], claim=claim)
    return facts


def decisions(job: str) -> list[Decision]:
    inputs = Inputs(demand=100.0, true_rate=20.0, backlog=3.0, ready=7)
    up = Decision(
        job, "parse", 1000.0, 1, 7, Action.UP, 7, None, FORMULA, inputs, ("100 messages/s keep it busy",), since=1000.0
    )
    held = replace(
        up, at=1100.0, had=7, action=Action.HOLD, guard=Guard.CAPACITY, short=2, reasons=("it wants 9 replicas",)
    )
    return [up, held]


def write(log: SqliteLog, job: str) -> None:
    journal = Journal()
    for decision in decisions(job):
        log.append_all(journal.news(ScalingPlan(decision.at, (decision,), ("Prometheus does not answer",))))


def test_it_says_why_since_when_and_what_would_change_it(
    log: SqliteLog, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = ended_job(log, home)
    write(log, facts.job)

    assert explain(facts.job, "parse", as_json=False) == 0

    told = capsys.readouterr().out
    assert told.splitlines()[0] == "! Prometheus does not answer"
    for part in (
        "parse: 7 replicas, for ",
        "because it wants 9 replicas",
        "100 messages/s arrive",
        "  wants 9, has 7",
        "6 would take less than 90 messages/s",
        "it may have 0 to 40",
        "1970-01-01T00:16:40Z  1 -> 7  100 messages/s keep it busy",
    ):
        assert part in told, told


def test_as_json_it_has_the_decision_whole(log: SqliteLog, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = ended_job(log, home)
    write(log, facts.job)

    assert explain(facts.job, None, as_json=True) == 0

    document = json.loads(capsys.readouterr().out)
    assert (document["job"], document["pipeline"], document["alarms"]) == (
        facts.job,
        "words",
        ["Prometheus does not answer"],
    )
    [parse] = [node for node in document["nodes"] if node["node"] == "parse"]
    assert (
        Decision.from_document({name: parse[name] for name in decisions("")[0].to_document()})
        == decisions(facts.job)[1]
    )
    assert (parse["replicas"], parse["least"], parse["most"]) == (7, 0, 40)
    assert (parse["more_above"], parse["fewer_below"]) == (pytest.approx(119.0), pytest.approx(90.0))
    assert parse["changes"] == [{"at": 1000.0, "had": 1, "wanted": 7, "reasons": ["100 messages/s keep it busy"]}]


@pytest.mark.parametrize(
    ("capacity", "why"),
    [
        pytest.param(None, "--no-autoscale", id="nobody scales it"),
        pytest.param("", "nothing was decided yet", id="young"),
    ],
)
def test_without_decisions_it_says_why_there_are_none(
    log: SqliteLog, home: Path, capsys: pytest.CaptureFixture[str], capacity: str | None, why: str
) -> None:
    facts = ended_job(log, home, capacity=capacity)

    assert explain(facts.job, None, as_json=False) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.split(";")[0] for line in lines] == ["lines: 1 replica", "parse: 7 replicas", "save: 1 replica"]
    assert all(why in line for line in lines)


def test_a_node_that_there_is_not_is_answered_with_the_nearest(log: SqliteLog, home: Path) -> None:
    facts = ended_job(log, home)

    with pytest.raises(NoSuchJobError, match=r"no node pars \(did you mean parse\?\)"):
        explain(facts.job, "pars", as_json=False)
