"""An entry with a log: nothing is sent before the disk has it, and nothing that the disk has is forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from streamer.connectors.base import Mark
from streamer.errors import EntryLogError, OverloadError, StreamerError
from streamer.limits import CANARY_PARTS, CANARY_RUN, ENTRY_RETRY_S, ENTRY_WAITING_BYTES, ROUTES_MAX
from streamer.plan.assignment import Assignment, Delivery, Durability, Output, Role, Wiring
from streamer.plan.routing import Route, RouteTable
from streamer.protocol.account import InstanceAccount, decode_account, encode_account
from streamer.protocol.canary import takes_canary
from streamer.protocol.codec import packer, unpack_one
from streamer.protocol.edge import Edge
from streamer.protocol.segment import Segment
from streamer.protocol.settlement import Barrier
from streamer.runtime.exits import Detour, Exits
from streamer.runtime.letters import Letters
from streamer.runtime.logged_entry import LoggedEntry
from streamer.runtime.outbox import Outbox
from streamer.state.dead_letters import DeadLetter
from streamer.state.log_segment import Group
from tests.runtime.platter import Platter

MAIN, BOTH = 0, 3
OLD = RouteTable(
    (
        Route("main", "in", 0, (1,)),
        Route("main", "a", 0, ()),
        Route("unused", "a", 0, ()),
        Route("both", "in", 0, (4, 5)),
        Route("both", "a", 0, ()),
        Route("both", "b", 0, ()),
    ),
    "main",
)
"""`main: in >> a`, `both: in >> a & b`."""


class Life:
    """One life of node `in`, whose consumers are the test. `page` is what its predecessor's page says."""

    def __init__(
        self, platter: Platter, page: bytes = b"", *, tables: tuple[RouteTable, ...] = (OLD,), targets: str = "ab"
    ) -> None:
        self.platter = platter
        self.letters: list[DeadLetter] = []
        self.account = decode_account(page) if page else InstanceAccount()
        self.account.recover()
        self._assignment = Assignment(
            job="job", pipeline="p", token="t", node="in", instance="in-0", epoch=1, role=Role.GATEWAY,
            wiring=self._wiring(1, tables, targets), folder="", dead_letters="", control="",
            durability=Durability.LOG,
        )  # fmt: skip
        self.exits = Exits("in", self._assignment.wiring)
        letters = Letters(self._assignment, self, lambda: 0.0, lambda: 1.0, self.exits.position)
        self.outbox = Outbox(self._assignment, self.exits, None, self.account, letters)
        self.woken = 0
        self.entry = LoggedEntry(
            platter, self.exits, self.outbox, self.account, letters, 7, self._wake, counted=True, grain=CANARY_RUN
        )

    def _wake(self) -> None:
        self.woken += 1

    @staticmethod
    def _wiring(number: int, tables: tuple[RouteTable, ...], targets: str) -> Wiring:
        outputs = tuple(Output(target, False, Delivery.AT_LEAST_ONCE, 1 << 26, 64) for target in targets)
        return Wiring(number, tables, tables[-1].version, (), outputs)

    def append(self, records: Sequence[DeadLetter]) -> None:
        self.letters += records

    def rewire(self, *tables: RouteTable, targets: str) -> None:
        self.exits.take(self._wiring(self.exits.wiring.number + 1, tables, targets), set())
        self.outbox.rewire()
        self.entry.advance(0.0)

    def send(self, *messages: object, route: int = MAIN, **facts: Any) -> None:
        self.entry.send(route, [packer()(message) for message in messages], 5, **facts)

    def take_up(self) -> Life:
        """Send again what former lives have left."""
        for _ in range(10):
            self.entry.advance(0.0)
        return self

    def accept(self, *messages: object, route: int = MAIN) -> None:
        """These, and all that waits, get onto the disk and into the outbox."""
        self.send(*messages, route=route)
        while self.platter.begun is not None:
            self.platter.write()
            self.entry.advance(0.0)

    def waiting(self, target: str = "a") -> list[object]:
        return [message for _, message in self._held(target)]

    def segments(self, target: str = "a") -> list[Segment]:
        return [segment for segment, _ in self._held(target)]

    def _held(self, target: str) -> list[tuple[Segment, object]]:
        (edge,) = [edge for edge in self.outbox.edges if edge.target == target]
        return [
            (chunk.segment, unpack_one(blob)) for chunk, first, last in edge.held() for blob in chunk.blobs[first:last]
        ]

    def settle(self, target: str = "a", *indexes: int) -> None:
        """All that waits for this consumer is sent, and these of it (none named: all) are settled."""
        (edge,) = [edge for edge in self.outbox.edges if edge.target == target]
        assert isinstance(edge, Edge)
        frame = edge.cut(1000)
        assert frame is not None
        edge.fly(frame)
        for index in indexes or range(frame.count):
            edge.counts.settled += edge.settle_partly(frame, (index, index + 1))

    def die(self) -> Life:
        """It is killed; its successor."""
        return Life(self.platter, encode_account(self.account))


