"""The end of a cycle: told once nothing can be on its way in it, and not before."""

from __future__ import annotations

from streamer import limits
from streamer.control.lifecycle import InstancePhase, JobPhase
from streamer.metrics.samples import InstanceState
from streamer.plan.assignment import Role, Verb
from tests.control.plans import CYCLE, plan
from tests.control.stage import Stage

MEMBERS = ("first-0", "second-0", "second-1")


def running(stage: Stage) -> Stage:
    stage.all_say(InstanceState.RUNNING)
    stage.tick()
    return stage


def report_quiet(stage: Stage, *instances: str, received: int = 0, exhausted: bool = True) -> None:
    """Each says once that it is quiet, a moment after the one before; `exhausted`: it sends nothing of its own."""
    for instance in instances:
        stage.now += 0.01
        stage.says(instance, InstanceState.DRAINING, quiet=True, received=received, exhausted=exhausted)
    stage.tick()


def test_a_cycle_is_ended_when_all_its_instances_stayed_quiet() -> None:
    stage = running(Stage(CYCLE))
    for _ in range(3):
        assert stage.told(Verb.END) == set()
        report_quiet(stage, *MEMBERS)
    assert stage.told(Verb.END) == set(MEMBERS)


def test_one_report_of_each_after_the_common_moment_is_not_enough() -> None:
    stage = running(Stage(CYCLE))
    report_quiet(stage, *MEMBERS)
    report_quiet(stage, *MEMBERS)
    assert stage.told(Verb.END) == set()


def test_a_cycle_goes_on_while_one_instance_is_busy() -> None:
    stage = running(Stage(CYCLE))
    for _ in range(5):
        report_quiet(stage, "first-0", "second-0")
        stage.says("second-1", InstanceState.DRAINING, quiet=False)
    stage.tick()
    assert stage.told(Verb.END) == set()


def test_a_message_that_passed_between_two_reports_begins_the_count_anew() -> None:
    stage = running(Stage(CYCLE))
    report_quiet(stage, *MEMBERS)
    report_quiet(stage, *MEMBERS)
    report_quiet(stage, *MEMBERS, received=1)
    report_quiet(stage, *MEMBERS, received=1)
    assert stage.told(Verb.END) == set()
    report_quiet(stage, *MEMBERS, received=1)
    assert stage.told(Verb.END) == set(MEMBERS)


def test_a_cycle_with_a_dead_instance_is_not_ended() -> None:
    stage = running(Stage(CYCLE))
    report_quiet(stage, *MEMBERS)
    report_quiet(stage, *MEMBERS)
    stage.dies("second-1")
    for _ in range(3):
        report_quiet(stage, "first-0", "second-0")
    assert stage.told(Verb.END) == set()


def test_a_member_that_returns_must_be_quiet_itself_before_the_cycle_ends() -> None:
    stage = running(Stage(CYCLE))
    stage.dies("second-1")
    stage.later(limits.RESTART_DELAY_MAX_S)
    stage.says("second-1", InstanceState.STARTING)
    for _ in range(3):
        report_quiet(stage, "first-0", "second-0")
    assert stage.told(Verb.END) == set()
    for _ in range(3):
        report_quiet(stage, *MEMBERS)
    assert stage.told(Verb.END) == set(MEMBERS)


def test_a_member_that_dies_after_the_end_is_told_of_it_in_its_next_life() -> None:
    stage = running(Stage(CYCLE))
    for _ in range(3):
        report_quiet(stage, *MEMBERS)
    stage.dies("second-1")
    stage.later(limits.RESTART_DELAY_MAX_S)
    stage.says("second-1", InstanceState.RUNNING)
    stage.tick()
    assert stage.told(Verb.END) == {"second-1"}


def test_a_job_with_a_cycle_completes() -> None:
    stage = running(Stage(CYCLE))
    stage.completes("lines-0")
    for _ in range(3):
        report_quiet(stage, *MEMBERS)
    for instance in (*MEMBERS, "save-0"):
        stage.completes(instance)
    assert stage.phase() is JobPhase.COMPLETED


def test_the_end_is_told_to_one_cycle_and_not_to_another() -> None:
    chart = plan(
        ("a", "b"), ("b", "a"), ("b", "c"), ("c", "d"), ("d", "c"),
        roles={"a": Role.STATEFUL, "c": Role.STATEFUL},
    )  # fmt: skip
    stage = running(Stage(chart))
    for _ in range(3):
        report_quiet(stage, "a-0", "b-0")
    assert stage.told(Verb.END) == {"a-0", "b-0"}


def test_a_cycle_that_feeds_itself_is_not_ended_while_one_of_its_nodes_may_still_send() -> None:
    chart = plan(("a", "b"), ("b", "a"), roles={"a": Role.STATEFUL})
    stage = running(Stage(chart))
    for _ in range(3):
        report_quiet(stage, "a-0", "b-0", exhausted=False)
    assert stage.told(Verb.END) == set()
    report_quiet(stage, "a-0", "b-0")
    assert stage.told(Verb.END) == {"a-0", "b-0"}


def test_a_drain_is_told_to_a_stateful_node_that_is_fed_by_its_own_cycle_only() -> None:
    chart = plan(
        ("a", "b"), ("b", "a"), ("b", "save"),
        roles={"a": Role.STATEFUL, "save": Role.SINK},
    )  # fmt: skip
    stage = running(Stage(chart))
    stage.drain()
    stage.tick()
    assert stage.told(Verb.DRAIN) == {"a-0"}
    assert stage.record("b-0").phase is InstancePhase.RUNNING
