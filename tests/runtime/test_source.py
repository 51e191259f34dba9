"""A source: ids are places of records, and what is not settled, and only that, is sent again by a later life."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.connectors.base import START, BadRecord, Mark, Records
from streamer.limits import FRAME_MESSAGES_MAX, INTAKE_FLOOR, READ_AHEAD_BYTES
from streamer.plan.assignment import Assignment, Delivery, Output, Role, Wiring
from streamer.plan.routing import Route, RouteTable
from streamer.protocol.account import InstanceAccount, decode_account, encode_account
from streamer.protocol.chunk import OutFrame
from streamer.protocol.codec import unpack
from streamer.protocol.edge import Edge
from streamer.protocol.identity import MessageId
from streamer.runtime.exits import Exits
from streamer.runtime.letters import Letters
from streamer.runtime.outbox import Outbox
from streamer.runtime.source import SourceWork
from streamer.state.dead_letters import DeadLetter

ROUTES = RouteTable(
    (
        Route("main", "lines", 0, (1, 2)),
        Route("main", "parse", 0, ()),
        Route("main", "keep", 0, ()),
    ),
    "main",
)
BAD = object()
UNPACKABLE = {1, 2}


class Page:
    """A file of these records, read in batches; `BAD` ones cannot be read."""

    replayable = True
    partition = "page"

    def __init__(self, records: Sequence[object], *, batch: int = 4, replayable: bool = True) -> None:
        self.replayable = replayable
        self.opened: Mark | None = None
        self._records = records
        self._batch = batch
        self._next = 0

    @property
    def ended(self) -> bool:
        return self._next >= len(self._records)

    def open(self, mark: Mark) -> None:
        self.opened = mark
        self._next = mark.position

    def read(self, limit: int, now: float) -> Records | None:  # noqa: ARG002  # all is here at any time
        first = self._next
        self._next = min(first + min(limit, self._batch), len(self._records))
        places = range(first, self._next)
        good = [n for n in places if self._records[n] is not BAD]
        bad = tuple(BadRecord(n, f"page, line {n}", "?", "bad") for n in places if self._records[n] is BAD)
        positions = good if bad else places
        return Records(Mark(first, 10 * first), positions, [self._records[n] for n in good], bad) if places else None

    def wait_s(self, now: float) -> float | None:  # noqa: ARG002  # all is here at any time
        return 0.0

    def fileno(self) -> int | None:
        return 3

    def close(self) -> None: ...


class Life:
    """One life of a source with the edges lines >> parse and lines >> keep; `page` is what the former one left."""

    def __init__(
        self,
        source: Page,
        page: bytes = b"",
        *,
        epoch: int = 1,
        targets: Sequence[str] = ("parse", "keep"),
        drops_below: bool = False,
    ) -> None:
        self.account = decode_account(page) if page else InstanceAccount()
        self.account.recover()
        self.letters: list[DeadLetter] = []
        assignment = Assignment(
            job="job",
            pipeline="words",
            token="secret",
            node="lines",
            instance="lines-0",
            epoch=epoch,
            role=Role.SOURCE,
            wiring=Wiring(
                1,
                (ROUTES if targets else RouteTable((), ""),),
                1,
                (),
                tuple(
                    Output(target, False, Delivery.AT_LEAST_ONCE, 1 << 26, 64, drops_below=drops_below)
                    for target in targets
                ),
            ),
            folder="",
            dead_letters="",
            control="",
        )
        exits = Exits("lines", assignment.wiring)
        letters = Letters(assignment, self, lambda: 0.0, lambda: 1_000.0, exits.position)
        self.outbox = Outbox(assignment, exits, None, self.account, letters)
        self.work = SourceWork(
            source, exits, self.outbox, self.account, letters, epoch, clock=lambda: 0.0, wall=lambda: 1_000.0
        )

    def append(self, records: Sequence[DeadLetter]) -> None:
        self.letters += records

    def read_all(self) -> Life:
        while self.work.produce(0.0):
            pass
        return self

    def edge(self, target: str) -> Edge:
        (edge,) = [edge for edge in self.outbox.edges if edge.target == target]
        assert isinstance(edge, Edge)
        return edge

    def sent(self, target: str = "parse") -> Iterator[tuple[OutFrame, int, MessageId, object]]:
        """All that waits, one message a frame: (frame, position, id, value)."""
        edge = self.edge(target)
        while (frame := edge.cut(1)) is not None:
            edge.fly(frame)
            (value,) = unpack(frame.encode()[1])
            who = frame.chunks[0].segment.id(0)
            yield frame, who.position, who, value

    def settle(self, positions: set[int], target: str = "parse") -> Life:
        edge = self.edge(target)
        for frame, position, _, _ in list(self.sent(target)):
            if position in positions:
                edge.counts.settled += edge.settle(frame)
        self.work.settled()
        return self

    @property
    def page(self) -> bytes:
        assert all(edge.counts.balanced for edge in self.outbox.edges)
        return encode_account(self.account)


NUMBERS = [f"record {n}" for n in range(20)]


def test_each_record_goes_into_each_edge_once_and_its_place_is_its_position() -> None:
    life = Life(Page(NUMBERS)).read_all()
    for target in ("parse", "keep"):
        assert [(position, value) for _, position, _, value in life.sent(target)] == list(enumerate(NUMBERS))
    assert life.account.received == 20
    assert life.work.exhausted


def test_a_record_has_the_same_id_in_every_life() -> None:
    lives = [list(Life(Page(NUMBERS, batch=batch), epoch=epoch).read_all().sent()) for batch, epoch in ((4, 1), (7, 2))]
    assert [who for _, _, who, _ in lives[0]] == [who for _, _, who, _ in lives[1]]


def test_what_cannot_be_read_again_has_new_ids_in_each_life() -> None:
    lives = [Life(Page(NUMBERS, replayable=False), epoch=epoch).read_all().sent() for epoch in (1, 2)]
    first, second = ({who for _, _, who, _ in life} for life in lives)
    assert not first & second


def test_a_later_life_reads_from_a_mark_before_all_that_is_not_settled() -> None:
    page = Life(Page(NUMBERS)).read_all().settle(set(range(9)), "parse").settle(set(range(14)), "keep").page
    source = Page(NUMBERS)
    life = Life(source, page, epoch=2).read_all()
    assert source.opened == Mark(8, 80)
    assert [position for _, position, _, _ in life.sent("parse")] == list(range(9, 20))
    assert [position for _, position, _, _ in life.sent("keep")] == list(range(14, 20))


def test_a_later_life_sends_what_was_not_settled_and_nothing_else() -> None:
    done = {0, 1, 2, 5, 6, 11, 19}
    page = Life(Page(NUMBERS)).read_all().settle(done, "parse").settle(set(range(20)), "keep").page
    life = Life(Page(NUMBERS), page, epoch=2).read_all()
    assert {position for _, position, _, _ in life.sent("parse")} == set(range(20)) - done
    assert list(life.sent("keep")) == []
    counts = life.edge("parse").counts
    assert counts.sent - counts.abandoned == life.account.received == 20


lives = st.lists(
    st.tuples(st.integers(0, 30), st.sets(st.integers(0, 29)), st.sets(st.integers(0, 29))), min_size=1, max_size=5
)


@settings(max_examples=60)
@given(st.integers(1, 30), st.integers(1, 9), lives, st.sets(st.integers(0, 29), max_size=6))
def test_whatever_is_settled_before_each_death_every_record_is_settled_once_in_the_end(
    count: int, batch: int, deaths: list[tuple[int, set[int], set[int]]], bad: set[int]
) -> None:
    records = [BAD if n in bad else n for n in range(count)]
    good = {n for n in range(count) if n not in bad}
    settled: dict[str, list[int]] = {"parse": [], "keep": []}
    page, letters = b"", 0
    for epoch, (reads, *wanted) in enumerate([*deaths, (30, good, good)], start=1):
        life = Life(Page(records, batch=batch), page, epoch=epoch)
        for _ in range(reads):
            life.work.produce(0.0)
        for target, done in zip(("parse", "keep"), wanted, strict=True):
            edge = life.edge(target)
            for frame, position, _, _ in list(life.sent(target)):
                if position in done:
                    edge.counts.settled += edge.settle(frame)
                    settled[target].append(position)
        life.work.settled()
        letters += len(life.letters)
        page = life.page
    for target, positions in settled.items():
        assert sorted(positions) == sorted(good)
        counts = life.edge(target).counts
        assert counts.balanced
        assert counts.sent - counts.abandoned == len(good)
    assert life.account.received == count
    assert letters == count - len(good)


# -- what cannot travel ------------------------------------------------------------------------------------------------


def test_a_record_that_cannot_be_read_is_a_dead_letter_with_its_place_and_counts_as_read_and_failed() -> None:
    life = Life(Page(["a", BAD, "c"])).read_all()
    (letter,) = life.letters
    assert (letter.reason, letter.error, letter.message) == ("unreadable record", "page, line 1: bad", "?")
    assert (life.account.received, life.account.failed) == (3, 1)
    assert [value for *_, value in life.sent()] == ["a", "c"]


def test_a_record_that_cannot_be_packed_is_a_dead_letter_and_harms_no_other() -> None:
    life = Life(Page(["a", UNPACKABLE, "c"])).read_all()
    (letter,) = life.letters
    assert letter.error.startswith("MessageError: a message of type set cannot be packed")
    assert (letter.reason, letter.message) == ("unpackable record", '{"$repr":"{1, 2}"}')
    assert [(position, value) for _, position, _, value in life.sent()] == [(0, "a"), (2, "c")]
    assert (life.account.received, life.account.failed) == (3, 1)


def test_bad_records_are_dead_lettered_once_over_all_lives() -> None:
    records = ["a", BAD, UNPACKABLE, "d", BAD]
    first = Life(Page(records)).read_all()
    second = Life(Page(records), first.page, epoch=2).read_all()
    assert (len(first.letters), second.letters) == (3, [])
    assert second.account.failed == 3


# -- how far it reads --------------------------------------------------------------------------------------------------


def test_a_source_that_can_read_again_keeps_only_so_much_unsettled() -> None:
    life = Life(Page(range(10_000), batch=1000))
    for _ in range(20):
        life.work.produce(0.0)
    assert life.edge("parse").pending_messages == INTAKE_FLOOR
    assert life.work.wait_s(0.0) is None
    assert life.work.descriptors() == ()
    life.settle(set(range(100)), "parse").settle(set(range(100)), "keep")
    assert life.work.wait_s(0.0) == 0.0
    assert life.work.descriptors() == (3,)
    life.work.produce(0.0)
    assert life.account.received == INTAKE_FLOOR + 100


def test_the_slowest_edge_decides_how_far_it_reads() -> None:
    life = Life(Page(range(10_000), batch=1000))
    for _ in range(20):
        life.work.produce(0.0)
    life.settle(set(range(1000)), "parse")
    life.work.produce(0.0)
    assert life.account.received == INTAKE_FLOOR


def test_a_source_does_not_wait_for_what_may_be_dropped_further_on() -> None:
    life = Life(Page(range(10_000), batch=1000), drops_below=True).read_all()
    assert life.account.received == 10_000


def test_a_source_reads_only_so_many_bytes_ahead() -> None:
    record = bytes(READ_AHEAD_BYTES // 8)
    life = Life(Page([record] * 100, batch=1, replayable=False))
    for _ in range(100):
        life.work.produce(0.0)
    assert 8 <= life.account.received <= 9


def test_what_cannot_be_read_again_is_read_a_frame_at_a_time() -> None:
    life = Life(Page(range(2_000), batch=5_000, replayable=False))
    life.work.produce(0.0)
    assert life.account.received == FRAME_MESSAGES_MAX


def test_a_drained_source_reads_no_more_and_is_done() -> None:
    source = Page(NUMBERS)
    life = Life(source)
    life.work.produce(0.0)
    life.work.drain()
    assert not life.work.produce(0.0)
    assert life.work.exhausted
    assert life.work.finish(0.0)
    assert life.account.received == 4


def test_a_source_without_an_edge_reads_to_its_end_and_sends_nothing() -> None:
    life = Life(Page(NUMBERS), targets=()).read_all()
    assert life.account.received == 20
    assert life.work.exhausted


def test_a_first_life_begins_at_the_start() -> None:
    source = Page(NUMBERS)
    Life(source)
    assert source.opened == START