def test_a_root_is_on_the_disk_before_it_is_sent() -> None:
    life = Life(Platter())

    life.send("one")
    life.entry.advance(0.0)
    assert (life.waiting(), life.entry.idle) == ([], False)

    assert life.platter.write() == ["one"]
    life.entry.advance(0.0)
    assert (life.waiting(), life.entry.idle) == (["one"], True)


def test_what_comes_while_a_group_is_written_is_one_group() -> None:
    life = Life(Platter())

    for number in range(5):
        life.send(number)
    assert life.platter.write() == [0]
    life.entry.advance(0.0)
    assert life.platter.write() == [1, 2, 3, 4]
    life.entry.advance(0.0)

    assert life.waiting() == [0, 1, 2, 3, 4]


def test_a_successor_sends_what_was_not_settled_as_it_was() -> None:
    life = Life(Platter())
    life.accept("one", "two", "three")
    life.send("four", headers=[packer()({"trace": 4})])
    life.accept("five")
    before = life.segments()
    life.settle("a", 0, 2, 4)

    life = life.die().take_up()

    assert life.waiting() == ["two", "four"]
    assert [(s.id(0), s.time_us, s.headers) for s in life.segments()] == [
        (before[1].id(1), 5, None),
        (before[3].id(0), 5, [packer()({"trace": 4})]),
    ]
    assert life.account.received == 5


def test_each_edge_gets_what_is_missing_there_and_nothing_else() -> None:
    life = Life(Platter())
    life.accept("for a")
    life.accept("for both", route=BOTH)
    life.settle("b")

    life = life.die().take_up()

    assert (life.waiting("a"), life.waiting("b")) == (["for a", "for both"], [])
    assert all(edge.balanced for edge in life.account.edges)


def test_what_was_on_the_disk_and_not_in_the_page_is_counted_and_sent() -> None:
    platter = Platter()
    life = Life(platter)
    life.accept("one")
    life.send("two")
    platter.write()

    life = life.die().take_up()

    assert life.waiting() == ["one", "two"]
    assert life.account.received == 2


def test_what_was_not_on_the_disk_never_was() -> None:
    life = Life(Platter())
    life.send("one")
    life.platter.begun = None

    life = life.die().take_up()
    life.accept("two")

    assert life.waiting() == ["two"]
    assert [segment.positions for segment in life.segments()] == [range(1)]


def test_a_whole_page_may_be_gone_as_it_may_with_the_machine() -> None:
    life = Life(Platter())
    life.accept("one", "two")
    life.settle()

    life = Life(life.platter).take_up()

    assert life.waiting() == ["one", "two"]
    assert life.account.received == 2


def test_a_log_that_is_shorter_than_what_was_accepted_is_refused() -> None:
    life = Life(Platter())
    life.accept("one", "two")
    life.platter.entry.clear()

    with pytest.raises(EntryLogError, match="goes from position 0 to 0, and messages up to 2 had been accepted"):
        life.die()


