"""The controller in virtual time: starts, peers, completion, drains, kills."""

from __future__ import annotations

import pytest

from streamer import limits
from streamer.control.events import JobSubmitted, StartInstance, Ticked
from streamer.control.lifecycle import InstancePhase, JobPhase
from streamer.control.step import step
from streamer.errors import LifecycleError
from streamer.metrics.samples import InstanceState
from streamer.plan.assignment import Peer, PeerState, Role, Verb
from tests.control.plans import LINE, plan
from tests.control.stage import Stage


def running(stage: Stage) -> Stage:
    stage.all_say(InstanceState.RUNNING)
    stage.tick()
    return stage


# -- beginning --------------------------------------------------------------------------------------------------------


def test_a_submitted_job_starts_every_replica_of_every_node() -> None:
    stage = Stage(LINE)
    assert stage.done == (
        StartInstance("lines", 0, "lines-0", 1, ""),
        StartInstance("parse", 0, "parse-0", 1, ""),
        StartInstance("parse", 1, "parse-1", 1, ""),
        StartInstance("save", 0, "save-0", 1, ""),
    )


def test_nothing_can_happen_to_a_job_that_was_not_submitted() -> None:
    with pytest.raises(LifecycleError, match="Ticked came before the job was submitted"):
        step(None, Ticked(), 0.0)


def test_a_job_runs_once_every_instance_handles_messages() -> None:
    stage = Stage(LINE)
    for instance in ("lines-0", "parse-0", "parse-1"):
        stage.says(instance)
    stage.says("save-0", InstanceState.STARTING)
    assert stage.phase() is JobPhase.STARTING
    stage.says("save-0")
    assert stage.phase() is JobPhase.RUNNING


# -- peers ------------------------------------------------------------------------------------------------------------


def test_an_instance_that_has_reported_is_told_its_parents_and_children() -> None:
    stage = Stage(LINE)
    stage.says("lines-0")
    stage.says("parse-1")
    stage.tick()
    assert set(stage.peers()) == {"lines-0", "parse-1"}
    peers = stage.peers()["parse-1"]
    assert peers.parents == (Peer("lines", "lines-0", 1, "tcp://lines-0", PeerState.LIVE),)
    assert peers.children == (Peer("save", "save-0", 1, "", PeerState.LIVE),)


def test_only_the_neighbours_of_a_change_are_told_of_it_with_a_higher_version() -> None:
    stage = running(Stage(LINE))
    before = {name: record.told_version for name, record in stage.state.instances.items()}
    stage.says("save-0", endpoint="tcp://elsewhere")
    stage.tick()
    assert set(stage.peers()) == {"parse-0", "parse-1"}
    assert stage.peers()["parse-0"].version > before["parse-0"]


def test_reports_that_change_nothing_cause_no_command() -> None:
    stage = running(Stage(LINE))
    stage.all_say(InstanceState.RUNNING)
    assert stage.tick() == ()


def test_everything_is_told_again_after_a_while_because_a_command_may_be_lost() -> None:
    stage = running(Stage(LINE))
    stage.drain()
    stage.tick()
    assert stage.later(limits.COMMAND_REPEAT_S / 2) == ()
    stage.later(limits.COMMAND_REPEAT_S / 2)
    assert set(stage.peers()) == {"lines-0", "parse-0", "parse-1", "save-0"}
    assert stage.told(Verb.DRAIN) == {"lines-0"}


def test_an_instance_that_has_completed_is_gone_for_its_peers() -> None:
    stage = running(Stage(LINE))
    stage.completes("lines-0")
    stage.tick()
    assert {peers.parents[0].state for peers in stage.peers().values()} == {PeerState.GONE}


def test_a_report_of_an_earlier_life_changes_nothing() -> None:
    stage = running(Stage(LINE))
    stage.dies("parse-0")
    stage.later(1.0)
    before = stage.state
    stage.says("parse-0", InstanceState.ENDED, epoch=1)
    assert stage.state == before


# -- completion -------------------------------------------------------------------------------------------------------


def test_a_job_completes_when_every_instance_has() -> None:
    stage = running(Stage(LINE))
    for instance in ("lines-0", "parse-0", "parse-1"):
        stage.completes(instance)
    assert stage.phase() is JobPhase.RUNNING
    stage.now += 5.0
    stage.completes("save-0")
    assert stage.phase() is JobPhase.COMPLETED
    assert stage.state.elapsed_s(stage.now + 100.0) == pytest.approx(5.0)


def test_an_ended_job_wants_nothing_more() -> None:
    stage = running(Stage(LINE))
    for instance in stage.phases():
        stage.completes(instance)
    assert stage.later(limits.COMMAND_REPEAT_S) == ()
    assert stage.drain() == ()
    assert stage.kill() == ()
    assert stage.phase() is JobPhase.COMPLETED


def test_an_instance_whose_last_word_is_late_has_completed_when_it_comes() -> None:
    stage = running(Stage(LINE))
    stage.exits("lines-0")
    assert stage.record("lines-0").phase is InstancePhase.LEFT
    stage.says("lines-0", InstanceState.DRAINING)
    stage.says("lines-0", InstanceState.ENDED)
    assert stage.record("lines-0").phase is InstancePhase.COMPLETED


