"""Replicas that change while the job goes on: who is started, who is sent away, and that no wish is taken twice."""

from __future__ import annotations

import dataclasses

import pytest

from streamer import limits
from streamer.cluster_limits import PLACED_EPOCHS
from streamer.control.events import Decided, Placed, ReplayWanted, Scaled
from streamer.control.lifecycle import InstancePhase, JobPhase
from streamer.control.scaling import check
from streamer.errors import ScaleError
from streamer.metrics.samples import EdgeSample, InstanceState
from streamer.plan.assignment import Verb
from tests.control.plans import LINE
from tests.control.stage import Stage

PLAN = dataclasses.replace(
    LINE, nodes={**LINE.nodes, "parse": dataclasses.replace(LINE.nodes["parse"], min_replicas=1, max_replicas=4)}
)


@pytest.fixture
def stage() -> Stage:
    stage = Stage(PLAN)
    stage.all_say(InstanceState.RUNNING)
    stage.tick()
    return stage


def scaled(stage: Stage, replicas: int | None, number: int = 0) -> None:
    stage.take(Scaled("parse", replicas, number))
    stage.tick()


@pytest.fixture
def asleep() -> Stage:
    """The job of a pipeline in which parse may have no instances, and has none now."""
    node = dataclasses.replace(PLAN.nodes["parse"], min_replicas=0)
    stage = Stage(dataclasses.replace(PLAN, nodes={**PLAN.nodes, "parse": node}))
    stage.all_say(InstanceState.RUNNING)
    decided(stage, 0)
    stage.completes("parse-0")
    stage.completes("parse-1")
    stage.tick()
    return stage


def decided(stage: Stage, replicas: int, number: int | None = None) -> None:
    stage.take(Decided("parse", replicas, number))
    stage.tick()


def parses(stage: Stage) -> list[str]:
    return sorted(name for name, phase in stage.phases().items() if name.startswith("parse") and not phase.gone)


def test_more_replicas_are_started_at_once_and_their_neighbours_hear_of_them(stage: Stage) -> None:
    scaled(stage, 4)

    assert set(stage.starts()) == {"parse-2", "parse-3"}
    assert [peer.instance for peer in stage.peers()["lines-0"].children] == [f"parse-{n}" for n in range(4)]
    assert [peer.instance for peer in stage.peers()["save-0"].parents] == [f"parse-{n}" for n in range(4)]


def test_a_source_whose_instances_share_its_work_has_replicas_too() -> None:
    lines = dataclasses.replace(LINE.nodes["lines"], max_replicas=2)
    stage = Stage(dataclasses.replace(LINE, nodes={**LINE.nodes, "lines": lines}))
    stage.all_say(InstanceState.RUNNING)
    stage.tick()

    stage.take(Scaled("lines", 2, 0))
    stage.tick()

    assert set(stage.starts()) == {"lines-1"}
    with pytest.raises(ScaleError, match=r"at most 2 \(maxReplicas\)"):
        check(lines, 3)


def test_the_last_ones_are_told_to_leave_and_stay_known_until_they_are_gone(stage: Stage) -> None:
    scaled(stage, 1)

    assert stage.told(Verb.LEAVE) == {"parse-1"}
    assert (stage.starts(), stage.kills()) == ({}, set())
    assert stage.state.replicas()["parse"] == 1

    stage.completes("parse-1")
    stage.tick()

    assert stage.phases()["parse-1"] is InstancePhase.RETIRED
    assert [peer.instance for peer in stage.peers()["lines-0"].children] == ["parse-0"]
    assert [peer.instance for peer in stage.peers()["save-0"].parents] == ["parse-0"]
    assert stage.phase() is JobPhase.RUNNING


def test_on_a_cluster_what_comes_back_is_given_a_place_anew_for_others_may_have_its_room(stage: Stage) -> None:
    stage.take(Placed("parse-1", 1, "there"))
    scaled(stage, 1)
    stage.completes("parse-1")
    stage.tick()

    scaled(stage, 2, 1)

    record = stage.record("parse-1")
    assert (record.phase, record.agent, record.was_on) == (InstancePhase.STARTING, "", "there")
    assert record.epoch == PLACED_EPOCHS
    assert stage.state.restarts()["parse"] == 0


def test_one_that_is_to_leave_and_dies_is_not_started_again(stage: Stage) -> None:
    scaled(stage, 1)
    stage.dies("parse-1")

    assert stage.starts(stage.later(10.0)) == {}
    assert parses(stage) == ["parse-0"]


def test_one_that_does_not_leave_in_a_drains_time_is_killed_once(stage: Stage) -> None:
    scaled(stage, 1)
    stage.later(limits.DRAIN_S)

    assert stage.kills() == {"parse-1"}
    stage.tick()
    assert stage.kills() == set()


def test_one_that_waits_for_its_restart_is_simply_forgotten(stage: Stage) -> None:
    stage.dies("parse-1")
    scaled(stage, 1)

    assert stage.phases()["parse-1"] is InstancePhase.RETIRED
    assert stage.starts(stage.later(10.0)) == {}


def test_a_name_is_taken_up_again_and_that_counts_as_no_restart(stage: Stage) -> None:
    scaled(stage, 1)
    stage.completes("parse-1")
    scaled(stage, 2, number=1)

    assert {name: start.epoch for name, start in stage.starts().items()} == {"parse-1": 2}
    assert stage.state.restarts()["parse"] == 0


def test_while_one_leaves_another_takes_its_place(stage: Stage) -> None:
    scaled(stage, 1)
    scaled(stage, 2, number=1)

    assert set(stage.starts()) == {"parse-2"}


