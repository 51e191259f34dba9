"""The producing end of an edge: each message is in one place, is sent until it is settled, and is accounted for."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from streamer.limits import (
    CRASH_ATTEMPTS_MAX,
    ENDED_SESSIONS_KEPT,
    FRAME_BYTES_MAX,
    FRAME_MESSAGES_MAX,
    MESSAGE_OVERHEAD_BYTES,
)
from streamer.protocol.account import EdgeCounts
from streamer.protocol.chunk import Chunk, OutFrame
from streamer.protocol.codec import unpack
from streamer.protocol.edge import Edge
from streamer.protocol.frames import decode_data
from tests.protocol.messages import chunk, numbers_of


class Waiting:
    """A parent that counts what it is told."""

    def __init__(self) -> None:
        self.settled = 0

    def settle(self, count: int) -> None:
        self.settled += count


def edge_of(*chunks: Chunk) -> Edge:
    edge = Edge(EdgeCounts("save"))
    for each in chunks:
        edge.append(each)
    return edge


def send(edge: Edge, messages: int = FRAME_MESSAGES_MAX, sequence: int = 1) -> OutFrame:
    frame = edge.cut(messages)
    assert frame is not None
    frame.sequence = sequence
    edge.fly(frame)
    return frame


def numbers(of: OutFrame | Sequence[Chunk]) -> list[int]:
    chunks = of.chunks if isinstance(of, OutFrame) else of
    return [position for each in chunks for position in each.segment.positions]


# -- frames ------------------------------------------------------------------------------------------------------------


def test_messages_leave_in_the_order_in_which_they_were_sent() -> None:
    edge = edge_of(chunk(range(3)), chunk(range(3, 8)), chunk(range(8, 9)))
    assert numbers(send(edge, 4)) == [0, 1, 2, 3]
    assert numbers(send(edge, 4)) == [4, 5, 6, 7]
    assert numbers(send(edge, 4)) == [8]
    assert edge.cut(4) is None


def test_a_frame_is_cut_at_its_bytes() -> None:
    edge = edge_of(chunk(range(10), size=FRAME_BYTES_MAX // 3))
    assert len(numbers(send(edge))) == 2


def test_a_message_larger_than_a_frame_travels_alone() -> None:
    edge = edge_of(chunk([1]), chunk([2], size=3 * FRAME_BYTES_MAX), chunk([3]))
    assert [numbers(send(edge)) for _ in range(3)] == [[1], [2], [3]]


def test_a_chunk_is_not_cut_to_fill_the_rest_of_a_frame_that_is_half_full() -> None:
    size = FRAME_BYTES_MAX // 10
    edge = edge_of(chunk(range(6), size=size), chunk(range(6, 12), size=size), chunk(range(12, 14), size=size))
    assert [len(numbers(send(edge))) for _ in range(2)] == [6, 8]


def test_a_chunk_is_cut_to_fill_a_frame_that_is_nearly_empty() -> None:
    size = FRAME_BYTES_MAX // 10
    edge = edge_of(chunk(range(1), size=size), chunk(range(1, 13), size=size))
    assert len(numbers(send(edge))) == 9


def test_messages_that_were_sent_before_do_not_share_a_frame_with_others() -> None:
    edge = edge_of(chunk(range(4)))
    frame = send(edge, 2)
    edge.requeue(1, [frame])
    first, second = send(edge), send(edge)
    assert (numbers(first), numbers(second)) == ([0, 1], [2, 3])
    assert decode_data(first.encode()).redelivered
    assert not decode_data(second.encode()).redelivered
    assert edge.counts.redelivered == 2


def test_neighbours_that_differ_in_position_only_are_told_as_one_segment() -> None:
    frame = send(edge_of(chunk(range(3)), chunk(range(3, 6)), chunk([9])))
    data = decode_data(frame.encode())
    assert [list(s.positions) for s in data.segments] == [[0, 1, 2, 3, 4, 5], [9]]
    assert unpack(data.body) == [0, 1, 2, 3, 4, 5, 9]


def test_what_is_held_is_counted_in_real_bytes() -> None:
    edge = edge_of(chunk(range(10), size=1000))
    packed = 10 * 1003
    assert edge.queued_bytes == edge.held_bytes == packed + 10 * MESSAGE_OVERHEAD_BYTES
    frame = send(edge)
    assert edge.queued_bytes == 0
    assert edge.held_bytes == packed + 10 * MESSAGE_OVERHEAD_BYTES
    edge.settle(frame)
    assert edge.held_bytes == 0
    assert edge.idle


# -- settlement --------------------------------------------------------------------------------------------------------


def test_a_parent_hears_of_each_message_once() -> None:
    parent = Waiting()
    edge = edge_of(chunk(range(5), parent))
    frame = send(edge)
    assert edge.settle_partly(frame, [0, 2, 4, 5]) == 3
    assert edge.settle_partly(frame, [0, 3]) == 1
    assert parent.settled == 4
    assert edge.settle(frame) == 1
    assert parent.settled == 5


def test_a_frame_that_was_settled_part_by_part_is_not_settled_twice() -> None:
    parent = Waiting()
    edge = edge_of(chunk(range(5), parent))
    frame = send(edge)
    assert edge.settle_partly(frame, [0, 5]) == 5
    assert edge.settle_partly(frame, [0, 5]) == 0
    assert edge.settle(frame) == 0
    assert parent.settled == 5
    assert edge.idle


def test_parts_beyond_the_frame_settle_nothing() -> None:
    frame = send(edge := edge_of(chunk(range(5))))
    assert edge.settle_partly(frame, [3, 99, 7, 9, 4, 2]) == 2


def test_settled_records_of_a_source_are_kept_by_position() -> None:
    edge = Edge(EdgeCounts("parse"))
    edge.append(chunk([0, 1, 4, 5]))
    edge.settle(send(edge))
    assert (edge.counts.roots.floor, edge.counts.roots.ranges) == (2, [4, 6])


def test_messages_that_are_delivered_at_most_once_count_as_settled_when_they_leave() -> None:
    parent = Waiting()
    edge = edge_of(chunk(range(5), parent))
    frame = edge.cut(5)
    assert frame is not None
    edge.forget(frame)
    assert (edge.counts.sent, edge.counts.in_flight, parent.settled) == (5, 0, 5)
    assert edge.counts.balanced


def test_the_unsettled_children_of_a_frame_are_found_wherever_they_are() -> None:
    first, second, other = Waiting(), Waiting(), Waiting()
    edge = edge_of(chunk(range(4), first), chunk(range(4, 8), other), chunk(range(8, 12), second))
    frame = send(edge, 6)
    edge.settle_partly(frame, [0, 2])
    assert sorted(i for p, i in edge.unsettled_of({first, second}) if p is first) == [2, 3]
    assert sorted(i for p, i in edge.unsettled_of({first, second}) if p is second) == [0, 1, 2, 3]


# -- deaths ------------------------------------------------------------------------------------------------------------


def die(edge: Edge, session: int, frame: OutFrame, index: int) -> None:
    """The instance that had the frame died with this message of it in hand."""
    edge.requeue(session, [frame])
    assert edge.accuse(session, frame.sequence, index, 0.0)


def test_what_an_ended_session_held_goes_first_and_in_order() -> None:
    edge = edge_of(chunk(range(6)))
    first, second = send(edge, 2, sequence=1), send(edge, 2, sequence=2)
    edge.settle_partly(first, [0, 1])
    edge.requeue(1, [first, second])
    assert numbers(send(edge)) == [1, 2, 3]
    assert numbers(send(edge)) == [4, 5]


def test_a_message_that_was_in_hand_at_a_death_travels_alone() -> None:
    edge = edge_of(chunk(range(6)))
    die(edge, 1, send(edge, 6), 3)
    assert [numbers(send(edge)) for _ in range(3)] == [[0, 1, 2], [3], [4, 5]]


def test_it_travels_alone_also_where_it_is_a_chunk_of_its_own() -> None:
    edge = edge_of(chunk([0]), chunk([1]), chunk([2]))
    die(edge, 1, send(edge, 3), 1)
    assert [numbers(send(edge)) for _ in range(3)] == [[0], [1], [2]]


def test_a_message_in_hand_at_three_deaths_is_taken_out_and_its_neighbours_are_not() -> None:
    edge = edge_of(chunk(range(5)))
    die(edge, 1, send(edge, 5), 2)
    for session in range(2, CRASH_ATTEMPTS_MAX + 1):
        assert edge.take_poison() == []
        frames = [send(edge, sequence=n + 1) for n in range(3)]
        edge.requeue(session, frames)
        assert edge.accuse(session, 2, 0, 0.0)
    (taken,) = edge.take_poison()
    assert numbers([taken]) == [2]
    edge.bury(taken)
    assert (edge.counts.dead_lettered, edge.pending_messages) == (1, 4)
    assert edge.counts.balanced
    assert numbers(send(edge)) == [0, 1, 3, 4]


def test_deaths_in_hand_of_one_message_do_not_count_for_another() -> None:
    edge = edge_of(chunk(range(2 * CRASH_ATTEMPTS_MAX)))
    for session in range(1, 2 * CRASH_ATTEMPTS_MAX):
        frames: list[OutFrame] = []
        while (frame := edge.cut(FRAME_MESSAGES_MAX)) is not None:
            frame.sequence = len(frames) + 1
            edge.fly(frame)
            frames.append(frame)
        edge.requeue(session, frames)
        wanted = next(f for f in frames if session - 1 in numbers(f))
        assert edge.accuse(session, wanted.sequence, numbers(wanted).index(session - 1), 0.0)
        assert edge.take_poison() == []


def test_an_accusation_that_nobody_understands_is_no_accusation() -> None:
    edge = edge_of(chunk(range(3)))
    edge.requeue(7, [send(edge, 3, sequence=4)])
    assert not edge.accuse(8, 4, 0, 0.0)
    assert not edge.accuse(7, 5, 0, 0.0)
    assert not edge.accuse(7, 4, 3, 0.0)


def test_only_so_many_ended_sessions_are_remembered() -> None:
    edge = edge_of(chunk([0]))
    for session in range(ENDED_SESSIONS_KEPT + 1):
        edge.requeue(session, [send(edge)])
    assert not edge.accuse(0, 1, 0, 0.0)
    assert edge.accuse(1, 1, 0, 0.0)


def test_only_so_many_suspects_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamer.protocol.suspects.CRASH_SUSPECTS_MAX", 100)
    edge = edge_of(chunk(range(101)))
    frames: list[OutFrame] = []
    while (frame := edge.cut(1)) is not None:
        frame.sequence = len(frames) + 1
        edge.fly(frame)
        frames.append(frame)
    edge.requeue(1, frames)
    for _ in range(CRASH_ATTEMPTS_MAX - 1):
        edge.accuse(1, 1, 0, 0.0)
    for sequence in range(2, 102):
        edge.accuse(1, sequence, 0, 0.0)
    edge.accuse(1, 1, 0, 0.0)
    assert edge.take_poison() == []


# -- drops -------------------------------------------------------------------------------------------------------------


def test_the_oldest_that_wait_are_dropped_and_counted_by_reason() -> None:
    parent = Waiting()
    edge = edge_of(chunk(range(4), parent), chunk(range(4, 8)))
    assert edge.drop_oldest(5, "reset") == 5
    assert (edge.counts.dropped, parent.settled) == ({"reset": 5}, 4)
    assert numbers(send(edge)) == [5, 6, 7]
    assert edge.drop_oldest(5, "reset") == 0


def test_a_queue_is_dropped_down_to_its_bytes_and_keeps_the_newest() -> None:
    edge = edge_of(*(chunk([n], size=1000) for n in range(10)))
    edge.drop_to(2 * (1003 + MESSAGE_OVERHEAD_BYTES), "drop-oldest")
    assert numbers(send(edge)) == [8, 9]
    edge.append(chunk([10], size=9000))
    edge.drop_to(100, "drop-oldest")
    assert numbers(send(edge)) == [10]


def test_the_newest_is_dropped_as_if_it_had_never_waited() -> None:
    edge = edge_of(chunk([0]))
    newest = chunk([1, 2], parent := Waiting())
    edge.append(newest)
    edge.drop_newest(newest, "error")
    assert (edge.counts.dropped, edge.pending_messages, parent.settled) == ({"error": 2}, 1, 2)
    assert edge.counts.balanced


# -- any story ---------------------------------------------------------------------------------------------------------


class AnyStory(RuleBasedStateMachine):
    """An edge beside a plain model: where each message is, by its number, and the order in which they wait."""

    def __init__(self) -> None:
        super().__init__()
        self.parents: list[Waiting] = []
        self.parent_of: dict[int, Waiting | None] = {}
        self.edge = Edge(EdgeCounts("save"))
        self.numbers = 0
        self.session = 0
        self.waiting: list[int] = []
        self.size_of: dict[int, int] = {}
        self.over: set[int] = set()
        self.flying: list[OutFrame] = []
        self.suspects: dict[int, int] = {}
        self.appended: Chunk | None = None

    # -- deeds

    @rule(count=st.integers(1, 6), size=st.sampled_from([0, 0, 0, 40_000, 100_000]), rooted=st.booleans())
    def append(self, count: int, size: int, rooted: bool) -> None:
        parent = None if rooted else Waiting()
        fresh = range(self.numbers, self.numbers + count)
        self.numbers += count
        self.appended = chunk(fresh, parent, size=size)
        self.edge.append(self.appended)
        self.waiting += fresh
        for n, blob in zip(fresh, self.appended.blobs, strict=True):
            self.parent_of[n] = parent
            self.size_of[n] = len(blob)

    @rule(messages=st.integers(1, 8))
    def fly(self, messages: int) -> None:
        self.appended = None
        frame = self.edge.cut(messages)
        assert (frame is None) == (not self.waiting)
        if frame is not None:
            sent = numbers(frame)
            assert sent == self.take(len(sent))
            assert frame.count == len(sent) <= messages
            if set(sent) & self.suspects.keys():
                assert len(sent) == 1
            frame.sequence = len(self.flying) + 1
            self.edge.fly(frame)
            assert numbers_of(frame.encode()) == sent
            self.flying.append(frame)

    def take(self, count: int) -> list[int]:
        taken, self.waiting = self.waiting[:count], self.waiting[count:]
        return taken

    @rule(messages=st.integers(1, 8))
    def send_at_most_once(self, messages: int) -> None:
        self.appended = None
        frame = self.edge.cut(messages)
        if frame is not None:
            self.edge.forget(frame)
            assert numbers(frame) == self.take(frame.count)
            self.over |= set(numbers(frame))

    @precondition(lambda self: self.flying)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        frame = self.flying.pop(data.draw(st.integers(0, len(self.flying) - 1)))
        fresh = set(numbers(frame)) - self.over
        self.told(self.edge.settle(frame), fresh)

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), flat=st.lists(st.integers(0, 9), max_size=6))
    def settle_partly(self, data: st.DataObject, flat: list[int]) -> None:
        frame = self.flying[data.draw(st.integers(0, len(self.flying) - 1))]
        part = {n for a, b in zip(flat[::2], flat[1::2], strict=False) for n in numbers(frame)[a:b]}
        self.told(self.edge.settle_partly(frame, flat), part - self.over)

    def told(self, settled: int, fresh: set[int]) -> None:
        assert settled == len(fresh)
        self.edge.counts.settled += settled
        self.over |= fresh

    @precondition(lambda self: self.flying)
    @rule(data=st.data())
    def end_session(self, data: st.DataObject) -> None:
        """All that is flying was one session's; one message of it may have been in hand at a death."""
        self.appended = None
        self.session += 1
        self.edge.requeue(self.session, self.flying)
        guilty = data.draw(st.sampled_from(self.flying))
        index = data.draw(st.integers(0, 8))
        known = self.edge.accuse(self.session, guilty.sequence, index, 0.0)
        assert known == (index < guilty.count)
        if known:
            who = numbers(guilty)[index]
            self.suspects[who] = self.suspects.get(who, 0) + 1
        self.waiting = [n for frame in self.flying for n in numbers(frame) if n not in self.over] + self.waiting
        self.flying = []

    @rule()
    def bury_poison(self) -> None:
        self.appended = None
        taken = self.edge.take_poison()
        guilty = {n for n, deaths in self.suspects.items() if deaths >= CRASH_ATTEMPTS_MAX}
        assert numbers(taken) == [n for n in self.waiting if n in guilty]
        for each in taken:
            self.edge.bury(each)
        self.over |= guilty & set(self.waiting)
        self.waiting = [n for n in self.waiting if n not in guilty]

    @rule(messages=st.integers(0, 9))
    def drop_oldest(self, messages: int) -> None:
        self.appended = None
        dropped = self.take(messages)
        assert self.edge.drop_oldest(messages, "drop-oldest") == len(dropped)
        self.over |= set(dropped)

    @precondition(lambda self: self.appended is not None)
    @rule()
    def drop_newest(self) -> None:
        assert self.appended is not None
        self.edge.drop_newest(self.appended, "drop-newest")
        newest = set(numbers([self.appended]))
        self.waiting = [n for n in self.waiting if n not in newest]
        self.over |= newest
        self.appended = None

    # -- what holds at any time

    @invariant()
    def the_account_is_balanced(self) -> None:
        assert self.edge.counts.balanced
        assert self.edge.counts.sent == self.numbers

    @invariant()
    def each_message_is_in_one_place(self) -> None:
        flying = {n for frame in self.flying for n in numbers(frame)} - self.over
        assert self.edge.pending_messages == len(self.waiting)
        assert self.edge.flying_messages == len(flying)
        assert self.edge.counts.in_flight == len(self.waiting) + len(flying)
        assert set(self.waiting) | flying | self.over == set(range(self.numbers))

    @invariant()
    def bytes_are_those_of_what_is_held(self) -> None:
        assert self.edge.pending_bytes == sum(self.size_of[n] for n in self.waiting)
        assert self.edge.flying_bytes == sum(frame.size for frame in self.flying)
        assert self.edge.idle == (not self.waiting and not self.edge.flying_messages)

    @invariant()
    def parents_and_places_know_what_is_over(self) -> None:
        for parent in {p for p in self.parent_of.values() if p is not None}:
            mine = {n for n, of in self.parent_of.items() if of is parent}
            assert parent.settled == len(mine & self.over)
        roots = {n for n, of in self.parent_of.items() if of is None}
        assert {n for n in range(self.numbers) if n in self.edge.counts.roots} == roots & self.over


TestAnyStory = AnyStory.TestCase
TestAnyStory.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