def test_an_instance_that_leaves_without_a_word_is_started_again() -> None:
    stage = running(Stage(LINE))
    stage.exits("lines-0")
    assert stage.starts(stage.later(limits.LAST_WORD_S - 0.01)) == {}
    assert "lines-0" in stage.starts(stage.later(0.02))


def test_an_instance_that_had_ended_has_completed_however_its_process_goes() -> None:
    stage = running(Stage(LINE))
    stage.says("lines-0", InstanceState.ENDED)
    stage.dies("lines-0")
    assert stage.record("lines-0").phase is InstancePhase.COMPLETED


# -- drain and kill ---------------------------------------------------------------------------------------------------


def test_a_drain_is_told_to_sources_and_travels_from_there_by_itself() -> None:
    stage = running(Stage(LINE))
    stage.drain()
    stage.tick()
    assert stage.told(Verb.DRAIN) == {"lines-0"}


def test_a_drain_is_told_to_stateful_nodes_into_which_nothing_flows() -> None:
    chart = plan(
        ("clock", "count"),
        ("count", "save"),
        roles={"clock": Role.STATEFUL, "count": Role.STATEFUL, "save": Role.SINK},
    )
    stage = running(Stage(chart))
    stage.drain()
    stage.tick()
    assert stage.told(Verb.DRAIN) == {"clock-0"}


def test_a_drain_is_told_to_a_source_that_starts_only_afterwards() -> None:
    stage = Stage(LINE)
    stage.drain()
    stage.tick()
    assert stage.told(Verb.DRAIN) == set()
    stage.says("lines-0")
    stage.tick()
    assert stage.told(Verb.DRAIN) == {"lines-0"}


def test_a_source_that_dies_while_draining_is_started_again_and_told_to_drain() -> None:
    stage = running(Stage(LINE))
    stage.drain()
    stage.tick()
    stage.dies("lines-0")
    stage.later(1.0)
    stage.says("lines-0")
    stage.tick()
    assert stage.told(Verb.DRAIN) == {"lines-0"}


def test_a_job_that_was_drained_is_stopped_when_all_have_completed() -> None:
    stage = running(Stage(LINE))
    stage.drain()
    for instance in stage.phases():
        stage.completes(instance)
    assert stage.phase() is JobPhase.STOPPED
    assert not stage.state.killed


def test_what_has_not_drained_at_the_deadline_is_killed_and_named() -> None:
    stage = running(Stage(LINE))
    stage.drain()
    stage.completes("lines-0")
    stage.later(limits.DRAIN_S - 0.1)
    assert stage.kills() == set()
    stage.later(0.2)
    assert stage.kills() == {"parse-0", "parse-1", "save-0"}
    assert stage.state.error == "killed 30 s after the drain began, not drained: parse-0, parse-1, save-0"


def test_a_second_wish_to_drain_does_not_move_the_deadline() -> None:
    stage = running(Stage(LINE))
    stage.drain()
    deadline = stage.state.drain_deadline
    stage.now += 10.0
    stage.drain()
    assert stage.state.drain_deadline == deadline


def test_a_kill_ends_every_process_at_once_and_the_job_is_stopped_when_they_are_gone() -> None:
    stage = running(Stage(LINE))
    stage.completes("lines-0")
    stage.kill()
    assert stage.kills() == {"parse-0", "parse-1", "save-0"}
    assert stage.phase() is JobPhase.KILLING
    for instance in ("parse-0", "parse-1", "save-0"):
        stage.dies(instance)
    assert stage.phase() is JobPhase.STOPPED
    assert stage.state.killed
    assert stage.phases()["lines-0"] is InstancePhase.COMPLETED


def test_what_waits_for_its_start_is_not_started_after_a_kill() -> None:
    stage = running(Stage(LINE))
    stage.dies("parse-0")
    stage.kill()
    assert stage.kills() == {"lines-0", "parse-1", "save-0"}
    assert stage.later(100.0) == ()
    assert stage.phases()["parse-0"] is InstancePhase.DEAD


def test_a_second_kill_kills_nothing_twice() -> None:
    stage = running(Stage(LINE))
    stage.kill()
    assert stage.kill() == ()


# -- nodes outside every flow -----------------------------------------------------------------------------------------


def test_a_node_outside_every_flow_simply_stays_until_everything_else_has_completed() -> None:
    chart = plan(("lines", "save"), roles={"lines": Role.SOURCE, "save": Role.SINK}, alone=("spare",))
    stage = running(Stage(chart))
    stage.completes("lines-0")
    stage.tick()
    assert stage.told(Verb.DRAIN) == set()
    stage.completes("save-0")
    stage.tick()
    assert stage.told(Verb.DRAIN) == {"spare-0"}
    stage.completes("spare-0")
    assert stage.phase() is JobPhase.COMPLETED


def test_a_node_outside_every_flow_drains_with_the_sources() -> None:
    chart = plan(("lines", "save"), roles={"lines": Role.SOURCE, "save": Role.SINK}, alone=("spare",))
    stage = running(Stage(chart))
    stage.drain()
    stage.tick()
    assert stage.told(Verb.DRAIN) == {"lines-0", "spare-0"}


def test_a_second_submission_of_a_job_is_a_repeat() -> None:
    stage = Stage(LINE)
    before = stage.state
    assert stage.take(JobSubmitted("job", LINE)) == ()
    assert stage.state is before
