"""Key groups change hands: what happens to the messages, and to those who are not there when they should give them up.

That a group has one owner, and each key its order, is watched in every one of these (`streamer.testing.keyed`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import pytest

from streamer.limits import DRAIN_S, SESSION_TIMEOUT_S
from streamer.plan.assignment import Ownership, Role
from streamer.protocol.keys import KeyPath, group_of, groups_of, owner_of
from streamer.runtime.stage import Stage
from streamer.testing.keyed import KEY_FIELD, KeyWatch, keyed, text_of
from streamer.testing.life import Life
from streamer.testing.nemesis import Drain, Kill, KillAtEnd, Partition, Scale, Stop, Wedge
from streamer.testing.play import LIMIT_S
from streamer.testing.world import World
from tests.simulation.scenes import scene


def arrived(world: World) -> Counter[str]:
    return Counter(
        text_of(message) for name, disk in world.disks.items() if name == "out-0" for message in disk.written
    )


def owners(world: World) -> dict[str, int]:
    """Messages that each instance of k has handled, over all its lives."""
    return {name: disk.account().received for name, disk in world.disks.items() if name.startswith("k-")}


def test_keys_are_shared_by_all_owners() -> None:
    world = scene("keyed", replicas={"k": 3}, records=40).run()

    shares = Counter(owner_of(group_of(f"key-{n % 5}"), 3) for n in range(40))
    assert owners(world) == {f"k-{index}": shares[index] for index in range(3)}


@pytest.mark.parametrize("steps", [[3], [5, 1], [1, 4, 3]])
def test_other_owners_in_a_healthy_job_make_nothing_come_twice(steps: list[int]) -> None:
    changes = [Scale(0.4 + n, "k", replicas) for n, replicas in enumerate(steps)]

    world = scene("keyed", changes=changes, replicas={"k": 2}, records=400).run()

    assert arrived(world) == Counter(f"s#{n}/k" for n in range(400))
    assert world.state.partitions["k"].replicas == steps[-1]
    assert world.state.partitions["k"].epoch == 1 + 2 * len(steps)


def test_the_last_wish_counts_when_another_is_under_way() -> None:
    changes = [Scale(0.4, "k", 4), Scale(0.42, "k", 1), Scale(0.45, "k", 3)]

    world = scene("keyed", changes=changes, records=200).run()

    assert world.state.partitions["k"].replicas == 3


def test_instances_that_were_started_in_vain_leave_again() -> None:
    changes = [Scale(0.4, "k", 4), Scale(0.41, "k", 1)]

    world = scene("keyed", changes=changes, records=200).run()

    assert world.state.replicas()["k"] == 1
    assert world.state.partitions["k"].epoch == 1, "keys had no other owner meanwhile"


def test_others_wait_for_an_owner_that_stands_still() -> None:
    world = scene("keyed", Stop(0.5, "k-0", 5.0), changes=[Scale(0.55, "k", 1)], replicas={"k": 2}, records=60).run()

    assert not world.deaths
    assert sum(owners(world).values()) == 60
    assert world.clock.elapsed_s > 5.0


@pytest.mark.parametrize("death", [Kill(2.0, "k-1", 1), KillAtEnd(0.6, "k-1", Stage.ENDING, 3)])
def test_who_dies_while_it_leaves_comes_back_to_send_what_is_in_its_checkpoint(death: Kill | KillAtEnd) -> None:
    nobody_takes_it = Partition(0.5, "k-1", "b-0", 5.0)
    changes = [Scale(0.7, "k", 1)]

    world = scene("keyed-counted", nobody_takes_it, death, changes=changes, replicas={"k": 2}, records=100).run()

    assert world.deaths["k-1"] == 1
    assert world.state.replicas()["k"] == 1


@pytest.mark.parametrize("after_s", [0.0, 0.05, 0.2])
def test_who_is_dead_when_it_is_sent_away_comes_back_for_that_too(after_s: float) -> None:
    nobody_takes_it = Partition(0.5, "k-1", "b-0", 5.0)
    changes = [Scale(2.0 + after_s, "k", 1)]

    world = scene(
        "keyed-counted", nobody_takes_it, Kill(2.0, "k-1", 1), changes=changes, replicas={"k": 2}, records=100
    )

    assert world.run().deaths["k-1"] == 1


def test_an_owner_that_is_silent_for_too_long_is_killed_and_the_rest_goes_on() -> None:
    stopped = Stop(0.5, "k-0", LIMIT_S)
    world = scene("keyed", stopped, changes=[Scale(0.55, "k", 3)], replicas={"k": 2}, records=60).run()

    assert world.deaths["k-0"] == 1
    assert SESSION_TIMEOUT_S < world.clock.elapsed_s < 2 * SESSION_TIMEOUT_S


def test_an_owner_that_is_busy_for_longer_than_it_may_be_silent_is_waited_for() -> None:
    busy = Wedge(0.5, "k-0", SESSION_TIMEOUT_S + 5.0)
    world = scene("keyed", busy, changes=[Scale(0.55, "k", 3)], replicas={"k": 2}, records=60).run()

    assert not world.deaths


def test_an_owner_that_is_busy_for_longer_than_a_drain_lasts_is_killed() -> None:
    busy = Wedge(0.5, "k-0", DRAIN_S + 5.0)
    world = scene("keyed", busy, changes=[Scale(0.55, "k", 3)], replicas={"k": 2}, records=60).run()

    assert world.deaths["k-0"] == 1


@pytest.mark.parametrize("instance", ["s-0", "k-0", "k-1", "k-2", "out-0"])
@pytest.mark.parametrize("at_s", [0.5, 0.6, 0.65, 0.7, 0.8])
def test_a_kill_at_any_moment_of_a_change_loses_nothing(instance: str, at_s: float) -> None:
    changes = [Scale(0.45, "k", 3), Scale(1.2, "k", 1)]
    world = scene("keyed", Kill(at_s, instance, 3), changes=changes, replicas={"k": 2}, records=120).run()

    assert arrived(world).keys() == {f"s#{n}/k" for n in range(120)}


def test_a_job_that_is_drained_in_the_middle_of_a_change_ends_in_order() -> None:
    for hundredths in range(40, 90, 5):
        world = scene("keyed", Drain(hundredths / 100), changes=[Scale(0.45, "k", 3)], records=200).run()

        assert world.clock.elapsed_s < DRAIN_S


def test_a_message_without_a_key_is_given_up_by_its_producer() -> None:
    world = scene("keyed-between", records=20).run()

    letters = [(letter.reason, letter.node, letter.target) for letter in world.letters.letters]
    assert letters.count(("no key", "t", "k")) == 3
    assert "the message has no 'key'" in world.letters.letters[0].error


def test_a_poison_of_a_key_does_not_let_the_next_one_overtake() -> None:
    world = scene("keyed", poison=[("k", "s#5")], changes=[Scale(0.5, "k", 2)], records=60).run()

    assert arrived(world).keys() == {f"s#{n}/k" for n in range(60) if n != 5}


# -- the watch bites ---------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class _Sender:
    name: str
    emitted: dict[str, list[int]]
    assignment: SimpleNamespace


class Handled:
    """What a watch is told: `a-0` has sent s#0, s#5 and s#10, all of one key."""

    def __init__(self) -> None:
        self.watch = KeyWatch()
        self.wrap = keyed(5, 0)
        emitted = {"s#0": [1], "s#5": [2], "s#10": [3]}
        self.sender = cast("Life", _Sender("a-0", emitted, SimpleNamespace(role=Role.STATELESS)))
        for session in (1, 2):
            self.watch.sends(session, 1, self.sender)

    def by(self, index: int, message: str, *, epoch: int = 1, replicas: int = 1, session: int = 1) -> Handled:
        handover: Any = SimpleNamespace(
            keys=KeyPath(KEY_FIELD), owned=Ownership(epoch, replicas), groups=groups_of(index, replicas)
        )
        life: Any = SimpleNamespace(
            name=f"k-{index}", assignment=SimpleNamespace(node="k"), instance=SimpleNamespace(handover=handover)
        )
        self.watch.took(life, session, 1, self.wrap(message))
        return self


