"""Kills and what comes after them: messages in hand, poison, and lives that are over."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from streamer.limits import CRASH_ATTEMPTS_MAX
from streamer.testing.nemesis import Cut, Kill, KillNewborn
from streamer.testing.world import World
from tests.simulation.scenes import scene


def letters(world: World) -> list[tuple[str, object]]:
    return [(letter.reason, letter.message) for letter in world.letters.letters]


def sizes_with(world: World, message: str) -> Sequence[int]:
    return world.watch.frames_with[message]


@pytest.mark.parametrize("replicas", [1, 3])
@pytest.mark.parametrize("place", ["s#0/a", "s#7/a", "s#19/a"])
def test_a_message_that_kills_whoever_handles_it_is_given_up_after_three_deaths(replicas: int, place: str) -> None:
    play = scene("chain", poison=[("b", place)], replicas={"b": replicas})

    world = play.run()

    assert world.deaths_in_hand == {place: CRASH_ATTEMPTS_MAX}
    assert letters(world) == [("crash", place)]


def test_it_travels_alone_from_its_second_attempt_on() -> None:
    world = scene("chain", poison=[("b", "s#8/a")], interval_s=0.0).run()

    first, *later = sizes_with(world, "s#8/a")
    assert first > 1
    assert later == [1] * (CRASH_ATTEMPTS_MAX - 1)


def test_its_neighbours_are_not_accused() -> None:
    world = scene("chain", poison=[("b", "s#8/a"), ("b", "s#9/a")], interval_s=0.0).run()

    assert sorted(letters(world), key=str) == [("crash", "s#8/a"), ("crash", "s#9/a")]


def test_a_poison_inside_a_cycle_is_given_up_though_each_death_makes_it_again() -> None:
    world = scene("spiral", poison=[("a", "s#0/a/b")], records=1, replicas={"a": 3, "b": 2}).run()

    copies_under_way = 3
    assert world.deaths_in_hand["s#0/a/b"] <= 2 * CRASH_ATTEMPTS_MAX + copies_under_way
    assert {("crash", "s#0/a/b")} == {letter for letter in letters(world) if letter[0] == "crash"}


@pytest.mark.parametrize("operations", range(0, 40, 3))
@pytest.mark.parametrize("instance", ["s-0", "a-0", "b-0", "out-0"])
def test_a_kill_at_any_effect_leaves_an_account_that_balances(instance: str, operations: int) -> None:
    world = scene("chain", Kill(0.33, instance, operations), records=30).run()

    assert world.deaths == {instance: 1}
    assert all(edge.balanced and not edge.in_flight for edge in world.account().edges)


@pytest.mark.parametrize("operations", range(1, 12))
def test_a_life_may_end_at_its_beginning(operations: int) -> None:
    world = scene("chain", KillNewborn(0.2, "a-0", operations)).run()

    assert world.deaths["a-0"] == 2


def test_a_cut_link_resumes_its_session_and_nothing_is_sent_to_others() -> None:
    world = scene("chain", Cut(0.35, 0.5), replicas={"b": 2}).run()

    assert [edge.redelivered for edge in world.account().edges] == [0, 0, 0]