def test_a_released_node_returns_to_what_the_descriptor_says(stage: Stage) -> None:
    scaled(stage, 4)
    stage.all_say(InstanceState.RUNNING)
    scaled(stage, None, number=1)

    assert stage.told(Verb.LEAVE) == {"parse-2", "parse-3"}
    assert stage.state.desired("parse") == 2


def test_a_wish_that_comes_again_does_not_undo_a_later_one(stage: Stage) -> None:
    scaled(stage, 4, number=7)
    scaled(stage, 3, number=8)
    scaled(stage, 4, number=7)

    assert stage.state.desired("parse") == 3


@pytest.mark.parametrize("ending", ["drain", "kill"])
def test_a_job_that_is_ending_is_not_scaled(stage: Stage, ending: str) -> None:
    stage.drain() if ending == "drain" else stage.kill()
    scaled(stage, 4)

    assert stage.starts() == {}


def test_a_node_that_has_ended_gets_no_new_instances(stage: Stage) -> None:
    stage.completes("parse-0")
    scaled(stage, 4)

    assert stage.starts() == {}


def test_a_job_completes_when_those_that_stayed_have(stage: Stage) -> None:
    scaled(stage, 1)
    stage.completes("parse-1")
    for instance in ("lines-0", "parse-0", "save-0"):
        stage.completes(instance)

    assert stage.phase() is JobPhase.COMPLETED


@pytest.mark.parametrize(
    ("node", "replicas", "words"),
    [
        pytest.param("parse", 5, "at most 4 \\(maxStatelessCount\\)", id="more than its most"),
        pytest.param("parse", 0, "at least 1", id="fewer than its least"),
        pytest.param("save", 2, "sink node and has exactly one", id="a sink"),
    ],
)
def test_replicas_that_a_node_cannot_have_are_refused_and_change_nothing(
    stage: Stage, node: str, replicas: int, words: str
) -> None:
    with pytest.raises(ScaleError, match=words):
        check(PLAN.nodes[node], replicas)

    stage.take(Scaled(node, replicas, 0))
    assert stage.state.pins == {}


def test_a_node_follows_the_decisions_of_an_autoscaler(stage: Stage) -> None:
    decided(stage, 3)
    assert set(stage.starts()) == {"parse-2"}

    stage.says("parse-2")
    decided(stage, 1)
    assert stage.told(Verb.LEAVE) == {"parse-1", "parse-2"}


@pytest.mark.parametrize("replicas", [pytest.param(0, id="below its least"), pytest.param(5, id="above its most")])
def test_a_decision_that_the_node_cannot_follow_changes_nothing(stage: Stage, replicas: int) -> None:
    decided(stage, replicas)

    assert (stage.state.desired("parse"), stage.starts()) == (2, {})


def test_what_a_person_pins_goes_before_what_an_autoscaler_decides(stage: Stage) -> None:
    scaled(stage, 3)
    decided(stage, 1)
    assert stage.state.desired("parse") == 3

    scaled(stage, None, number=1)
    assert stage.state.desired("parse") == 3, "it stays as it is until the next decision"
    decided(stage, 2)
    assert stage.state.desired("parse") == 2


def test_a_decision_of_the_log_that_comes_again_does_not_undo_a_later_one(stage: Stage) -> None:
    decided(stage, 4, number=7)
    decided(stage, 3, number=8)
    decided(stage, 4, number=7)

    assert stage.state.desired("parse") == 3


def test_a_node_may_be_decided_to_have_no_instances_and_its_job_goes_on(asleep: Stage) -> None:
    assert parses(asleep) == []
    assert asleep.starts(asleep.later(100.0)) == {}
    assert asleep.phase() is JobPhase.RUNNING


def test_the_first_report_of_backlog_wakes_a_node_without_instances(asleep: Stage) -> None:
    asleep.says("lines-0", edges=(EdgeSample("parse", sent=1, in_flight=1, backlog_messages=1),))
    asleep.tick()

    assert set(asleep.starts()) == {"parse-0"}
    assert asleep.state.desired("parse") == 1


def test_what_comes_back_from_those_that_leave_wakes_their_node(asleep: Stage) -> None:
    decided(asleep, 1)
    asleep.says("parse-0")
    decided(asleep, 0)
    asleep.says("lines-0", edges=(EdgeSample("parse", sent=1, in_flight=1, backlog_messages=1),))
    asleep.tick()

    assert set(asleep.starts()) == {"parse-1"}


@pytest.mark.parametrize("how", ["by itself", "by a drain"])
def test_an_end_passes_through_a_node_without_instances(asleep: Stage, how: str) -> None:
    if how == "by a drain":
        asleep.drain()
    asleep.says("lines-0", InstanceState.DRAINING)
    asleep.tick()
    assert set(asleep.starts()) == {"parse-0"}

    for instance in ("lines-0", "parse-0", "save-0"):
        asleep.completes(instance)
    assert asleep.phase().ended


def test_a_node_whose_end_comes_keeps_an_instance_whatever_is_decided(stage: Stage) -> None:
    stage.says("lines-0", InstanceState.DRAINING)
    node = dataclasses.replace(stage.state.plan.nodes["parse"], min_replicas=0)
    plan = dataclasses.replace(stage.state.plan, nodes={**stage.state.plan.nodes, "parse": node})
    stage.go_on_from(dataclasses.replace(stage.state, plan=plan))

    decided(stage, 0)

    assert stage.told(Verb.LEAVE) == {"parse-1"}


def test_dead_letters_that_are_wanted_again_wake_the_node_that_is_to_handle_them(asleep: Stage) -> None:
    asleep.take(ReplayWanted("parse", 3))
    asleep.tick()

    assert set(asleep.starts()) == {"parse-0"}


def test_a_stateful_node_follows_no_decision(stage: Stage) -> None:
    stage.take(Decided("save", 2))

    assert stage.state.decided == {}