def test_a_log_that_begins_behind_what_was_accepted_is_refused() -> None:
    life = Life(Platter())
    life.accept("one", "two")
    life.platter.entry = [Group(1 << 40, (1 << 40) + 1, b"")]
    life.platter.first = 1 << 40

    with pytest.raises(EntryLogError, match="goes from position 1099511627776"):
        life.die()


def test_new_roots_wait_until_the_old_ones_are_on_their_way() -> None:
    life = Life(Platter())
    life.accept("old")
    life = life.die()

    assert not life.entry.room()
    assert "sends again" in str(life.entry.obstacle())
    life.send("new")
    life.take_up()
    life.platter.write()
    life.entry.advance(0.0)

    assert life.waiting() == ["old", "new"]


# -- the disk ----------------------------------------------------------------------------------------------------------


def test_a_full_disk_stops_the_intake_and_loses_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    life = Life(Platter())
    told: list[StreamerError | None] = []
    life.send("of an algorithm")
    life.send("of a client", tell=told.append)
    life.platter.write()
    life.entry.advance(0.0)

    life.platter.fail()
    life.entry.advance(0.0)
    (refusal,) = told
    assert isinstance(refusal, OverloadError) and "No space left on device" in str(refusal)
    assert not life.entry.room() and "No space left on device" in str(life.entry.obstacle())

    life.send("later")
    life.entry.advance(ENTRY_RETRY_S / 2)
    assert life.platter.begun is None
    life.entry.advance(ENTRY_RETRY_S)
    assert life.platter.write() == ["later"]
    life.entry.advance(ENTRY_RETRY_S)

    assert life.waiting() == ["of an algorithm", "later"]
    assert life.entry.room()
    assert capsys.readouterr().err.splitlines() == [
        "node in cannot write its entry log: No space left on device. "
        "It takes nothing more until there is room on the disk",
        "node in has room on its disk again",
    ]


def test_a_client_may_try_again_though_nothing_waits_for_the_disk() -> None:
    life = Life(Platter())
    life.send("of a client", tell=lambda _refusal: None)
    life.platter.fail()
    life.entry.advance(0.0)

    life.entry.advance(ENTRY_RETRY_S)

    assert life.entry.room()


def test_what_waits_for_the_disk_is_bounded() -> None:
    life = Life(Platter())
    life.send("on its way")
    life.send(b"x" * ENTRY_WAITING_BYTES)

    assert not life.entry.room()
    assert "wait for the disk" in str(life.entry.obstacle())


def test_settled_roots_are_given_back_to_the_disk_while_none_is_written() -> None:
    life = Life(Platter())
    life.accept("one", "two")
    life.settle("a", 0)

    life.entry.advance(10.0)

    assert life.platter.cuts[-1] == 1


# -- who waits ---------------------------------------------------------------------------------------------------------


def test_whoever_waits_for_all_that_was_sent_waits_for_the_disk_too() -> None:
    life = Life(Platter())
    fired: list[bool] = []
    barrier = Barrier(lambda: fired.append(True), None)

    life.send("one")
    life.entry.wait_for_roots(barrier)
    barrier.settle(1)
    assert not fired

    life.platter.write()
    life.entry.advance(0.0)
    assert not fired

    life.settle()
    assert fired


def test_a_root_is_told_of_once_it_is_on_the_disk() -> None:
    life = Life(Platter())
    told: list[StreamerError | None] = []
    life.send("one", tell=told.append)
    life.entry.advance(0.0)
    assert told == []

    life.platter.write()
    life.entry.advance(0.0)
    assert told == [None]


# -- flows that change -------------------------------------------------------------------------------------------------

CHANGED = ROUTES_MAX
NEW = RouteTable((Route("main", "in", 0, (CHANGED + 1,)), Route("main", "c", 0, ())), "main", 2)
"""`main: in >> c`"""


