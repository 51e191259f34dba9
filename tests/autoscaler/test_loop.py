"""The loop in virtual time, around the real controller: what it does on a good day, and that it holds on a bad one."""

from __future__ import annotations

import pytest

from autoscaler.decision import Action, Guard
from autoscaler.journal import journal_of
from streamer.control.events import Scaled
from streamer.descriptor.resources import Capacity
from streamer.log.base import newest
from streamer.log.topics import Topic
from tests.autoscaler.rehearsal import JOB, Empty, Gone, Rehearsal


def last(rehearsal: Rehearsal, node: str = "parse") -> tuple[int, Guard | None]:
    decision = journal_of(rehearsal.log, JOB).nodes[node].last
    return decision.wanted, decision.guard


@pytest.fixture
def steady() -> Rehearsal:
    """It has its size for 100 messages a second, and has had it for long."""
    rehearsal = Rehearsal()
    rehearsal.play(90, 100)
    assert rehearsal.replicas == 3
    return rehearsal


def test_a_load_gets_its_replicas_in_a_few_decisions_and_then_there_is_peace() -> None:
    rehearsal = Rehearsal()
    rehearsal.play(120, 200)

    assert 5 <= rehearsal.replicas <= 7
    made = len(rehearsal.carried_out)
    assert 1 <= made <= 3
    rehearsal.play(300, 200)
    assert len(rehearsal.carried_out) == made


def test_a_load_that_goes_takes_its_replicas_with_it_and_one_that_comes_back_finds_one_at_once(
    steady: Rehearsal,
) -> None:
    steady.play(500, 0)
    assert steady.replicas == 0

    steady.play(2, 1)
    assert steady.replicas == 1, "the controller wakes it, and waits for no pass"
    steady.play(10, 1)
    assert steady.queue <= 1


@pytest.mark.parametrize("source", [pytest.param(Gone(), id="stopped"), pytest.param(Empty(), id="empty answers")])
def test_without_metrics_for_ten_minutes_every_node_keeps_what_it_has_and_the_journal_says_why(
    steady: Rehearsal, source: Gone | Empty
) -> None:
    before = steady.replicas
    made = len(steady.carried_out)
    steady.source = source
    steady.play(600, 0)

    assert (steady.replicas, len(steady.carried_out)) == (before, made)
    assert last(steady) == (before, Guard.UNKNOWN)
    [alarm] = journal_of(steady.log, JOB).alarms
    assert "does not answer" in alarm or "no series" in alarm
    assert steady.told == [alarm], "what lasts is told once"

    steady.source = None
    steady.play(120, 0)
    assert steady.replicas < before
    assert journal_of(steady.log, JOB).alarms == ()


def test_instances_that_report_nothing_count_against_fewer_and_nothing_flaps(steady: Rehearsal) -> None:
    before, made = steady.replicas, len(steady.carried_out)
    steady.mute = {"lines-0", "parse-0", "parse-1", "parse-2"}
    steady.play(300, 0)

    assert (steady.replicas, len(steady.carried_out)) == (before, made)
    assert last(steady)[1] is Guard.UNKNOWN


def test_a_clock_that_is_set_changes_nothing(steady: Rehearsal) -> None:
    before, made = steady.replicas, len(steady.carried_out)
    for leap_s in (3600.0, -7200.0):
        steady.leap_s += leap_s
        steady.play(60, 100)

    assert (steady.replicas, len(steady.carried_out)) == (before, made)


def test_more_than_the_platform_has_is_told_and_not_tried() -> None:
    rehearsal = Rehearsal(capacity=Capacity(instances=6))
    rehearsal.play(60, 400)

    assert rehearsal.replicas == 4, "a source and a sink have the other two"
    decision = journal_of(rehearsal.log, JOB).nodes["parse"].last
    assert (decision.guard, decision.short > 0) == (Guard.CAPACITY, True)


