"""A job becomes another version of itself: one instance after the other, and all of them back if one cannot live."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer import limits
from streamer.control.events import BegunAgain, Event, Exited, FlowsSet, Placed, Scaled, Ticked, UpdateWanted
from streamer.control.lifecycle import InstancePhase, JobPhase
from streamer.control.state import JobState, UpdateStage
from streamer.control.step import step
from streamer.control.update import begun, outcome, progress
from streamer.errors import UpdateError
from streamer.metrics.samples import InstanceState
from streamer.plan.assignment import Code, Role, Verb
from streamer.plan.change import FlowsChange
from streamer.plan.compile import Plan
from tests.control.plans import KEYED, LINE, coded, joined, plan
from tests.control.stage import Stage
from tests.control.test_any_story import Processes, well_behaved
from tests.control.test_records import kept

NEW = coded(LINE, "parse")
COUNT = plan(
    ("lines", "parse"),
    ("parse", "count"),
    ("count", "save"),
    roles={"lines": Role.SOURCE, "count": Role.STATEFUL, "save": Role.SINK},
)


@pytest.fixture
def stage() -> Stage:
    return at_work(LINE)


def at_work(plan: Plan) -> Stage:
    stage = Stage(plan)
    stage.all_say(InstanceState.RUNNING)
    stage.tick()
    return stage


def wanted(stage: Stage, plan: Plan, number: int = 0) -> None:
    stage.take(UpdateWanted(plan, number))
    stage.tick()


def renewed(stage: Stage, instance: str) -> None:
    """It leaves as it was told to, and its next life is at work."""
    assert stage.record(instance).renewing
    stage.exits(instance, 6, renewed=True)
    assert set(stage.starts(stage.tick())) == {instance}
    stage.says(instance)


def proven(stage: Stage) -> None:
    stage.later(limits.UPDATE_PROBATION_S)


def flows_known(stage: Stage) -> None:
    """Every instance has heard of the flows, and holds nothing of those before."""
    for _ in range(6):
        for name, record in stage.state.instances.items():
            if record.phase.living:
                stage.says(name, wiring=stage.state.wired)
        stage.later(0.1)


def generations(stage: Stage, node: str) -> list[int]:
    return [record.generation for record in stage.state.instances.values() if record.node == node]


def code_of(state: JobState, instance: str) -> Code | None:
    record = state.instances[instance]
    return state.plan_of(record).nodes[record.node].code


def last(stage: Stage) -> str:
    return stage.state.updates[-1].error


def test_instances_are_renewed_one_by_one_each_when_the_one_before_it_has_lived(stage: Stage) -> None:
    wanted(stage, NEW)
    assert stage.told(Verb.RENEW) == {"parse-0"}
    assert code_of(stage.state, "parse-0") is None

    renewed(stage, "parse-0")
    stage.tick()
    assert code_of(stage.state, "parse-0") == Code("new", "/new.py")
    assert code_of(stage.state, "parse-1") is None
    assert not stage.record("parse-1").renewing, "the first one is on probation"

    proven(stage)
    assert stage.told(Verb.RENEW) == {"parse-1"}
    renewed(stage, "parse-1")
    proven(stage)

    assert stage.state.update is None
    assert (stage.state.generation, generations(stage, "parse")) == (2, [2, 2])
    assert stage.state.plan == NEW
    assert outcome(stage.state.updates) == "done, generation 2"
    assert stage.phase() is JobPhase.RUNNING


def test_what_no_machine_has_room_for_is_of_the_new_code_at_once_and_nobody_waits_for_it(stage: Stage) -> None:
    for instance in stage.state.instances:
        stage.take(Placed(instance, 1, "there"))
    stage.take(Scaled("parse", 3, 0))
    stage.tick()

    wanted(stage, coded(stage.state.plan, "parse"), 1)
    assert (stage.record("parse-2").generation, stage.record("parse-2").renewing) == (2, False)
    for instance in ("parse-0", "parse-1"):
        renewed(stage, instance)
        proven(stage)

    assert stage.state.update is None
    assert generations(stage, "parse") == [2, 2, 2]


def test_a_life_that_its_machine_began_while_nobody_led_is_of_the_generation_that_the_machine_knew(
    stage: Stage,
) -> None:
    wanted(stage, NEW)
    stage.take(BegunAgain("parse-0", 2, stage.record("parse-0").agent))
    assert (stage.record("parse-0").generation, code_of(stage.state, "parse-0")) == (1, None)

    stage.says("parse-0")
    stage.tick()
    renewed(stage, "parse-0")
    assert stage.record("parse-0").generation == 2


def test_the_next_life_has_the_name_the_place_and_the_peers_of_the_one_before_and_is_no_restart(stage: Stage) -> None:
    endpoint = stage.record("parse-0").endpoint
    wanted(stage, NEW)
    stage.exits("parse-0", 6, renewed=True)
    start = stage.starts(stage.tick())["parse-0"]

    assert (start.epoch, start.endpoint) == (2, endpoint)
    assert stage.state.restarts()["parse"] == 0
    assert stage.state.replicas()["parse"] == 2


def test_one_that_gets_something_done_is_trusted_sooner(stage: Stage) -> None:
    wanted(stage, NEW)
    renewed(stage, "parse-0")
    stage.says("parse-0", completed=5)
    stage.later(limits.UPDATE_PROVEN_S)

    assert stage.told(Verb.RENEW) == {"parse-1"}


def test_one_that_does_not_leave_in_a_drains_time_is_killed_and_renewed_all_the_same(stage: Stage) -> None:
    wanted(stage, NEW)
    stage.later(limits.DRAIN_S)
    assert stage.kills() == {"parse-0"}
    stage.dies("parse-0")

    assert set(stage.starts(stage.tick())) == {"parse-0"}
    assert (generations(stage, "parse"), stage.state.updates) == ([2, 1], ())


def test_nodes_come_one_after_the_other_consumers_first() -> None:
    stage = at_work(COUNT)
    wanted(stage, coded(COUNT, "parse", "count"))
    assert stage.told(Verb.RENEW) == {"count-0"}
    renewed(stage, "count-0")
    proven(stage)

    assert stage.told(Verb.RENEW) == {"parse-0"}


def test_one_of_the_old_that_dies_meanwhile_comes_back_as_what_it_was(stage: Stage) -> None:
    wanted(stage, NEW)
    stage.dies("parse-1")
    stage.later(1.0)

    assert stage.record("parse-1").phase is InstancePhase.STARTING
    assert generations(stage, "parse") == [1, 1]


def test_a_crash_of_the_new_one_takes_all_back_with_its_words(stage: Stage) -> None:
    wanted(stage, NEW)
    renewed(stage, "parse-0")
    proven(stage)
    renewed(stage, "parse-1")

    stage.exits("parse-1", 1, output=("Traceback (most recent call last):", "  File x", "KeyError: 'user'"))
    assert set(stage.starts(stage.tick())) == {"parse-1"}, "at once, as what it was"
    assert generations(stage, "parse") == [2, 1]
    stage.says("parse-1")
    stage.tick()
    assert stage.told(Verb.RENEW) == {"parse-0"}, "the one that lives goes back too"
    assert "rolling back" in progress(stage.state)
    renewed(stage, "parse-0")
    stage.tick()

    assert stage.state.update is None
    assert (stage.state.generation, generations(stage, "parse")) == (1, [1, 1])
    assert stage.state.plan == LINE
    assert "instance parse-1 of the update died with exit code 1" in last(stage)
    assert "KeyError: 'user'" in last(stage)
    assert stage.phase() is JobPhase.RUNNING


@pytest.mark.parametrize(
    "how",
    [
        pytest.param({"code": 1}, id="an error"),
        pytest.param({"code": -11}, id="a crash of the interpreter"),
        pytest.param({"code": 3, "cannot_open": True}, id="it cannot be loaded"),
        pytest.param({"code": 5, "handler_error": "Traceback ...\nValueError: no"}, id="onError says stop"),
    ],
)
def test_whatever_an_instance_of_the_update_dies_of_by_itself_ends_the_update_and_not_the_job(
    stage: Stage, how: dict[str, object]
) -> None:
    wanted(stage, NEW)
    stage.exits("parse-0", 6, renewed=True)
    stage.tick()
    stage.exits("parse-0", **how)  # type: ignore[arg-type]  # a table of cases

    assert stage.state.update is not None and stage.state.update.undone
    assert not stage.phase().ending_by_force


def test_one_that_somebody_has_killed_is_started_once_more_and_a_second_time_in_a_row_is_too_much(stage: Stage) -> None:
    wanted(stage, NEW)
    renewed(stage, "parse-0")
    stage.dies("parse-0")
    stage.later(1.0)
    assert stage.state.update is not None and not stage.state.update.undone
    assert generations(stage, "parse") == [2, 1]

    stage.dies("parse-0")
    assert stage.state.update.number == 0
    assert stage.state.update is not None and "SIGKILL" in stage.state.update.undone


def test_one_that_never_comes_to_work_is_taken_back(stage: Stage) -> None:
    wanted(stage, NEW)
    stage.exits("parse-0", 6, renewed=True)
    stage.tick()
    stage.later(limits.UPDATE_READY_S)

    assert stage.kills() == {"parse-0"}
    stage.dies("parse-0")
    assert set(stage.starts(stage.tick())) == {"parse-0"}
    assert generations(stage, "parse") == [1, 1]


def test_replicas_follow_once_the_code_is_there_and_a_pin_within_the_new_bounds_stays(stage: Stage) -> None:
    nodes = {**NEW.nodes, "parse": dataclasses.replace(NEW.nodes["parse"], replicas=3, min_replicas=1, max_replicas=4)}
    after = dataclasses.replace(NEW, nodes=nodes)
    wanted(stage, after)
    for name in ("parse-0", "parse-1"):
        renewed(stage, name)
        proven(stage)
    assert set(stage.starts()) == {"parse-2"}
    stage.says("parse-2")

    stage.take(Scaled("parse", 4, 1))
    stage.tick()
    nodes = {**nodes, "parse": dataclasses.replace(nodes["parse"], replicas=1, max_replicas=5)}
    wanted(stage, dataclasses.replace(NEW, nodes=nodes), 2)
    assert stage.state.desired("parse") == 4
    nodes = {**nodes, "parse": dataclasses.replace(nodes["parse"], max_replicas=2)}
    wanted(stage, dataclasses.replace(NEW, nodes=nodes), 3)
    assert stage.state.desired("parse") == 1


def test_new_flows_are_there_before_code_that_names_them_and_old_ones_as_long_as_code_may(stage: Stage) -> None:
    after = joined(NEW, {"main": "lines >> parse >> save", "new": "lines >> save"}, "new")
    stage.take(FlowsSet(FlowsChange({"old": "lines >> save"}, "main"), 0))
    flows_known(stage)
    wanted(stage, after, 1)
    assert stage.told(Verb.RENEW) == set()
    flows_known(stage)
    assert set(stage.state.plan.current.flows) == {"main", "old", "new"}
    assert stage.record("parse-0").renewing, "all messages go by flows that the new code may name"

    for name in ("parse-0", "parse-1"):
        renewed(stage, name)
        proven(stage)
    assert stage.state.update is not None and stage.state.update.stage is UpdateStage.JOINING
    flows_known(stage)

    assert stage.state.update is None
    assert stage.state.plan.current.flows == after.current.flows
    assert stage.state.plan.current.table.default_flow == "new"


def test_a_crash_takes_the_flows_back_too(stage: Stage) -> None:
    wanted(stage, joined(NEW, {"main": "lines >> parse >> save", "new": "lines >> save"}, "main"))
    flows_known(stage)
    renewed(stage, "parse-0")
    stage.exits("parse-0", 1)
    stage.tick()
    stage.says("parse-0")
    flows_known(stage)

    assert stage.state.update is None
    assert stage.state.plan.current.flows == LINE.current.flows


def test_what_cannot_be_is_refused_and_nothing_is_begun(stage: Stage) -> None:
    nodes = {**NEW.nodes, "save": dataclasses.replace(NEW.nodes["save"], role=Role.GATEWAY)}
    wanted(stage, dataclasses.replace(NEW, nodes=nodes, pipeline="numbers"))

    assert stage.state.update is None
    (refused,) = stage.state.updates
    assert refused.refused
    assert "node save: it is a gateway node" in refused.error
    assert "numbers" in refused.error
    assert outcome(stage.state.updates) == ""


def test_one_at_a_time_and_the_flows_are_the_updates_meanwhile(stage: Stage) -> None:
    wanted(stage, NEW)
    wanted(stage, coded(LINE, "parse", path="/newer.py"), 1)
    assert stage.state.updates[-1].refused
    assert "another update" in last(stage)

    stage.take(FlowsSet(FlowsChange({"main": "lines >> save"}), 2))
    assert "an update" in stage.state.answers[-1].error
    assert stage.state.update is not None and stage.state.update.number == 0


def test_an_update_that_changes_nothing_is_there_at_once(stage: Stage) -> None:
    wanted(stage, LINE)

    assert (stage.state.update, last(stage)) == (None, "")


def test_a_wish_that_comes_twice_or_late_changes_nothing(stage: Stage) -> None:
    wanted(stage, NEW, 5)
    before = stage.state
    stage.take(UpdateWanted(NEW, 5))
    stage.take(UpdateWanted(coded(LINE, "parse", path="/newer.py"), 3))

    assert stage.state == before


def test_a_job_that_ends_meanwhile_ends_and_says_what_became_of_the_update(stage: Stage) -> None:
    wanted(stage, NEW)
    stage.drain()

    assert stage.state.update is None
    assert "draining" in last(stage)
    stage.exits("parse-0", 6, renewed=True)
    assert set(stage.starts(stage.tick())) == {"parse-0"}
    assert generations(stage, "parse") == [1, 1]


def test_a_job_that_is_not_going_on_cannot_be_updated(stage: Stage) -> None:
    stage.drain()

    with pytest.raises(UpdateError, match="draining"):
        begun(stage.state, NEW, 1, 0.0)


def test_an_instance_that_was_at_its_end_already_is_let_go(stage: Stage) -> None:
    wanted(stage, NEW)
    stage.completes("parse-0")
    stage.tick()

    assert stage.record("parse-0").phase is InstancePhase.COMPLETED
    assert stage.told(Verb.RENEW) == {"parse-1"}


def test_keys_do_not_move_and_instances_are_not_renewed_at_the_same_time() -> None:
    stage = at_work(KEYED)
    stage.take(Scaled("count", 3, 0))
    stage.tick()
    wanted(stage, coded(KEYED, "count"), 1)

    assert stage.told(Verb.RENEW) == set()


def test_the_way_back_is_gone_from_the_other_end() -> None:
    stage = at_work(COUNT)
    wanted(stage, coded(COUNT, "parse", "count"))
    renewed(stage, "count-0")
    proven(stage)
    renewed(stage, "parse-0")
    stage.exits("parse-0", 1)
    stage.tick()
    assert generations(stage, "count") == [2]
    stage.says("parse-0")
    stage.tick()

    assert stage.told(Verb.RENEW) == {"count-0"}


def test_another_controller_goes_on_where_the_last_one_was_and_gives_its_instances_their_time(stage: Stage) -> None:
    wanted(stage, NEW)
    stage.exits("parse-0", 6, renewed=True)
    stage.tick()
    stage.now += 10 * limits.UPDATE_READY_S
    taken_up = kept(stage.state).state(0.0, 1_000)
    assert taken_up is not None
    stage.go_on_from(taken_up)
    stage.tick()
    assert stage.state.update is not None and not stage.state.update.undone

    stage.says("parse-0")
    proven(stage)
    assert stage.record("parse-1").renewing
    stage.says("parse-1")
    stage.tick()
    assert stage.told(Verb.RENEW) == {"parse-1"}


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0.0, 0.1, 0.6, 2.5, 31.0]),
            st.sampled_from(["tick", "tick", "does", "does", "does", "is killed", "crashes"]),
            st.integers(0, 4),
        ),
        min_size=5,
        max_size=40,
    )
)
def test_in_any_story_of_an_update_one_leaves_at_a_time_a_repeat_changes_nothing_and_all_are_of_one_kind_in_the_end(
    story: list[tuple[float, str, int]],
) -> None:
    state, now, processes = at_work(COUNT).state, 200.0, Processes()
    processes.living = {record.instance: record.epoch for record in state.instances.values()}

    def take(event: Event) -> None:
        nonlocal state
        processes.note(event)
        state, effects = step(state, event, now)
        processes.do(effects)
        assert step(state, event, now) == (state, ()), "an event that came twice changed something"
        assert sum(record.renewing for record in state.instances.values()) <= 1

    take(UpdateWanted(coded(COUNT, "parse", "count"), 7))
    for after_s, what, at in story:
        now += after_s
        record = list(state.instances.values())[at % len(state.instances)]
        event: Event | None = Ticked()
        if what == "does":
            event = well_behaved(record, state)
        elif what != "tick":
            event = Exited(record.instance, record.epoch, -9 if what == "is killed" else 1, ("a word",))
        if event is not None and not state.phase.ending_by_force:
            take(event)
    while state.update is not None:
        now += 1.0
        for record in state.instances.values():
            if (event := well_behaved(record, state)) is not None:
                take(event)
        take(Ticked())

    (became,) = state.updates
    if not state.phase.ending_by_force:
        assert [state.instances[f"{node}-0"].generation for node in ("parse", "count")] == [state.generation] * 2
        assert state.generation == (1 if became.error else 2)