def problems(handled: Handled) -> str:
    return "\n".join(handled.watch.problems)


def test_what_is_handled_in_order_by_one_owner_passes() -> None:
    assert not problems(Handled().by(0, "s#0").by(0, "s#5").by(0, "s#10"))


def test_what_comes_again_in_another_session_passes() -> None:
    assert not problems(Handled().by(0, "s#0").by(0, "s#5").by(0, "s#0", session=2).by(0, "s#5", session=2))


def test_a_message_of_a_group_that_somebody_else_owns_is_found() -> None:
    other = 1 - owner_of(group_of("key-0"), 2)

    assert "and owns" in problems(Handled().by(other, "s#0", replicas=2))


def test_an_owner_that_goes_on_after_its_successor_has_begun_is_found() -> None:
    first, second = owner_of(group_of("key-0"), 2), owner_of(group_of("key-0"), 1)

    told = Handled().by(second, "s#0", epoch=3).by(first, "s#5", epoch=1, replicas=2)
    assert "is handled by" in problems(told)


def test_a_message_that_has_overtaken_another_is_found() -> None:
    assert "came out of order" in problems(Handled().by(0, "s#5").by(0, "s#0"))
    assert "after a later one" in problems(Handled().by(0, "s#5").by(0, "s#0", session=2))