def test_a_node_that_a_person_has_pinned_is_left_alone(steady: Rehearsal) -> None:
    steady.stage.take(Scaled("parse", 3, 0))
    steady.play(60, 300)

    assert steady.replicas == 3
    assert last(steady) == (3, Guard.PINNED)


def test_a_log_that_cannot_be_written_costs_the_records_and_nothing_else(steady: Rehearsal) -> None:
    steady.full = True
    steady.play(30, 300)
    assert steady.replicas > 6
    assert len([text for text in steady.told if "the disk is full" in text]) == 1

    steady.full = False
    steady.play(20, 300)
    assert last(steady)[0] == steady.replicas, "what was not written is written later"


def test_a_defect_costs_a_pass_is_shown_and_is_counted(steady: Rehearsal) -> None:
    steady.broken = "a mistake of ours"
    steady.play(10, 100)
    steady.broken = ""
    steady.play(30, 300)

    [shown] = steady.told
    assert "ZeroDivisionError: a mistake of ours" in shown
    assert steady.replicas > 6
    counted = {
        (sample.name, sample.labels.get("kind")): sample.value
        for family in steady.autoscaler.instruments.families()
        for sample in family.samples
    }
    assert counted["autoscaler_failures_total", "defect"] == 2


def test_a_quarter_of_an_hour_of_the_same_load_leaves_few_records(steady: Rehearsal) -> None:
    def count() -> int:
        return len(steady.log.read(Topic.DECISIONS, scope=JOB, limit=100_000).records)

    before = count()
    steady.play(900, 100)

    assert count() - before <= 3 * 16
    assert set(newest(steady.log, Topic.DECISIONS)) == {f"{JOB}/{node}" for node in ("lines", "parse", "save")}


def test_every_change_stands_in_the_journal_with_its_reason() -> None:
    rehearsal = Rehearsal()
    rehearsal.play(60, 100)
    rehearsal.play(120, 5)

    changes = journal_of(rehearsal.log, JOB).nodes["parse"].changes
    assert list(changes) == rehearsal.carried_out
    assert {change.action for change in changes} == {Action.UP, Action.DOWN}
    assert all(change.reasons and change.formula for change in changes)


@pytest.mark.parametrize("per_s", [0, 1])
def test_whoever_takes_over_a_peak_takes_it_down_though_next_to_nothing_comes(per_s: int) -> None:
    rehearsal = Rehearsal(rate=1000.0)
    rehearsal.play(90, 4000)
    peak = rehearsal.replicas
    assert peak > 4
    rehearsal.queue = 0

    rehearsal.restart()
    rehearsal.play(120, per_s)

    assert rehearsal.replicas == 1


def test_since_when_is_known_whoever_decides_by_now(steady: Rehearsal) -> None:
    since = journal_of(steady.log, JOB).nodes["parse"].last.since

    steady.restart()
    steady.play(60, 100)

    assert journal_of(steady.log, JOB).nodes["parse"].last.since == since


def test_a_node_that_a_person_gives_back_stays_as_it_is_until_there_is_a_reason() -> None:
    rehearsal = Rehearsal()
    rehearsal.stage.take(Scaled("parse", 4, 1))
    rehearsal.play(20, 150)

    rehearsal.stage.take(Scaled("parse", None, 2))
    replicas = []
    for _ in range(20):
        rehearsal.play(1, 150)
        replicas.append(rehearsal.replicas)

    assert set(replicas) == {4}


def test_what_others_change_stands_in_the_journal_too(steady: Rehearsal) -> None:
    steady.stage.take(Scaled("parse", 5, 1))
    steady.play(10, 100)
    steady.stage.take(Scaled("parse", None, 2))
    steady.play(500, 0)
    steady.play(10, 1)

    changes = journal_of(steady.log, JOB).nodes["parse"].changes
    assert [(change.had, change.wanted) for change in changes][-5:] == [(3, 5), (5, 3), (3, 1), (1, 0), (0, 1)]
    assert changes[-5].guard is Guard.PINNED
    assert changes[-1].reasons[0] == "the controller woke it for the first message that came"
