"""Both ends of a session: nothing is lost unseen, nothing counts twice, and what is told are totals."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from streamer.errors import PeerError
from streamer.limits import CONTROL_FRAME_BYTES_MAX, PARTIAL_ACK_AGE_S, STATUS_RANGES_MAX
from streamer.protocol.account import EdgeCounts
from streamer.protocol.chunk import OutFrame
from streamer.protocol.credit import Pace
from streamer.protocol.edge import Edge
from streamer.protocol.frames import (
    Data,
    Kind,
    Parts,
    Status,
    decode_data,
    decode_short,
    decode_status,
    encode_status,
    kind_of,
)
from streamer.protocol.input_frame import InputFrame
from streamer.protocol.session import (
    CONSUMER_TABLE,
    PRODUCER_TABLE,
    Due,
    Event,
    ReceivingSession,
    SendingSession,
    State,
)
from tests.protocol.messages import chunk, data, numbers_of

UNBOUNDED = 1 << 62


class Waiting:
    """A parent that counts what it is told."""

    def __init__(self) -> None:
        self.settled = 0

    def settle(self, count: int) -> None:
        self.settled += count


def nobody(count: int) -> None:
    """Hears of settled frames, and does nothing about it."""
    assert count > 0


def producer(messages: int = 0, parent: Waiting | None = None) -> SendingSession:
    edge = Edge(EdgeCounts("save"))
    if messages:
        edge.append(chunk(range(messages), parent))
    return SendingSession(1, edge, "save-0", 1, b"route", 0.0)


def consumer() -> ReceivingSession:
    return ReceivingSession(1, "parse", False, nobody)


def send(session: SendingSession, messages: int) -> Parts:
    frame = session.edge.cut(messages)
    assert frame is not None
    return session.send(frame)


def status(**facts: int | tuple[int, ...] | tuple[tuple[int, tuple[int, ...]], ...]) -> Status:
    zero = {"granted_messages": 0, "granted_bytes": 0, "received": 0, "floor": 1, "settled": 0, "dead": 0}
    return Status(1, **{**zero, **facts})  # type: ignore[arg-type]  # the facts of a test are those of a status


def handle(frame: InputFrame, dead: Iterable[int] = ()) -> None:
    frame.dead = list(dead)
    frame.done()
    frame.settle(1)


# -- tables ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", [CONSUMER_TABLE, PRODUCER_TABLE])
def test_every_open_state_knows_every_event_and_a_closed_one_only_that_it_is_closed(
    table: dict[State, dict[Event, State]],
) -> None:
    assert table.pop(State.CLOSED) == {Event.CLOSE: State.CLOSED}
    try:
        for follows in table.values():
            assert set(follows) == set(Event)
            assert set(follows.values()) <= {*table, State.CLOSED}
            assert follows[Event.CLOSE] is State.CLOSED
    finally:
        table[State.CLOSED] = {Event.CLOSE: State.CLOSED}


def test_an_event_that_a_state_does_not_know_is_told_with_both_names() -> None:
    session = producer()
    session.close()
    with pytest.raises(PeerError, match="a session that is closed cannot take the event heard"):
        session.hear(status(), 0.0)


# -- the consumer ------------------------------------------------------------------------------------------------------


def test_frames_are_accepted_in_their_order_and_those_seen_before_are_ignored() -> None:
    session = consumer()
    first = session.accept(data(1, ["a"]), 0.0)
    assert first is not None
    assert session.state is State.OPEN
    assert session.accept(data(1, ["a"]), 0.0) is None
    assert session.accept(data(2, ["b"]), 0.0) is not None
    assert session.accept(data(1, ["a"]), 0.0) is None
    assert (session.received, session.closed) == (2, False)


def test_a_gap_ends_the_session_and_what_came_before_it_is_still_handled() -> None:
    session = consumer()
    first = session.accept(data(1, ["a"]), 0.0)
    assert session.accept(data(3, ["c"]), 0.0) is None
    assert session.closed
    assert first is not None
    handle(first)
    assert session.frames == {}


def test_a_gap_before_the_end_ends_the_session_too() -> None:
    session = consumer()
    session.accept(data(1, ["a"]), 0.0)
    session.end(3)
    assert session.closed
    assert not session.end_seen


def test_the_end_counts_as_a_settled_frame_once_it_was_seen() -> None:
    session = consumer()
    frame = session.accept(data(1, ["a"]), 0.0)
    session.end(2)
    session.end(2)
    assert session.end_seen
    assert session.status().ranges == [2, 3]
    assert frame is not None
    handle(frame)
    assert (session.status().floor, session.status().end_seen) == (3, True)


def test_a_frame_is_settled_when_it_is_handled_and_all_that_was_sent_for_it_is_settled() -> None:
    session = consumer()
    frame = session.accept(data(1, ["a", "b"]), 0.0)
    assert frame is not None
    frame.open += 3
    handle(frame)
    frame.settle(2)
    assert session.status().floor == 1
    frame.settle(1)
    assert (session.status().floor, session.status().settled) == (2, 2)


def test_a_status_is_worth_sending_at_a_quarter_window_and_less_once_nothing_else_is_to_be_done() -> None:
    session, pace = consumer(), Pace()
    pace.handled(1, 0.05 / 100)
    for sequence in range(1, 6):
        session.renew(pace, 1, UNBOUNDED, UNBOUNDED)
        frame = session.accept(data(sequence, range(20)), 0.0)
        assert frame is not None
        handle(frame)
        session.window.handled(frame.count, frame.size)
    session.renew(pace, 1, UNBOUNDED, UNBOUNDED)
    assert session.due() is Due.NOW
    session.status()
    assert session.due() is Due.NOTHING
    frame = session.accept(data(6, [1]), 0.0)
    assert frame is not None
    handle(frame)
    assert session.due() is Due.SOON


def test_the_end_is_acknowledged_at_once() -> None:
    session = consumer()
    session.status()
    session.end(1)
    assert session.due() is Due.NOW
    session.status()
    assert session.due() is Due.NOTHING


def test_frames_become_old_after_a_while() -> None:
    session = consumer()
    frame = session.accept(data(1, ["a"]), 10.0)
    assert session.old(10.0 + PARTIAL_ACK_AGE_S) == []
    assert session.old(10.1 + PARTIAL_ACK_AGE_S) == [frame]


def test_of_an_old_frame_the_messages_that_are_settled_are_told() -> None:
    session = consumer()
    frame = session.accept(data(1, range(6)), 0.0)
    assert frame is not None
    frame.open += 2
    handle(frame, dead=[0])
    told = session.status({frame: {2, 3}})
    assert told.partials == ((1, (0, 2, 4, 6)),)
    assert (told.settled, told.dead) == (3, 1)
    assert session.status().partials == ()


def test_what_was_told_of_an_old_frame_is_not_taken_back() -> None:
    # A status without partials follows one with them, and the numbers are totals of all that was ever told.
    session = consumer()
    frame = session.accept(data(1, range(6)), 0.0)
    assert frame is not None
    frame.open += 1
    handle(frame, dead=[0, 5])
    assert [session.status(old).dead for old in ({frame: {2, 5}}, {}, {frame: {2}}, {})] == [1, 1, 2, 2]
    frame.settle(1)
    last = session.status()
    assert (last.settled, last.dead, last.floor) == (4, 2, 2)


def test_however_much_settles_out_of_order_a_status_keeps_its_limit() -> None:
    session = consumer()
    frames = [session.accept(data(n, [n]), 0.0) for n in range(1, 3 * STATUS_RANGES_MAX)]
    for frame in frames[1::2]:
        assert frame is not None
        handle(frame)
    told = session.status()
    assert len(told.ranges) == 2 * STATUS_RANGES_MAX
    assert all(len(part) <= CONTROL_FRAME_BYTES_MAX for part in encode_status(told))
    for frame in frames[::2]:
        assert frame is not None
        handle(frame)
    assert session.status().floor == 3 * STATUS_RANGES_MAX


# -- the producer ------------------------------------------------------------------------------------------------------


def test_frames_are_numbered_from_one_without_a_gap() -> None:
    session = producer(10)
    assert [decode_data(send(session, 3)).sequence for _ in range(4)] == [1, 2, 3, 4]


def test_a_frame_settles_when_it_is_acknowledged_by_floor_by_range_or_part_by_part() -> None:
    parent = Waiting()
    session = producer(9, parent)
    for _ in range(3):
        send(session, 3)
    session.hear(status(received=3, floor=2), 0.0)
    assert parent.settled == 3
    session.hear(status(received=3, floor=2, ranges=(3, 4)), 0.0)
    assert parent.settled == 6
    session.hear(status(received=3, floor=2, ranges=(3, 4), partials=((2, (1, 2)),)), 0.0)
    assert parent.settled == 7
    session.hear(status(received=3, floor=4), 0.0)
    assert parent.settled == 9
    assert session.edge.idle
    assert (session.edge.counts.settled, session.edge.counts.balanced) == (9, True)


def test_dead_letters_are_counted_apart_and_once() -> None:
    session = producer(6)
    send(session, 3)
    send(session, 3)
    for heard in (status(received=2, floor=2, dead=1, settled=2), status(received=2, floor=3, dead=3, settled=3)):
        session.hear(heard, 0.0)
        session.hear(heard, 0.0)
    assert (session.edge.counts.settled, session.edge.counts.dead_lettered) == (3, 3)


def test_messages_that_their_handlers_node_drops_are_counted_by_that_reason_and_once() -> None:
    session = producer(6)
    send(session, 3)
    send(session, 3)
    for heard in (
        status(received=2, floor=2, dead=1, dropped=1, settled=1),
        status(received=2, floor=3, dead=1, dropped=3, settled=2),
    ):
        session.hear(heard, 0.0)
        session.hear(heard, 0.0)
    counts = session.edge.counts
    assert (counts.settled, counts.dead_lettered, counts.dropped, counts.balanced) == (2, 1, {"handler": 3}, True)


def test_a_status_for_frames_that_were_never_sent_is_refused_and_changes_nothing() -> None:
    session = producer(3)
    send(session, 3)
    with pytest.raises(PeerError, match="acknowledges frame 2 of 1"):
        session.hear(status(received=2, floor=3, granted_messages=9), 0.0)
    assert session.edge.flying_messages == 3
    assert session.grant.messages == 0


def test_ranges_far_beyond_what_was_sent_settle_what_was_sent() -> None:
    session = producer(3)
    send(session, 3)
    session.hear(status(received=1, floor=0, ranges=(0, 1 << 62)), 0.0)
    assert session.edge.idle


def test_the_end_is_numbered_once_and_may_be_told_again() -> None:
    session = producer(3)
    send(session, 3)
    assert [decode_short(session.end()) for _ in range(2)] == [2, 2]
    assert session.state is State.ENDING


def test_a_new_connection_gets_exactly_what_it_missed() -> None:
    session = producer(9)
    for _ in range(3):
        send(session, 3)
    session.hear(status(received=1, floor=2), 0.0)
    missed = list(session.missed(1))
    assert [decode_data(parts).sequence for parts in missed] == [2, 3]
    assert [numbers_of(parts) for parts in missed] == [[3, 4, 5], [6, 7, 8]]


def test_a_new_connection_that_missed_the_end_gets_the_end() -> None:
    session = producer(3)
    send(session, 3)
    session.end()
    assert [kind_of(parts) for parts in session.missed(0)] == [Kind.DATA, Kind.END]
    assert [kind_of(parts) for parts in session.missed(1)] == [Kind.END]
    assert list(session.missed(2)) == []


def test_what_a_closed_session_held_is_for_others() -> None:
    session = producer(4)
    send(session, 2)
    send(session, 2)
    session.hear(status(received=2, floor=2), 0.0)
    session.close()
    other = SendingSession(2, session.edge, "save-1", 1, b"other", 0.0)
    assert numbers_of(send(other, 9)) == [2, 3]
    assert session.edge.counts.balanced


def test_a_frame_sent_at_most_once_is_not_kept() -> None:
    session = producer(3)
    frame = session.edge.cut(3)
    assert frame is not None
    session.send_unkept(frame)
    assert session.edge.idle
    assert list(session.missed(0)) == []


# -- any network -------------------------------------------------------------------------------------------------------


class AnyNetwork(RuleBasedStateMachine):
    """A producer and a consumer; what travels may be late, lost with its connection, or come to a new connection.

    Within one connection nothing is lost or overtaken; statuses of an old connection may come late.
    """

    def __init__(self) -> None:
        super().__init__()
        self.edge = Edge(EdgeCounts("save"))
        self.sent = 0
        self.number = 0
        self.now = 0.0
        self.delivered: list[int] = []
        self.working: list[InputFrame] = []
        self.handled: set[int] = set()
        self.letters = 0

    @initialize()
    def open(self) -> None:
        self.number += 1
        self.producer = SendingSession(self.number, self.edge, "save-0", 1, b"route", 0.0)
        self.consumer = ReceivingSession(self.number, "parse", False, nobody)
        self.down: list[Parts] = []
        self.up: list[Parts] = []

    @rule(count=st.integers(1, 5))
    def append(self, count: int) -> None:
        self.edge.append(chunk(range(self.sent, self.sent + count)))
        self.sent += count

    @rule(messages=st.integers(1, 4))
    def fly(self, messages: int) -> None:
        frame = self.edge.cut(messages) if self.producer.state is State.OPEN else None
        if frame is not None:
            self.down.append(self.producer.send(frame))

    @precondition(lambda self: self.edge.idle)
    @rule()
    def end(self) -> None:
        self.down.append(self.producer.end())

    @precondition(lambda self: self.down)
    @rule(lost=st.sampled_from([False, False, False, True]))
    def arrive(self, lost: bool) -> None:
        parts = self.down.pop(0)
        if lost or self.consumer.closed:
            return
        if kind_of(parts) is Kind.END:
            self.consumer.end(decode_short(parts))
        else:
            frame = self.consumer.accept(decode_data(parts), self.now)
            if frame is not None:
                self.delivered += [p for s in frame.segments for p in s.positions]
                self.working.append(frame)

    @precondition(lambda self: self.working)
    @rule(data=st.data(), children=st.integers(0, 3))
    def handle(self, data: st.DataObject, children: int) -> None:
        """Handle a frame; some of its messages die, and some wait for children."""
        fresh = [f for f in self.working if not f.handled]
        if fresh:
            frame = fresh[0]
            frame.open += children
            frame.dead = sorted(data.draw(st.sets(st.integers(0, frame.count - 1), max_size=2)))
            self.letters += len(frame.dead)
            frame.done()
            self.settle_one(frame)

    @precondition(lambda self: any(f.handled for f in self.working))
    @rule(data=st.data())
    def settle_child(self, data: st.DataObject) -> None:
        self.settle_one(data.draw(st.sampled_from([f for f in self.working if f.handled])))

    def settle_one(self, frame: InputFrame) -> None:
        frame.settle(1)
        if not frame.open:
            self.working.remove(frame)

    @rule(old=st.booleans())
    def tell(self, old: bool) -> None:
        if not self.consumer.closed:
            self.up.append(encode_status(self.consumer.status(self.unsettled() if old else {})))

    def unsettled(self) -> dict[InputFrame, set[int]]:
        """The first children of a frame belong to its last messages."""
        return {
            f: set(range(f.count)) if not f.handled else set(range(max(0, f.count - f.open), f.count))
            for f in self.working
        }

    @precondition(lambda self: self.up)
    @rule(lost=st.sampled_from([False, False, True]), again=st.booleans())
    def hear(self, lost: bool, again: bool) -> None:
        parts = self.up.pop(0)
        if not lost:
            for _ in range(1 + again):
                self.producer.hear(decode_status(parts), self.now)

    @rule()
    def reconnect(self) -> None:
        """What was on its way is lost; the consumer tells where it stands, and gets what it missed."""
        self.up, self.down = [], []
        if not self.consumer.closed:
            told = self.consumer.status()
            self.down = list(self.producer.missed(told.received))
            self.producer.hear(told, self.now)

    @precondition(lambda self: self.consumer.closed)
    @rule()
    def open_again(self) -> None:
        self.close_and_open()

    @rule(chance=st.sampled_from([True, False, False, False]))
    def die(self, chance: bool) -> None:
        if chance:
            self.close_and_open()

    def close_and_open(self) -> None:
        self.producer.close()
        self.open()

    @invariant()
    def the_account_is_balanced_and_no_term_is_negative(self) -> None:
        c = self.edge.counts
        assert c.balanced
        assert min(c.sent, c.settled, c.dead_lettered, c.in_flight) >= 0
        assert c.sent == self.sent
        assert c.in_flight == self.edge.pending_messages + self.edge.flying_messages

    def teardown(self) -> None:
        """In the end, with a network that keeps still, everything is settled and every letter is told."""
        if not self.number:
            return
        self.close_and_open() if self.consumer.closed or self.producer.state is State.ENDING else self.reconnect()
        before = self.letters - self.edge.counts.dead_lettered if self.number == 1 else None
        for _ in range(self.sent + 2):
            self.fly(4)
            while self.down:
                self.arrive(lost=False)
            for frame in list(self.working):
                if not frame.handled:
                    frame.done()
                    frame.settle(1)
                if frame.open:
                    frame.settle(frame.open)
                self.working.remove(frame)
            self.producer.hear(self.consumer.status(), self.now)
        assert self.edge.idle
        assert set(self.delivered) == set(range(self.sent))
        assert self.edge.counts.settled + self.edge.counts.dead_lettered == self.sent
        if before is not None:
            assert self.edge.counts.dead_lettered == self.letters


TestAnyNetwork = AnyNetwork.TestCase
TestAnyNetwork.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=8), st.data())
def test_statuses_that_are_lost_repeated_or_late_come_to_the_same_account(
    sizes: list[int], data: st.DataObject
) -> None:
    session, receiver = producer(sum(sizes)), consumer()
    frames = []
    for size in sizes:
        frame = receiver.accept(decode_data(send(session, size)), 0.0)
        assert frame is not None
        frames.append(frame)
    told = [receiver.status()]
    dead = 0
    for frame in data.draw(st.permutations(frames)):
        letters = data.draw(st.sets(st.integers(0, frame.count - 1)))
        dead += len(letters)
        handle(frame, dead=letters)
        told.append(receiver.status())
    for index in data.draw(st.lists(st.integers(0, len(told) - 1), max_size=20)):
        session.hear(told[index], 0.0)
        assert session.edge.counts.balanced
    session.hear(told[-1], 0.0)
    assert session.edge.idle
    assert (session.edge.counts.dead_lettered, session.edge.counts.settled) == (dead, sum(sizes) - dead)


def test_a_data_frame_is_what_the_consumer_gets() -> None:
    session = producer(2)
    frame = session.edge.cut(2)
    assert isinstance(frame, OutFrame)
    found = decode_data(session.send(frame))
    assert isinstance(found, Data)
    assert found.count == 2
