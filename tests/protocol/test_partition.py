"""An edge into a partitioned node: each key waits for its owner, in order, whoever that comes to be."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from streamer.limits import CRASH_ATTEMPTS_MAX, FRAME_MESSAGES_MAX, LARGE_BYTES
from streamer.protocol.account import EdgeCounts
from streamer.protocol.chunk import Chunk, OutFrame, Parent, joined
from streamer.protocol.codec import Joined, pack_large, packer, unpack
from streamer.protocol.edge import Edge
from streamer.protocol.frames import decode_data
from streamer.protocol.keys import KeyPath, group_of, owner_of
from streamer.protocol.partition import PartitionedEdge
from tests.protocol.messages import BAD, blobs, segment

KEYS = ["ann", "bob", "cid", "dot", "eve"]
OWNERS = 2
FIRST = [key for key in KEYS if owner_of(group_of(key), OWNERS) == 0]
SECOND = [key for key in KEYS if owner_of(group_of(key), OWNERS) == 1]


class Waiting:
    """A parent that counts what it is told."""

    def __init__(self) -> None:
        self.settled = 0

    def settle(self, count: int) -> None:
        self.settled += count


def chunk(values: Sequence[object], first: int = 0, parent: Parent | None = None, *, whole: bool = True) -> Chunk:
    """Messages at the positions from `first` on; `whole`: in one body, as most of them are."""
    packed, size = joined(blobs(values))
    if not whole:
        packed = list(packed)
    return Chunk(packed, segment(range(first, first + len(values))), parent, range(len(values)) if parent else (), size)


def people(*keys: str) -> list[object]:
    return [{"name": key} for key in keys]


def edge_of(*chunks: Chunk, owners: int = OWNERS) -> PartitionedEdge:
    edge = PartitionedEdge(EdgeCounts("save"), KeyPath("name"))
    edge.divide(owners)
    for each in chunks:
        put(edge, each)
    return edge


def put(edge: PartitionedEdge, each: Chunk) -> list[tuple[str, Chunk]]:
    keyed, keyless = edge.keyed(each)
    if keyed is not None:
        edge.append(keyed)
    return keyless


def send(queue: Edge, messages: int = FRAME_MESSAGES_MAX, sequence: int = 1) -> OutFrame:
    frame = queue.cut(messages)
    assert frame is not None
    frame.sequence = sequence
    queue.fly(frame)
    return frame


def positions(frame: OutFrame) -> list[int]:
    return [position for each in frame.chunks for position in each.segment.positions]


def names(frame: OutFrame) -> list[str]:
    return [message["name"] for message in unpack(decode_data(frame.encode()).body)]


# -- keys --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("whole", [True, False])
def test_each_message_waits_for_the_owner_of_its_key(whole: bool) -> None:
    edge = edge_of(chunk(people(*KEYS, *KEYS), whole=whole))

    frames = [send(queue) for queue in edge.queues]

    assert [names(frame) for frame in frames] == [[k for k in KEYS if k in own] * 2 for own in (FIRST, SECOND)]
    assert sorted(position for frame in frames for position in positions(frame)) == list(range(10))


def test_a_message_without_its_key_comes_into_no_queue_and_says_why() -> None:
    edge = edge_of()

    keyless = put(edge, chunk([{"name": FIRST[0]}, {}, {"name": SECOND[0]}, {"name": None}, "text"]))

    assert [(why, list(part.segment.positions)) for why, part in keyless] == [
        ("no key at 'name': the message has no 'name'", [1, 4]),
        ("no key at 'name': null is no key", [3]),
    ]
    assert [positions(send(queue)) for queue in edge.queues] == [[0], [2]]


def test_a_message_that_cannot_be_read_has_no_key() -> None:
    edge = edge_of()

    keyless = put(edge, chunk([BAD, {"name": FIRST[0]}]))

    assert [list(part.segment.positions) for _, part in keyless] == [[0]]
    assert "cannot be read" in keyless[0][0]


def test_nothing_is_left_of_a_chunk_without_any_key() -> None:
    edge = edge_of()

    assert len(put(edge, chunk([1, 2]))) == 1
    assert edge.idle


def test_a_large_message_goes_by_its_key_too() -> None:
    blob = pack_large(packer(), {"name": SECOND[0], "data": bytes(LARGE_BYTES)})
    edge = edge_of(Chunk([blob], segment([0]), None, (), len(blob)))

    assert [queue.pending_messages for queue in edge.queues] == [0, 1]


def test_a_chunk_for_one_owner_stays_in_one_piece() -> None:
    edge = edge_of(chunk(people(*FIRST)))

    assert isinstance(send(edge.queues[0]).chunks[0].blobs, Joined)


# -- one account -------------------------------------------------------------------------------------------------------


def test_all_queues_share_one_account() -> None:
    parent = Waiting()
    edge = edge_of(chunk(people(*KEYS), parent=parent))

    for queue in edge.queues:
        edge.counts.settled += queue.settle(send(queue))

    assert (edge.counts.sent, edge.counts.settled, edge.counts.in_flight, parent.settled) == (5, 5, 0, 5)
    assert edge.counts.balanced
    assert edge.idle


def test_what_is_refused_or_withdrawn_can_be_buried() -> None:
    parent = Waiting()
    edge = edge_of()
    refused, withdrawn = chunk(people("x", "y"), parent=parent), chunk(people(*KEYS), parent=parent)

    edge.refuse(refused)
    edge.bury(refused)
    put(edge, withdrawn)
    edge.withdraw(withdrawn)
    edge.bury(withdrawn)

    assert (edge.counts.sent, edge.counts.dead_lettered, edge.counts.in_flight, parent.settled) == (7, 7, 0, 7)
    assert edge.idle


def test_the_fullest_queue_drops_its_oldest_messages() -> None:
    slow, fast = FIRST[0], SECOND[0]
    edge = edge_of(*(chunk(people(slow, slow), n) for n in range(0, 8, 2)), chunk(people(fast), 8))

    edge.drop_to(edge.queued_bytes - 1, "drop-oldest")

    assert positions(send(edge.queues[0])) == [2, 3, 4, 5, 6, 7]
    assert positions(send(edge.queues[1])) == [8]
    assert edge.counts.dropped == {"drop-oldest": 2}


def test_the_newest_chunk_is_dropped_from_all_queues() -> None:
    edge = edge_of(chunk(people(*KEYS)))
    newest = chunk(people(*KEYS), 5)
    put(edge, newest)

    edge.drop_newest(newest, "drop-newest")

    assert sorted(position for queue in edge.queues for position in positions(send(queue))) == list(range(5))
    assert edge.counts.dropped == {"drop-newest": 5}


def test_so_many_are_dropped_as_was_asked_for() -> None:
    edge = edge_of(chunk(people(*KEYS)))

    assert edge.drop_oldest(4, "reset") == 4
    assert edge.drop_oldest(4, "reset") == 1
    assert edge.idle


# -- other owners ------------------------------------------------------------------------------------------------------


def test_what_waited_goes_to_the_new_owners_in_its_order() -> None:
    edge = edge_of(*(chunk(people(*KEYS), n) for n in range(0, 20, 5)), owners=1)
    frame = send(edge.queues[0], 7)
    edge.queues[0].requeue(1, [frame])

    edge.divide(2)

    for queue, own in zip(edge.queues, (FIRST, SECOND), strict=True):
        flying = [send(queue), send(queue)]  # what comes again travels apart
        assert [n for each in flying for n in positions(each)] == [n for n in range(20) if KEYS[n % 5] in own]
    assert edge.counts.balanced


def test_a_suspect_is_known_to_its_next_owner() -> None:
    edge = edge_of(chunk(people(*FIRST * 2)), owners=1)
    for attempt in range(CRASH_ATTEMPTS_MAX):
        frame = next(f for queue in edge.queues if queue.pending_messages for f in [send(queue, 9, attempt)])
        alone = positions(frame)
        edge.queues[0].requeue(attempt, [frame])
        edge.accuse(attempt, attempt, 0, 0.0)
        edge.divide(2 - attempt % 2)

    assert alone == [0]
    assert [list(poison.segment.positions) for poison in edge.take_poison()] == [[0]]


class AnyStory(RuleBasedStateMachine):
    """Queues are sent from, sessions end, owners change: each key is sent in its order, and nothing is lost."""

    def __init__(self) -> None:
        super().__init__()
        self.edge = edge_of(owners=1)
        self.sessions: dict[int, tuple[Edge, list[OutFrame]]] = {}
        self.count = self.number = 0
        self.key_of: dict[int, str] = {}
        self.open: list[int] = []
        self.last: dict[tuple[int, str], int] = {}

    @rule(keys=st.lists(st.sampled_from(KEYS), min_size=1, max_size=6), whole=st.booleans())
    def append(self, keys: list[str], whole: bool) -> None:
        put(self.edge, chunk(people(*keys), self.count, whole=whole))
        self.key_of |= dict(enumerate(keys, self.count))
        self.open += range(self.count, self.count + len(keys))
        self.count += len(keys)

    @rule(choice=st.integers(0, 8), messages=st.integers(1, 9))
    def send(self, choice: int, messages: int) -> None:
        at = choice % len(self.edge.queues)
        queue = self.edge.queues[at]
        number = next((n for n, (of, _) in self.sessions.items() if of is queue), None)
        if number is None:
            self.number += 1
            number = self.number
            self.sessions[number] = queue, []
        if queue.pending_messages:
            frame = send(queue, messages, len(self.sessions[number][1]) + 1)
            self.sessions[number][1].append(frame)
            for position, name in zip(positions(frame), names(frame), strict=True):
                assert self.key_of[position] == name
                assert owner_of(group_of(name), len(self.edge.queues)) == at
                self._in_order(number, position)

    def _in_order(self, session: int, position: int) -> None:
        key = self.key_of[position]
        assert self.last.get((session, key), -1) < position
        self.last[session, key] = position
        earlier = [n for n in self.open if n < position and self.key_of[n] == key]
        flying = {n for of, frames in self.sessions.values() for frame in frames for n in positions(frame)}
        assert set(earlier) <= flying, "a later message of a key has overtaken one that waits"

    @precondition(lambda self: any(frames for _, frames in self.sessions.values()))
    @rule(choice=st.integers(0, 8))
    def settle(self, choice: int) -> None:
        queue, frames = [(q, f) for q, f in self.sessions.values() if f][
            choice % sum(bool(f) for _, f in self.sessions.values())
        ]
        frame = frames.pop(choice % len(frames))
        self.edge.counts.settled += queue.settle(frame)
        self.open = [n for n in self.open if n not in positions(frame)]

    @precondition(lambda self: self.sessions)
    @rule(choice=st.integers(0, 8))
    def end(self, choice: int) -> None:
        number = sorted(self.sessions)[choice % len(self.sessions)]
        queue, frames = self.sessions.pop(number)
        queue.requeue(number, frames)

    @rule(owners=st.integers(1, 5))
    def divide(self, owners: int) -> None:
        while self.sessions:
            self.end(0)
        self.edge.divide(owners)

    @invariant()
    def nothing_is_lost(self) -> None:
        held = [n for c, first, last in self.edge.held() for n in list(c.segment.positions)[first:last]]
        assert sorted(held) == self.open
        assert self.edge.counts.balanced
        assert self.edge.counts.in_flight == self.edge.pending_messages + self.edge.flying_messages == len(self.open)


TestAnyStory = AnyStory.TestCase
TestAnyStory.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
