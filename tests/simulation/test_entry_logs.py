"""Nodes with `durability: log` under kills at every effect and on disks that are full: what was accepted arrives."""

from __future__ import annotations

from collections import Counter

import pytest

from streamer.testing.nemesis import ChangeFlows, FullDisk, Kill, KillNewborn
from streamer.testing.world import World
from tests.simulation.scenes import scene


def arrived(world: World) -> Counter[object]:
    return Counter(str(message).partition("/")[0] for message in world.disks["out-0"].written)


@pytest.mark.parametrize("operations", range(1, 40))
@pytest.mark.parametrize("at_s", [0.11, 0.25])
def test_a_pipe_loses_nothing_that_was_accepted_at_any_effect(operations: int, at_s: float) -> None:
    world = scene("piped", Kill(at_s, "s-0", operations), records=30).run()

    accepted = {str(record) for record in world.disks["s-0"].accepted()}
    assert world.deaths == {"s-0": 1}
    assert accepted == set(arrived(world))
    assert 30 - len(accepted) <= 1, "more than the record in hand was lost"
    assert all(edge.balanced and not edge.in_flight for edge in world.account().edges)


@pytest.mark.parametrize("operations", range(1, 40, 3))
def test_a_second_kill_before_the_first_is_made_good_loses_nothing_either(operations: int) -> None:
    world = scene("piped", KillNewborn(0.2, "s-0", operations), records=30).run()

    assert {str(record) for record in world.disks["s-0"].accepted()} == set(arrived(world))


@pytest.mark.parametrize("operations", range(1, 17))  # the next one is behind its end
def test_each_root_of_an_algorithm_arrives_as_often_as_it_was_accepted(operations: int) -> None:
    world = scene("logged-starter", Kill(0.12, "g-0", operations)).run()

    accepted = Counter(world.disks["g-0"].accepted())
    assert accepted <= arrived(world)


def test_a_full_disk_stops_a_source_until_there_is_room() -> None:
    world = scene("logged", FullDisk(0.2, "s-0", 2.0), interval_s=0.01).run()

    assert arrived(world) == Counter(f"s#{n}" for n in range(20) if n % 5)
    assert world.clock.elapsed_s > 2.2


def test_a_kill_while_the_disk_is_full_loses_only_what_was_not_on_it() -> None:
    world = scene("piped", FullDisk(0.2, "s-0", 2.0), Kill(1.0, "s-0", 0), records=30).run()

    accepted = {str(record) for record in world.disks["s-0"].accepted()}
    assert accepted == set(arrived(world))
    assert len(accepted) < 30


@pytest.mark.parametrize("operations", range(1, 40, 2))
def test_flows_change_around_a_kill(operations: int) -> None:
    other = {"main": "s >> a & b & c >> out"}
    world = scene("piped", Kill(0.22, "s-0", operations), changes=[ChangeFlows(0.2, other)], records=40).run()

    assert {str(record) for record in world.disks["s-0"].accepted()} == set(arrived(world))
