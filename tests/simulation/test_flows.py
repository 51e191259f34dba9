"""Flows that change in a whole job: each record goes one version's way, and a version ends with what took it."""

from __future__ import annotations

import pytest

from streamer.testing.nemesis import ChangeFlows, Drain, Fault, Kill, KillNewborn, Stop
from streamer.testing.play import Play
from streamer.testing.world import World
from tests.simulation.scenes import scene

SWAPPED = {"main": "s >> b >> a >> out"}
SHORT = {"main": "s >> a >> out"}


def alive(world: World) -> list[int]:
    return [version.number for version in world.state.plan.versions]


def seen_at(play: Play, *moments: float) -> list[list[int]]:
    """The versions that are alive at these times; the play is judged."""
    world, seen = play.world(), []
    for at_s in moments:
        world.clock.after(at_s, lambda: seen.append(alive(world)))
    world.run(120.0)
    return seen


def test_each_record_takes_the_version_in_force_and_all_versions_but_the_last_are_over_in_the_end() -> None:
    changes = [ChangeFlows(0.6, SWAPPED), ChangeFlows(2.5, SHORT)]
    world = scene("rerouted", records=300, interval_s=0.02, changes=changes).run()
    taken = [world.watch.taken[f"s#{n}"] for n in range(300)]
    assert taken == sorted(taken)
    assert set(taken) == {1, 2, 3}
    assert alive(world) == [3]


def test_a_handler_that_works_for_long_does_not_hold_a_change_up() -> None:
    play = scene("chain", records=1, interval_s=0.0, handler_s=50.0, changes=[ChangeFlows(1.0, SHORT)], seed=1)
    assert seen_at(play, 0.9, 1.5) == [[1], [1, 2]]


def test_a_version_is_alive_for_as_long_as_one_of_its_messages_is_not_settled() -> None:
    play = scene("chain", records=1, interval_s=0.0, handler_s=20.0, changes=[ChangeFlows(1.0, SHORT)])
    assert seen_at(play, 19.0, 41.0)[0] == [1, 2]


@pytest.mark.parametrize("operations", range(1, 12))
def test_a_source_that_is_killed_at_any_effect_after_a_change_sends_each_record_by_its_own_version(
    operations: int,
) -> None:
    changes = [ChangeFlows(0.6, SWAPPED), ChangeFlows(2.4, SHORT)]
    faults: list[Fault] = [Kill(1.4, "s-0", operations), KillNewborn(2.5, "s-0", operations)]
    world = scene("rerouted", *faults, records=200, interval_s=0.02, changes=changes).run()
    assert world.deaths["s-0"] >= 2
    assert set(world.watch.taken.values()) == {1, 2, 3}


def test_an_instance_that_stands_still_takes_the_change_back_after_a_while_and_the_job_goes_on() -> None:
    stop = Stop(0.5, "b-0", 40.0)
    world = scene("rerouted", stop, records=100, interval_s=0.5, changes=[ChangeFlows(1.0, SWAPPED)]).run()
    (answer,) = world.state.answers
    assert "b-0 did not hear of it" in answer.error
    assert set(world.watch.taken.values()) == {1}


def test_a_drain_in_the_middle_of_changes_ends_the_job_in_order() -> None:
    changes = [ChangeFlows(0.6 + n / 20, (SWAPPED, SHORT)[n % 2]) for n in range(20)]
    world = scene("rerouted", Drain(1.2), records=500, interval_s=0.01, changes=changes).run()
    assert "stopped" in world.state.phase


def test_more_versions_than_messages_can_tell_follow_each_other_while_older_ones_end() -> None:
    changes = [ChangeFlows(0.6 + n, (SWAPPED, SHORT)[n % 2]) for n in range(24)]
    world = scene("rerouted", records=1_300, interval_s=0.02, changes=changes).run()
    assert not any(answer.error for answer in world.state.answers)
    assert set(world.watch.taken.values()) == set(range(1, 26))
    assert world.letters.letters == []
