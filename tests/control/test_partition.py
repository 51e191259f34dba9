"""Owners of keys: who is told what while groups change hands, and that no group ever has two of them."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer import limits
from streamer.control.events import Ask, Asked, Exited, KillInstance, Reported, Scaled, SendCommand, StartInstance
from streamer.control.lifecycle import InstancePhase, JobPhase
from streamer.control.scaling import check
from streamer.control.state import Partition
from streamer.errors import ScaleError
from streamer.metrics.samples import InstanceSample, InstanceState
from streamer.plan.assignment import Ownership, Peers, Role, Verb
from streamer.protocol.keys import groups_of
from tests.control.plans import KEYED, LINE, plan
from tests.control.stage import Stage
from tests.control.test_records import kept

NOBODY = Ownership(2, 0)
_UNTOLD = Ownership(0, 0)


@pytest.fixture
def stage() -> Stage:
    stage = Stage(KEYED)
    all_say(stage, 1)
    stage.tick()
    return stage


def all_say(stage: Stage, ownership: int, *but: str) -> None:
    """All living instances of the job run; those of the partitioned node go by these owners."""
    for name, record in stage.state.instances.items():
        if record.phase.living and name not in but:
            stage.says(name, ownership=ownership if record.node == "count" else 0)


def scaled(stage: Stage, replicas: int | None, number: int = 0) -> None:
    stage.take(Scaled("count", replicas, number))
    stage.tick()


def partition(stage: Stage) -> Partition:
    return stage.state.partitions["count"]


def owned(peers: dict[str, Peers]) -> dict[str, Ownership | None]:
    return {name: told.owned for name, told in peers.items() if name.startswith("count")}


def test_a_job_begins_with_owners_that_all_are_told() -> None:
    stage = Stage(KEYED)
    all_say(stage, 0)
    stage.tick()

    told = stage.peers()
    assert owned(told) == dict.fromkeys(("count-0", "count-1"), Ownership(1, 2))
    assert told["lines-0"].owners == {"count": Ownership(1, 2)}
    assert told["save-0"].owners == {}
    assert told["lines-0"].owned is None


def test_new_instances_run_before_anything_is_paused(stage: Stage) -> None:
    scaled(stage, 4)
    assert set(stage.starts()) == {"count-2", "count-3"}
    stage.says("count-2", ownership=1)
    stage.tick()
    assert not partition(stage).paused

    stage.says("count-3", ownership=1)
    stage.tick()

    assert partition(stage).paused
    assert owned(stage.peers()) == {f"count-{n}": NOBODY for n in range(4)}
    told = stage.peers()["lines-0"].owners
    assert told == {"count": Ownership(1, 2)}, "who sends to them goes on as long as they have not given up"


def test_when_the_last_has_given_up_everybody_is_told_of_the_new_owners(stage: Stage) -> None:
    scaled(stage, 3)
    all_say(stage, 1)
    stage.tick()
    stage.says("count-0", ownership=2)
    stage.tick()
    assert partition(stage).paused

    stage.says("count-1", ownership=2)
    stage.tick()

    assert partition(stage) == Partition(3, 3)
    assert owned(stage.peers()) == {f"count-{n}": Ownership(3, 3) for n in range(3)}
    assert stage.peers()["lines-0"].owners == {"count": Ownership(3, 3)}


def test_fewer_owners_are_there_before_the_others_leave(stage: Stage) -> None:
    scaled(stage, 1)
    assert owned(stage.peers()) == dict.fromkeys(("count-0", "count-1"), NOBODY)
    assert stage.told(Verb.LEAVE) == set()

    all_say(stage, 2)
    stage.tick()
    stage.tick()

    assert partition(stage) == Partition(3, 1)
    assert stage.told(Verb.LEAVE) == {"count-1"}
    assert stage.state.replicas()["count"] == 1


def test_a_dead_owner_has_given_up(stage: Stage) -> None:
    stage.dies("count-1")
    scaled(stage, 1)
    stage.says("count-0", ownership=2)
    stage.tick()

    assert partition(stage) == Partition(3, 1)


def test_an_owner_that_comes_back_is_told_of_the_owners_of_now_before_it_counts(stage: Stage) -> None:
    stage.dies("count-1")
    scaled(stage, 3)
    stage.later(limits.RESTART_DELAY_S)
    assert "count-1" in stage.starts()
    stage.says("count-2", ownership=1)
    stage.says("count-0", ownership=1)
    stage.tick()
    stage.says("count-0", ownership=2)
    stage.tick()
    assert partition(stage).paused, "the new life of count-1 may have been told of the owners of before"

    stage.says("count-1", InstanceState.STARTING)
    stage.tick()
    assert owned(stage.peers())["count-1"] == NOBODY
    stage.says("count-1", ownership=2)
    stage.tick()

    assert partition(stage) == Partition(3, 3)


def test_one_that_is_silent_is_killed_and_then_has_given_up(stage: Stage) -> None:
    scaled(stage, 1)
    for _ in range(round(limits.SESSION_TIMEOUT_S)):
        stage.says("count-0", ownership=2)
        stage.later(1.0)

    assert stage.kills() == {"count-1"}
    stage.tick()
    assert stage.kills() == set(), "once is enough"
    stage.dies("count-1")
    stage.tick()
    assert partition(stage) == Partition(3, 1)


def test_one_that_speaks_but_does_not_come_to_a_pause_has_a_drains_time(stage: Stage) -> None:
    scaled(stage, 1)
    for second in range(round(limits.DRAIN_S)):
        assert stage.kills() == set(), f"after {second} s"
        stage.says("count-0", ownership=2)
        stage.says("count-1", ownership=1)
        stage.later(1.0)

    assert stage.kills() == {"count-1"}


def test_an_owner_whose_input_has_ended_has_nothing_to_give_up(stage: Stage) -> None:
    scaled(stage, 1)
    stage.says("count-1", InstanceState.ENDED, ownership=1)
    stage.says("count-0", ownership=2)
    stage.tick()

    assert partition(stage) == Partition(3, 1)


def test_a_wish_that_is_taken_back_in_time_costs_no_pause(stage: Stage) -> None:
    scaled(stage, 4)
    scaled(stage, None, number=1)
    stage.tick()

    assert partition(stage) == Partition(1, 2)
    stage.says("count-2")
    stage.says("count-3")
    stage.later(limits.COMMAND_REPEAT_S)
    assert stage.told(Verb.LEAVE) == {"count-2", "count-3"}


def test_an_index_that_is_still_leaving_is_waited_for(stage: Stage) -> None:
    scaled(stage, 1)
    all_say(stage, 2)
    stage.tick()
    stage.tick()
    all_say(stage, 3)
    scaled(stage, 2, number=1)
    assert stage.starts() == {}

    stage.completes("count-1")
    stage.tick()

    assert set(stage.starts()) == {"count-1"}


def test_a_drain_in_the_middle_lets_a_pause_come_to_its_end(stage: Stage) -> None:
    scaled(stage, 3)
    all_say(stage, 1)
    stage.tick()
    stage.drain()
    assert partition(stage).paused

    all_say(stage, 2)
    stage.tick()

    assert partition(stage) == Partition(3, 3)


def test_a_drain_before_the_pause_sends_those_away_that_own_nothing(stage: Stage) -> None:
    scaled(stage, 3)
    stage.drain()
    all_say(stage, 1)
    stage.tick()

    assert partition(stage) == Partition(1, 2)
    assert stage.told(Verb.LEAVE) == {"count-2"}


def test_a_node_that_comes_to_its_end_keeps_its_owners(stage: Stage) -> None:
    stage.says("count-0", InstanceState.DRAINING, ownership=1)
    scaled(stage, 4)

    assert stage.starts() == {}
    assert partition(stage) == Partition(1, 2)


def test_a_node_outside_of_all_flows_ends_with_the_job_whatever_became_of_those_that_left() -> None:
    idle = plan(
        ("lines", "save"),
        roles={"lines": Role.SOURCE, "save": Role.SINK, "count": Role.STATEFUL},
        replicas={"count": 2},
        alone=("count",),
        partitioned={"count": "word"},
    )
    stage = Stage(idle)
    stage.dies("count-1")
    all_say(stage, 1)
    scaled(stage, 1)
    all_say(stage, 2)
    stage.tick()
    comes_back_and_leaves(stage, "count-1")
    assert stage.phases()["count-1"] is InstancePhase.RETIRED

    stage.says("count-0", ownership=3, exhausted=True)
    for name in ("lines-0", "save-0"):
        stage.completes(name)
    stage.tick()

    assert stage.told(Verb.DRAIN) == {"count-0"}


def comes_back_and_leaves(stage: Stage, name: str) -> None:
    """It may have something to send in its checkpoints, and nobody else has that."""
    assert stage.phases()[name] is InstancePhase.RESTARTING
    assert name in stage.starts(stage.later(limits.RESTART_DELAY_S))
    stage.says(name)
    stage.tick()
    assert name in stage.told(Verb.LEAVE)
    stage.exits(name)


def test_who_dies_while_it_leaves_comes_back_to_leave_in_order(stage: Stage) -> None:
    scaled(stage, 1)
    all_say(stage, 2)
    stage.tick()
    all_say(stage, 3)
    stage.tick()
    assert stage.record("count-1").leaving

    stage.dies("count-1")
    stage.tick()

    comes_back_and_leaves(stage, "count-1")
    assert stage.phases()["count-1"] is InstancePhase.RETIRED
    assert stage.state.replicas()["count"] == 1


def test_another_controller_carries_on_in_the_middle(stage: Stage) -> None:
    scaled(stage, 3)
    all_say(stage, 1)
    stage.tick()
    assert partition(stage).paused

    taken_up = kept(stage.state).state(0.0, 1_000)

    assert taken_up is not None
    assert taken_up.partitions == {"count": Partition(1, 2, to=3, paused=True)}
    other = Stage(KEYED)
    other.now = 10_000.0
    other.go_on_from(taken_up)
    other.tick()
    assert other.kills() == set(), "it has not been told anything yet by this one"
    all_say(other, 2)
    other.tick()
    assert partition(other) == Partition(3, 3)


@pytest.mark.parametrize(
    ("replicas", "words"),
    [(6, "at most 5 \\(maxReplicas\\)"), (0, "at least 1 \\(minReplicas, or 1\\)")],
)
def test_replicas_stay_within_the_bounds_of_the_descriptor(replicas: int, words: str) -> None:
    with pytest.raises(ScaleError, match=words):
        check(KEYED.nodes["count"], replicas)


def test_a_job_without_partitioned_nodes_has_no_owners() -> None:
    stage = Stage(LINE)
    stage.all_say(InstanceState.RUNNING)
    stage.tick()

    assert stage.state.partitions == {}
    assert all(told.owned is None and not told.owners for told in stage.peers().values())


# -- any story ---------------------------------------------------------------------------------------------------------


@dataclass
class Process:
    """An instance of `count` as it might behave: it hears late, and goes by what it has heard."""

    index: int
    epoch: int
    heard: list[Ownership] = field(default_factory=list)
    owned: Ownership = _UNTOLD
    leaves: bool = False

    def hears(self) -> None:
        if self.heard:
            told = self.heard.pop(0)
            self.owned = told if told.epoch > self.owned.epoch else self.owned


class Story:
    """The controller and its processes; what happens next is told from outside."""

    def __init__(self) -> None:
        self.processes: dict[str, Process] = {}
        self.stage = Stage(KEYED)
        self._do()

    def _do(self) -> None:
        for effect in self.stage.done:
            match effect:
                case StartInstance(node="count"):
                    assert effect.instance not in self.processes
                    self.processes[effect.instance] = Process(effect.index, effect.epoch)
                case SendCommand() if effect.instance in self.processes and effect.command.peers is not None:
                    assert effect.command.peers.owned is not None
                    self.processes[effect.instance].heard.append(effect.command.peers.owned)
                case SendCommand() if effect.instance in self.processes and effect.command.verb is Verb.LEAVE:
                    self.processes[effect.instance].leaves = True
                case KillInstance() if effect.instance in self.processes:
                    self.die(effect.instance)

    def die(self, instance: str, code: int = -9) -> None:
        process = self.processes.pop(instance, None)
        if process is not None:
            self.stage.take(Exited(instance, process.epoch, code, completed=self.stage.record(instance).epoch))
            self._do()

    def report(self, instance: str) -> None:
        process = self.processes.get(instance)
        record = self.stage.record(instance) if instance in self.stage.state.instances else None
        if process is not None and record is not None and record.phase.living:
            sample = InstanceSample(
                instance, "count", process.epoch, InstanceState.RUNNING, endpoint="x", ownership=process.owned.epoch
            )
            self.stage.take(Reported(sample))
            self._do()

    def event(self, kind: str, index: int) -> None:
        instance = f"count-{index}"
        match kind:
            case "tick":
                self.stage.later(0.1)
                self._do()
            case "wait":
                self.stage.later(5.0)
                self._do()
            case "scale":
                self.stage.take(Scaled("count", index + 1, self.stage.state.wish + 1))
            case "report":
                self.report(instance)
            case "hear" if instance in self.processes:
                self.processes[instance].hears()
            case "die":
                self.die(instance)
            case "drain":
                self.stage.take(Asked(Ask.DRAIN))

    def owners_are_single(self) -> None:
        taken: dict[int, str] = {}
        for name, process in self.processes.items():
            for group in groups_of(process.index, process.owned.replicas):
                assert group not in taken, f"group {group} is owned by {taken[group]} and {name}"
                taken[group] = name

    def settle(self) -> None:
        """Everybody hears and reports until nothing changes any more."""
        for _ in range(80):
            for name in list(self.processes):
                process = self.processes[name]
                while process.heard:
                    process.hears()
                    self.owners_are_single()
                self.report(name)
                if process.leaves:
                    self.die(name, 0)
            self.stage.later(1.0)
            self._do()


_KINDS = st.sampled_from(["tick", "tick", "tick", "report", "report", "hear", "hear", "hear", "scale", "die", "wait"])
_EVENTS = st.lists(st.tuples(_KINDS, st.integers(0, 4)), max_size=60)


@settings(max_examples=200, deadline=None)
@given(_EVENTS)
def test_no_group_ever_has_two_owners_and_in_the_end_each_has_one(events: list[tuple[str, int]]) -> None:
    story = Story()
    for kind, index in events:
        story.event(kind, index)
        story.owners_are_single()

    story.settle()

    state = story.stage.state
    if state.phase in (JobPhase.STARTING, JobPhase.RUNNING):
        wanted = state.desired("count")
        assert partition(story.stage).replicas == wanted
        owners = [p for n, p in story.processes.items() if not state.instances[n].leaving]
        assert {g for p in owners for g in groups_of(p.index, p.owned.replicas)} == set(range(limits.KEY_GROUPS))
        assert all(state.instances[f"count-{index}"].phase is InstancePhase.RUNNING for index in range(wanted))
