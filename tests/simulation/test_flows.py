"""Flows that change in a whole job: each record goes one version's way, and a version ends with what took it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from streamer.limits import CANARY_PARTS
from streamer.protocol.identity import origin_of
from streamer.testing.disk import ListSource
from streamer.testing.nemesis import Change, ChangeFlows, Drain, Fault, Kill, KillNewborn, RollBack, Share, Stop
from streamer.testing.play import Play
from streamer.testing.world import World
from tests.simulation.scenes import scene
from tests.turns import by_share, turns

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


# -- canaries ----------------------------------------------------------------------------------------------------------

TENTH, HALF = CANARY_PARTS // 10, CANARY_PARTS // 2
BEGIN = ChangeFlows(0.3, SWAPPED, TENTH)


def shared(*changes: Change, faults: Sequence[Fault] = ()) -> World:
    """A job whose flows were judged to the message, when it has ended."""
    return scene("rerouted", *faults, records=480, interval_s=0.005, changes=(BEGIN, *changes)).run()


def versions(world: World) -> list[int]:
    """By record."""
    return [world.watch.taken[f"s#{n}"] for n in range(480)]


def decided(percent: int) -> list[int]:
    """By record, the version that its id says while this share takes the canary."""
    return by_share(origin_of("s", ListSource.partition, 0), percent, 480, canary=2, other=1)


@pytest.mark.parametrize("operations", [0, *range(1, 12, 2)])
def test_a_canary_is_taken_by_exactly_those_records_whose_ids_are_in_its_share_whatever_dies(operations: int) -> None:
    faults: list[Fault] = [Kill(1.0, "s-0", operations), KillNewborn(1.6, "s-0", operations)] if operations else []
    world = shared(faults=faults)
    assert world.deaths["s-0"] == (3 if operations else 0)
    _, began = turns(versions(world), [1] * 480, decided(10))
    assert began < 160
    assert decided(10)[160:].count(2) == 32
    assert (alive(world), world.state.plan.current.number) == ([1, 2], 1)


def test_a_larger_share_has_all_of_the_smaller_one_and_the_whole_ends_the_canary() -> None:
    world = shared(Share(0.9, HALF), Share(1.6, CANARY_PARTS))
    *_, whole = turns(versions(world), [1] * 480, decided(10), decided(50), [2] * 480)
    assert 100 < whole < 480
    assert alive(world) == [2]
    assert world.state.plan.canary is None


def test_a_rollback_ends_a_canary_and_the_flows_of_before_have_a_new_number() -> None:
    world = shared(RollBack(1.0), faults=[KillNewborn(1.6, "s-0", 3)])
    _, _, stopped, over = turns(versions(world), [1] * 480, decided(10), [1] * 480, [3] * 480)
    assert stopped <= over < 480
    assert alive(world) == [3]
    assert world.state.plan.current.flows == world.scene.plan.current.flows


def test_a_rollback_leads_to_the_flows_before_those_in_force_and_the_next_one_further_back() -> None:
    changes: list[Change] = [ChangeFlows(0.3, SWAPPED), ChangeFlows(0.8, SHORT), RollBack(1.3), RollBack(1.8)]
    world = scene("rerouted", records=480, interval_s=0.005, changes=changes).run()
    assert set(versions(world)) == {1, 2, 3, 4, 5}
    known = {texts.number: texts.flows for texts in world.state.plan.known}
    assert known[4] == known[2] == SWAPPED
    assert known[5] == known[1]
