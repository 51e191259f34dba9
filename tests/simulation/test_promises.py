"""The watch and the verdict, each tried on a promise that was broken: one that never bites is not trusted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streamer.limits import ROUTES_MAX
from streamer.plan.routing import part_of_version
from streamer.protocol.account import EdgeCounts, InstanceAccount, encode_account
from streamer.protocol.codec import join, packer
from streamer.protocol.frames import Status, encode_data, encode_status
from streamer.protocol.segment import Segment
from streamer.testing.disk import Disk
from streamer.testing.life import Life
from streamer.testing.network import Host
from streamer.testing.outcome import judge
from streamer.testing.play import LIMIT_S, Play
from streamer.testing.promises import PromiseError, account_balances
from streamer.testing.world import World
from streamer.transport.base import Parts
from tests.simulation.scenes import scene

CONNECTION = 1


def data(sequence: int, *messages: str, first: int = 0, redelivered: bool = False, version: int = 1) -> Parts:
    route = part_of_version(version) * ROUTES_MAX + 1
    segment = Segment(1, range(first, first + len(messages)), 1, None, route, 0, 0)
    return encode_data(sequence, [segment], len(messages), join([packer()(m) for m in messages]), redelivered)


class Sender:
    """A producer that has emitted a, b and c, and is granted two messages."""

    def __init__(self) -> None:
        self.world = World(scene("direct").world().scene, 0)
        plan = self.world.scene.plan
        assignment = plan.assignment(
            "s", 0, job="job", token="", epoch=1, folder="", dead_letters="", control="", endpoint="sim://s:1"
        )
        self.life = Life(self.world, assignment, Disk())
        self.world.watch.began(self.life)
        for message in ("a", "b", "c"):
            self.life.emits(message)
        self.sent(3)
        self.world.watch.up(CONNECTION, self.life, encode_status(Status(1, 2, 1_000, 0, 1, 0, 0)))

    def sent(self, messages: int) -> None:
        self.life.disk.page = encode_account(
            InstanceAccount(edges=[EdgeCounts("out", sent=messages, in_flight=messages)])
        )

    def sends(self, parts: Parts) -> None:
        host: Host = self.life
        self.world.watch.down(CONNECTION, host, parts)


def test_what_is_granted_counted_and_in_order_passes() -> None:
    sender = Sender()

    sender.sends(data(1, "a"))
    sender.sends(data(2, "b", first=1))


def test_more_than_was_granted_is_found() -> None:
    with pytest.raises(PromiseError, match="3 messages on a grant of 2"):
        Sender().sends(data(1, "a", "b", "c"))


def test_a_number_that_was_left_out_is_found() -> None:
    with pytest.raises(PromiseError, match="it follows frame 0"):
        Sender().sends(data(2, "a"))


def test_messages_out_of_order_are_found() -> None:
    with pytest.raises(PromiseError, match="'a' came out of order"):
        Sender().sends(data(1, "b", "a"))


def test_redelivered_messages_have_no_order() -> None:
    Sender().sends(data(1, "b", "a", redelivered=True))


def test_a_message_that_leaves_before_its_account_is_found() -> None:
    sender = Sender()
    sender.sent(1)

    with pytest.raises(PromiseError, match="2 messages have left, the page in force says 1"):
        sender.sends(data(1, "a", "b"))


def test_two_messages_with_one_id_are_found() -> None:
    sender = Sender()
    sender.sends(data(1, "a"))

    with pytest.raises(PromiseError, match="'b' has the id of 'a'"):
        sender.sends(data(2, "b"))


def test_a_message_that_comes_again_under_another_id_is_found() -> None:
    sender = Sender()
    sender.sends(data(1, "a"))

    with pytest.raises(PromiseError, match="'a' was made again under another id"):
        sender.sends(data(2, "a", first=5, redelivered=True))


def test_a_message_that_comes_again_by_another_version_of_the_flows_is_found() -> None:
    sender = Sender()
    sender.sends(data(1, "a"))

    with pytest.raises(PromiseError, match="'a' goes by another version of the flows"):
        sender.sends(data(2, "a", redelivered=True, version=2))


def test_an_account_that_is_wrong_by_one_is_found() -> None:
    with pytest.raises(PromiseError, match="does not balance"):
        account_balances("a-0", InstanceAccount(edges=[EdgeCounts("b", sent=2, settled=1)]))


# -- the verdict -------------------------------------------------------------------------------------------------------


def ended(play: Play) -> World:
    world = play.world()
    world.run(LIMIT_S)
    return world


def test_a_message_that_a_sink_did_not_get_is_found() -> None:
    play = scene("chain")
    world = ended(play)
    del world.disks["out-0"].written[3]

    with pytest.raises(PromiseError, match="lost"):
        judge(world, play.cast, calm=False, drained=False)


def test_a_message_too_many_is_found_where_nothing_had_happened() -> None:
    play = scene("chain")
    world = ended(play)
    world.disks["out-0"].written.append(world.disks["out-0"].written[0])

    judge(world, play.cast, calm=False, drained=False)
    with pytest.raises(PromiseError, match="twice"):
        judge(world, play.cast, calm=True, drained=False)


def test_a_message_that_nobody_sent_is_found() -> None:
    play = scene("chain")
    world = ended(play)
    world.disks["out-0"].written.append("s#99/a/b")

    with pytest.raises(PromiseError, match="nobody sent"):
        judge(world, play.cast, calm=False, drained=False)


def test_a_dead_letter_without_cause_is_found() -> None:
    play = scene("chain", poison=[("b", "s#3/a")])
    world = ended(play)

    with pytest.raises(PromiseError, match=r"nobody sent|dead-lettered without cause|no dead letter"):
        judge(world, replace(play.cast, poison=frozenset({("b", "s#4/a")})), calm=False, drained=False)


def test_a_job_that_does_not_end_is_told_as_stuck() -> None:
    with pytest.raises(PromiseError, match="stuck"):
        scene("chain").world().run(0.25)
