"""Where instances are: what a lost machine means for each of them, by stories without a clock or a process."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streamer.cluster_limits import (
    PLACED_EPOCHS,
)
from streamer.control.events import (
    AgentFound,
    AgentLost,
    BegunAgain,
    Event,
    Exited,
    NotPlaced,
    Placed,
    Resumed,
    Scaled,
    Ticked,
)
from streamer.control.lifecycle import InstancePhase, JobPhase
from streamer.control.placing import keeps_nothing, needless
from streamer.control.state import InstanceRecord
from streamer.control.step import step
from streamer.metrics.samples import InstanceState
from tests.control.plans import LINE
from tests.control.stage import Stage

_HERE, _THERE = "here", "there"


def _placed_stage() -> Stage:
    """Every instance is at work on one machine."""
    stage = Stage(LINE)
    for record in stage.state.instances.values():
        stage.take(Placed(record.instance, record.epoch, _HERE))
    stage.all_say(InstanceState.RUNNING)
    return stage


def _stateless(stage: Stage) -> str:
    return next(r.instance for r in stage.state.instances.values() if keeps_nothing(stage.state.node_of(r)))


def _keeper(stage: Stage) -> str:
    return next(r.instance for r in stage.state.instances.values() if not keeps_nothing(stage.state.node_of(r)))


def _of(stage: Stage, node: str) -> list[InstanceRecord]:
    return [record for record in stage.state.instances.values() if record.node == node]


def test_what_keeps_nothing_starts_elsewhere_with_the_first_epoch_of_another_machine() -> None:
    stage = _placed_stage()
    moved = _stateless(stage)
    stage.take(AgentLost(_HERE))
    assert moved in stage.starts(stage.tick())
    record = stage.record(moved)
    assert (record.epoch, record.agent, record.endpoint) == (PLACED_EPOCHS, "", "")
    of_node = [one for one in stage.state.instances.values() if one.node == record.node]
    assert stage.state.restarts()[record.node] == len(of_node), "epochs that no life had are no restarts"
    assert record.deaths == 0, "it is no death of its own"


def test_what_keeps_something_waits_for_its_machine_until_that_is_heard_of() -> None:
    stage = _placed_stage()
    keeper = _keeper(stage)
    stage.take(AgentLost(_HERE))
    assert stage.record(keeper).silent
    stage.later(60.0)
    record = stage.record(keeper)
    assert (record.phase, record.epoch, record.agent) == (InstancePhase.RUNNING, 1, _HERE)
    assert record.silent
    stage.take(AgentFound(_HERE))
    assert not stage.record(keeper).silent


def test_nobody_waits_for_a_silent_machine_once_the_job_is_ended_by_force() -> None:
    stage = _placed_stage()
    stage.take(AgentLost(_HERE))
    stage.kill()
    stage.take(AgentLost(_HERE))
    assert not any(record.silent for record in stage.state.instances.values())


def _without_room(stage: Stage) -> str:
    """One more instance, for which no machine has room."""
    node = stage.record(_stateless(stage)).node
    stage.take(Scaled(node, len(_of(stage, node)) + 1, 0))
    (started,) = stage.starts(stage.tick())
    return started


def test_what_has_no_machine_and_is_to_go_is_gone() -> None:
    stage = _placed_stage()
    waits = _without_room(stage)
    assert not needless(stage.state), "it waits for its place"
    stage.take(Scaled(stage.record(waits).node, 2, 1))
    stage.tick()
    stage.take(NotPlaced())
    assert stage.record(waits).phase is InstancePhase.RETIRED


def test_a_job_drains_without_what_has_no_machine_as_long_as_others_of_its_node_are_at_work() -> None:
    stage = _placed_stage()
    waits = _without_room(stage)
    stage.drain()
    stage.take(NotPlaced())
    assert stage.record(waits).phase is InstancePhase.RETIRED
    assert all(r.phase.living for r in stage.state.instances.values() if r.agent)


def test_a_job_that_is_resumed_is_given_its_places_anew() -> None:
    stage = _placed_stage()
    failing = _stateless(stage)
    stage.exits(failing, 1, handler_error="ValueError")
    for record in list(stage.state.instances.values()):
        if record.phase.living:
            stage.exits(record.instance, -9)
    stage.tick()
    assert stage.phase() is JobPhase.FAILED
    stage.take(Resumed(1))
    record = stage.record(failing)
    assert (record.phase, record.agent, record.was_on) == (InstancePhase.RESTARTING, "", _HERE)
    assert stage.record(_keeper(stage)).agent == _HERE


def test_it_moves_where_another_machine_has_the_same_folder() -> None:
    stage = _placed_stage()
    keeper = _keeper(stage)
    stage.take(AgentLost(_HERE, shared=True))
    assert keeper in stage.starts(stage.tick())


def test_a_job_that_ends_by_force_does_not_wait_for_a_machine_that_is_gone() -> None:
    stage = _placed_stage()
    stage.kill()
    stage.take(AgentLost(_HERE))
    assert stage.phase().ended


def test_a_life_that_a_machine_began_by_itself_is_the_life_from_then_on() -> None:
    stage = _placed_stage()
    instance = _stateless(stage)
    stage.take(BegunAgain(instance, 2, _HERE))
    assert stage.record(instance).epoch == 2
    stage.says(instance)
    assert stage.record(instance).phase is InstancePhase.RUNNING
    stage.exits(instance, -9, epoch=1)
    assert stage.record(instance).phase is InstancePhase.RUNNING, "the death of the life before is old"


def test_a_life_that_another_machine_began_by_itself_counts_for_nothing() -> None:
    stage = _placed_stage()
    instance = _stateless(stage)
    stage.take(AgentLost(_HERE))
    stage.tick()
    stage.take(Placed(instance, PLACED_EPOCHS, _THERE))
    before = stage.state
    stage.take(BegunAgain(instance, 2, _HERE))
    assert stage.state == before


def test_a_place_is_given_once_to_each_life() -> None:
    stage = _placed_stage()
    instance = _stateless(stage)
    stage.take(Placed(instance, 1, _THERE))
    assert stage.record(instance).agent == _HERE


_events = st.one_of(
    st.builds(Placed, st.sampled_from(sorted(_placed_stage().state.instances)), st.integers(1, 2), st.just(_THERE)),
    st.builds(AgentLost, st.sampled_from([_HERE, _THERE]), st.booleans()),
    st.builds(AgentFound, st.sampled_from([_HERE, _THERE])),
    st.just(NotPlaced()),
    st.builds(
        BegunAgain,
        st.sampled_from(sorted(_placed_stage().state.instances)),
        st.sampled_from([1, 2, 3, PLACED_EPOCHS, PLACED_EPOCHS + 1]),
        st.sampled_from([_HERE, _THERE]),
    ),
    st.builds(Exited, st.sampled_from(sorted(_placed_stage().state.instances)), st.integers(1, 3), st.just(-9)),
    st.just(Ticked()),
)


@given(st.lists(_events, max_size=25))
def test_an_event_that_comes_again_changes_nothing(events: list[Event]) -> None:
    stage = _placed_stage()
    for event in events:
        stage.now += 1.0
        stage.take(event)
        again, effects = step(stage.state, event, stage.now)
        if not isinstance(event, Ticked):
            assert again == stage.state
            assert not effects