def test_an_edge_that_is_new_owes_nothing_of_what_came_before_it() -> None:
    life = Life(Platter())
    life.accept("old")

    life.rewire(OLD, NEW, targets="abc")
    life.accept("new", route=CHANGED)
    life.settle("a")
    life.settle("c")

    assert life.entry.floor == 2


def test_a_root_goes_by_its_own_version_again() -> None:
    life = Life(Platter())
    life.accept("old")
    life.rewire(OLD, NEW, targets="abc")
    life.accept("new", route=CHANGED)
    page = encode_account(life.account)

    life = Life(life.platter, page, tables=(OLD, NEW), targets="abc").take_up()

    assert (life.waiting("a"), life.waiting("c")) == (["old"], ["new"])
    assert [taken.versions for taken, _, _ in life.account.history.spans()] == [(1,), (2,)]


def test_a_root_of_a_version_that_is_over_is_a_dead_letter() -> None:
    life = Life(Platter())
    life.accept("old")

    life = Life(life.platter, tables=(NEW,), targets="c").take_up()

    (letter,) = life.letters
    assert (letter.reason, letter.message, letter.node) == ("flow version", "old", "in")
    assert life.entry.floor == 1


def test_what_is_not_sent_yet_holds_its_version() -> None:
    life = Life(Platter())
    life.send("on its way")
    life.send("waiting", route=BOTH)

    assert set(life.entry.held_routes()) == {MAIN, BOTH}


# -- canaries ----------------------------------------------------------------------------------------------------------

SHARE = Detour(CHANGED, CANARY_PARTS // 4)


def in_share(count: int) -> list[int]:
    """The positions whose ids are in the share."""
    return [n for n in range(count) if takes_canary(7, n, SHARE.parts, CANARY_RUN)]


def test_a_share_of_what_is_accepted_leaves_by_the_canary_as_the_ids_say_and_does_so_again() -> None:
    life = Life(Platter())
    life.rewire(OLD, NEW, targets="abc")
    for first in range(0, 320, 10):
        life.send(*range(first, first + 10), detour=SHARE)
        life.platter.write()
        life.entry.advance(0.0)
    share = in_share(320)
    assert len(share) in (80, 96)

    assert life.waiting("c") == share
    assert life.waiting("a") == [n for n in range(320) if n not in share]
    assert life.waiting("b") == []

    page = encode_account(life.account)
    life = Life(life.platter, page, tables=(OLD, NEW), targets="abc")
    while not life.entry.idle:
        life.entry.advance(0.0)
    assert life.waiting("c") == share
    assert life.waiting("a") == [n for n in range(320) if n not in share]


def test_what_waits_for_the_disk_holds_both_versions() -> None:
    life = Life(Platter())
    life.rewire(OLD, NEW, targets="abc")
    life.send("waiting", detour=SHARE)
    assert set(life.entry.held_routes()) == {MAIN, CHANGED}


def test_what_the_disk_had_no_room_for_takes_its_way_by_the_position_that_it_gets(
    capsys: pytest.CaptureFixture[str],
) -> None:
    life = Life(Platter())
    life.rewire(OLD, NEW, targets="abc")
    life.send(*range(160), detour=SHARE)
    life.platter.fail()
    life.entry.advance(0.0)

    life.entry.advance(ENTRY_RETRY_S)
    life.platter.write()
    life.entry.advance(ENTRY_RETRY_S)

    assert life.waiting("c") == in_share(160)
    assert "has room on its disk again" in capsys.readouterr().err


# -- sources -----------------------------------------------------------------------------------------------------------


def test_a_source_counts_for_itself_and_its_holes_are_settled() -> None:
    life = Life(Platter())
    life.entry.send_records(MAIN, [packer()("three"), packer()("five")], 5, [3, 5], Mark(3, 77))
    life.platter.write()
    life.entry.advance(0.0)

    assert [list(segment.positions) for segment in life.segments()] == [[3, 5], [3, 5]]
    assert (life.account.mark_position, life.account.mark_offset) == (3, 77)
    life.settle()
    assert (life.entry.floor, life.entry.next, life.account.received) == (6, 6, 2)
