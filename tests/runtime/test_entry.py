"""Roots that nobody can make again: numbered as they come, and sent by the version of the flows that their ids say."""

from __future__ import annotations

from streamer.limits import CANARY_PARTS, CANARY_RUN
from streamer.plan.assignment import Assignment, Role
from streamer.protocol.account import InstanceAccount
from streamer.protocol.canary import takes_canary
from streamer.protocol.codec import packer, unpack_one
from streamer.runtime.entry import PlainEntry
from streamer.runtime.exits import Exits
from streamer.runtime.letters import Letters
from streamer.runtime.outbox import Outbox
from tests.runtime.door import NoLetters
from tests.runtime.wirings import wiring

ORIGIN = 77
OLD, NEW = "in >> a >> b", "in >> a >> c"
"""Both lead to `a` first, so that one can see in which order messages come there."""


class Parent:
    """Waits for the roots of one call."""

    open = 1

    def settle(self, count: int) -> None:
        self.open -= count


class Life:
    """One life of node `in`, of whose roots a quarter takes the canary."""

    def __init__(self, grain: int) -> None:
        known = wiring("in", 2, OLD, NEW, parts=CANARY_PARTS // 4)
        assignment = Assignment(
            job="job", pipeline="words", token="t", node="in", instance="in-0", epoch=1, role=Role.GATEWAY,
            wiring=known, folder="", dead_letters="", control="",
        )  # fmt: skip
        self.exits = Exits("in", known)
        self.account = InstanceAccount()
        letters = Letters(assignment, NoLetters(), lambda: 0.0, lambda: 0.0, self.exits.position)
        self.outbox = Outbox(assignment, self.exits, None, self.account, letters)
        self.entry = PlainEntry(self.exits, self.outbox, self.account, ORIGIN, counted=True, grain=grain)

    def send(self, *messages: object, parent: Parent | None = None) -> None:
        blobs = [packer()(message) for message in messages]
        self.entry.send(self.exits.unnamed(None), blobs, 5, detour=self.exits.detour(None), parent=parent)

    def sent(self) -> list[tuple[object, int]]:
        """(message, version), in the order of the edge."""
        (edge,) = self.outbox.edges
        return [
            (unpack_one(blob), self.exits.version_of(chunk.segment.route))
            for chunk, first, last in edge.held()
            for blob in chunk.blobs[first:last]
        ]


def expected(count: int, grain: int) -> list[tuple[object, int]]:
    return [(n, 2 if takes_canary(ORIGIN, n, CANARY_PARTS // 4, grain) else 1) for n in range(count)]


def test_requests_that_come_one_by_one_are_decided_one_by_one() -> None:
    life = Life(grain=1)
    for n in range(100):
        life.send(n)
    assert life.sent() == expected(100, 1)
    assert 23 <= [version for _, version in life.sent()].count(2) <= 27


def test_roots_of_one_frame_keep_their_order_whichever_version_they_take() -> None:
    life = Life(grain=CANARY_RUN)
    for first in range(0, 400, 100):
        life.send(*range(first, first + 100))
    assert life.sent() == expected(400, CANARY_RUN)
    assert life.account.received == 400


def test_who_waits_for_the_roots_of_a_call_waits_for_all_of_its_pieces() -> None:
    life, parent = Life(grain=CANARY_RUN), Parent()
    life.send(*range(160), parent=parent)
    assert parent.open == 160
