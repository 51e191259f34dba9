"""Dead letters that people want handled again: the instances of their node are told, and told again."""

from __future__ import annotations

from streamer.control.events import Effect, ReplayWanted, SendCommand
from streamer.control.wishes import want_replay, wishes
from streamer.log.memory import MemoryLog, MemoryStore
from streamer.log.topics import Topic
from streamer.metrics.samples import InstanceState
from streamer.plan.assignment import Command, Verb
from tests.control.plans import LINE
from tests.control.stage import Stage
from tests.control.test_records import kept


def told(effects: tuple[Effect, ...]) -> dict[str, Command]:
    """The instances that are to look for letters."""
    return {
        effect.instance: effect.command
        for effect in effects
        if isinstance(effect, SendCommand) and effect.command.verb is Verb.REPLAY
    }


def running() -> Stage:
    stage = Stage(LINE)
    stage.all_say(InstanceState.RUNNING)
    stage.tick()
    return stage


def test_all_instances_of_the_node_are_told_with_the_names_of_all() -> None:
    stage = running()
    stage.take(ReplayWanted("parse", 1))

    commands = told(stage.tick())

    names = {name for name in stage.state.instances if name.startswith("parse-")}
    assert commands.keys() == names
    assert {frozenset(command.lives) for command in commands.values()} == {frozenset(names)}
    command = next(iter(commands.values()))
    assert Command.from_wire(command.to_wire()) == command


def test_they_are_told_again_from_time_to_time_and_at_once_for_another_wish() -> None:
    stage = running()
    stage.take(ReplayWanted("parse", 1))
    first = told(stage.tick())

    assert told(stage.later(0.1)) == {}
    assert told(stage.later(10.0)).keys() == first.keys()
    stage.take(ReplayWanted("parse", 2))
    assert told(stage.later(0.1)).keys() == first.keys()


def test_a_wish_that_comes_again_or_for_no_node_changes_nothing() -> None:
    stage = running()
    stage.take(ReplayWanted("parse", 7))
    stage.tick()
    before = stage.state

    stage.take(ReplayWanted("parse", 7))
    stage.take(ReplayWanted("prase", 8))

    assert stage.state == before


def test_the_next_life_of_an_instance_is_told_too() -> None:
    stage = running()
    stage.take(ReplayWanted("save", 1))
    stage.tick()
    stage.exits("save-0", -9)
    stage.later(10.0)
    stage.says("save-0")

    assert told(stage.later(0.1)).keys() == {"save-0"}


def test_the_wish_goes_through_the_log() -> None:
    log = MemoryLog(MemoryStore())
    want_replay(log, "job", "parse")

    assert wishes(log.read(Topic.COMMANDS).records) == [ReplayWanted("parse", 0)]


def test_whoever_takes_the_job_up_knows_of_it() -> None:
    stage = running()
    stage.take(ReplayWanted("parse", 1))

    taken_up = kept(stage.state).state(0.0, 9)

    assert taken_up is not None
    assert (taken_up.replays, taken_up.wish) == (frozenset({"parse"}), 1)
