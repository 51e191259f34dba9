"""The outgoing half of an instance: who opens a session, who gets what, and what becomes of it when one is gone."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import pytest

from streamer.limits import CRASH_ATTEMPTS_MAX, FRAME_AGE_MAX_S, HEARTBEAT_S, SESSION_TIMEOUT_S
from streamer.plan.assignment import Assignment, Delivery, Output, Overload, Ownership, Peer, PeerState, Role, Wiring
from streamer.plan.routing import Route, RouteTable
from streamer.protocol.account import InstanceAccount
from streamer.protocol.codec import unpack
from streamer.protocol.edge import Edge
from streamer.protocol.frames import (
    InHand,
    Kind,
    Open,
    Received,
    Status,
    decode_data,
    decode_short,
    encode_open,
    encode_short,
    encode_status,
    kind_of,
)
from streamer.protocol.input_frame import InputFrame
from streamer.protocol.segment import Segment
from streamer.runtime.exits import Exits
from streamer.runtime.letters import Letters
from streamer.runtime.outbox import Outbox
from streamer.state.dead_letters import DeadLetter
from streamer.transport.memory import MemoryHub, MemoryTransport
from tests.protocol.messages import blobs
from tests.runtime.received import received

ROUTES = RouteTable((Route("main", "parse", 0, (1,)), Route("main", "save", 0, ())), "main")
PLENTY = 1 << 30


class Producer:
    """An instance of `parse` with the edge parse >> save; `send` takes what its handlers would have sent."""

    def __init__(
        self,
        *,
        delivery: Delivery = Delivery.AT_LEAST_ONCE,
        overload: Overload = Overload.BLOCK,
        queue_bytes: int = 1 << 20,
        inside: bool = False,
        hop_limit: int = 64,
        partition_by: str = "",
    ) -> None:
        self.hub = MemoryHub()
        self.letters: list[DeadLetter] = []
        self.account = InstanceAccount()
        output = Output("save", inside, delivery, queue_bytes, hop_limit, overload, partition_by=partition_by)
        assignment = Assignment(
            job="job",
            pipeline="words",
            token="secret",
            node="parse",
            instance="parse-0",
            epoch=1,
            role=Role.STATELESS,
            wiring=Wiring(1, (ROUTES,), 1, (), (output,)),
            folder="",
            dead_letters="",
            control="",
        )
        self.binding = MemoryTransport(self.hub).bind("memory://here:0")
        exits = Exits("parse", assignment.wiring)
        letters = Letters(assignment, self, lambda: 0.0, lambda: 1_000.0, exits.position)
        self.outbox = Outbox(assignment, exits, self.binding, self.account, letters)
        self.numbers = count(1)
        self.position = 0
        self.now = 100.0
        self.outbox.check(self.now)

    def append(self, records: Sequence[DeadLetter]) -> None:
        self.letters += records

    @property
    def edge(self) -> Edge:
        (edge,) = self.outbox.edges
        assert edge.counts.balanced
        assert isinstance(edge, Edge)
        return edge

    def send(self, *values: object, parent: InputFrame | None = None, hops: int = 0) -> None:
        ids = range(self.position, self.position + len(values))
        self.position += len(values)
        segment = Segment(9, ids, 1, None, 0, hops, 1_000)
        self.outbox.emit(segment, blobs(values), parent, [0] * len(values) if parent else ())

    def flush(self, *, drained: bool = True) -> None:
        self.outbox.receive(self.now)
        self.outbox.flush(self.now, drained=drained)

    def meet(self, *peers: tuple[str, int, PeerState], owners: Ownership | None = None) -> None:
        children = [Peer("save", name, epoch, "", state) for name, epoch, state in peers]
        self.outbox.meet(children, {} if owners is None else {"save": owners}, self.now)

    def pass_by(self, seconds: float, *alive: Consumer) -> None:
        """Let time pass, heartbeat by heartbeat; only these consumers are heard of."""
        for _ in range(round(seconds / HEARTBEAT_S)):
            self.now += HEARTBEAT_S
            for consumer in alive:
                consumer.pulse()
            self.outbox.receive(self.now)
            self.outbox.check(self.now)


class Consumer:
    """An instance of `save`, as its frames show it."""

    def __init__(
        self,
        producer: Producer,
        name: str = "save-0",
        *,
        epoch: int = 1,
        token: str = "secret",
        node: str = "save",
        crashed: tuple[InHand, ...] = (),
        session: int = 0,
        ownership: int = 0,
    ) -> None:
        self.producer = producer
        self.session = session or next(producer.numbers)
        self.opening = Open(token, node, name, epoch, self.session, crashed, ownership)
        self.connect()
        self.connection.send(encode_open(self.opening))

    def connect(self) -> None:
        self.connection = MemoryTransport(self.producer.hub).connect(self.producer.binding.endpoint)

    def tell(
        self,
        *,
        messages: int = PLENTY,
        received: int = 0,
        floor: int = 1,
        end_seen: bool = False,
        wide: bool = False,
    ) -> None:
        status = Status(self.session, messages, PLENTY, received, floor, 0, 0, end_seen=end_seen, wide=wide)
        self.connection.send(encode_status(status))
        self.producer.outbox.receive(self.producer.now)

    def pulse(self) -> None:
        self.connection.send(encode_short(Kind.PULSE, self.session))

    def frames(self) -> list[Received]:
        found = []
        while (parts := self.connection.receive()) is not None:
            found.append(parts)
        return found

    def got(self) -> list[list[object]]:
        """The messages of each data frame that has come."""
        return [unpack(parts[1]) for parts in self.frames() if kind_of(parts) is Kind.DATA]

    def refused(self) -> bool:
        self.producer.outbox.receive(self.producer.now)
        return [(kind_of(p), decode_short(p)) for p in self.frames()] == [(Kind.REFUSED, self.session)]


# -- sessions ----------------------------------------------------------------------------------------------------------


def test_who_has_granted_gets_what_waits_and_no_more_than_was_granted() -> None:
    producer = Producer()
    producer.send(*range(10))
    consumer = Consumer(producer)
    producer.flush()
    assert consumer.got() == []
    consumer.tell(messages=3)
    producer.flush()
    assert consumer.got() == [[0, 1, 2]]
    consumer.tell(messages=5, received=1, floor=2)
    producer.flush()
    assert consumer.got() == [[3, 4]]
    assert (producer.edge.counts.settled, producer.edge.counts.in_flight) == (3, 7)


def test_what_waits_is_shared_over_all_that_have_granted() -> None:
    producer = Producer()
    consumers = [Consumer(producer, f"save-{n}") for n in range(4)]
    for consumer in consumers:
        consumer.tell()
    producer.send(*range(100))
    producer.flush()
    assert [len(consumer.got()[0]) for consumer in consumers] == [25] * 4


def test_what_was_sent_together_is_not_cut_where_wide_credit_ends_nor_into_shares() -> None:
    producer = Producer()
    consumers = [Consumer(producer, f"save-{n}") for n in range(2)]
    for consumer in consumers:
        consumer.tell(messages=10, wide=True)
    for first in (0, 20, 40):
        producer.send(*range(first, first + 20))
        producer.flush()
    assert [consumer.got() for consumer in consumers] == [[list(range(20))], [list(range(20, 40))]]
    assert producer.edge.pending_messages == 20


def test_without_a_full_frame_a_busy_instance_waits_a_little_and_an_idle_one_does_not() -> None:
    producer = Producer()
    consumer = Consumer(producer)
    consumer.tell()
    producer.send("a")
    producer.flush(drained=False)
    assert consumer.got() == []
    producer.now += 2 * FRAME_AGE_MAX_S
    producer.flush(drained=False)
    assert consumer.got() == [["a"]]
    producer.send("b")
    producer.flush(drained=True)
    assert consumer.got() == [["b"]]


@pytest.mark.parametrize(
    "wrong", [pytest.param({"token": "guessed"}, id="token"), pytest.param({"node": "other"}, id="node")]
)
def test_a_stranger_is_refused(wrong: dict[str, str]) -> None:
    producer = Producer()
    assert Consumer(producer, **wrong).refused()  # type: ignore[arg-type]  # the fields are texts
    assert producer.outbox.refused == 1


def test_a_former_life_of_a_consumer_is_refused() -> None:
    producer = Producer()
    producer.meet(("save-0", 2, PeerState.LIVE))
    assert Consumer(producer, epoch=1).refused()
    assert not Consumer(producer, epoch=2).refused()


def test_a_status_of_an_unknown_session_is_refused_so_that_a_new_one_is_opened() -> None:
    producer = Producer()
    consumer = Consumer(producer)
    producer.flush()
    consumer.session = 4711
    consumer.tell()
    assert consumer.refused()


def test_an_opening_that_comes_again_changes_nothing() -> None:
    producer = Producer()
    consumer = Consumer(producer)
    consumer.tell()
    producer.send("a")
    producer.flush()
    consumer.connection.send(encode_open(consumer.opening))
    producer.flush()
    assert consumer.got() == [["a"]]
    consumer.tell(received=1, floor=2)
    assert producer.outbox.idle


def test_nonsense_is_counted_and_harms_nobody() -> None:
    producer = Producer()
    consumer = Consumer(producer)
    consumer.tell()
    for parts in ([b""], [b"\x01\x06"], [b"\x07\x07"], [b"\x01\x01", b"?"], encode_short(Kind.END, 3)):
        consumer.connection.send(parts)
    producer.send("a")
    producer.flush()
    assert producer.outbox.refused == 5
    assert consumer.got() == [["a"]]


def test_a_consumer_on_a_new_connection_gets_what_it_missed() -> None:
    producer = Producer()
    consumer = Consumer(producer)
    consumer.tell()
    for value in ("a", "b", "c"):
        producer.send(value)
        producer.flush()
    consumer.connection.close()
    consumer.connect()
    consumer.tell(received=1, floor=2)
    frames = [decode_data(parts) for parts in consumer.frames()]
    assert [(frame.sequence, unpack(frame.body)) for frame in frames] == [(2, ["b"]), (3, ["c"])]


# -- when somebody is gone ---------------------------------------------------------------------------------------------


def test_what_a_silent_consumer_had_goes_to_another_flagged() -> None:
    producer = Producer()
    silent = Consumer(producer, "save-0")
    silent.tell()
    producer.send("a", "b")
    producer.flush()
    other = Consumer(producer, "save-1")
    producer.pass_by(SESSION_TIMEOUT_S + 2 * HEARTBEAT_S, other)
    other.tell()
    producer.flush()
    (frame,) = [decode_data(parts) for parts in other.frames()]
    assert (unpack(frame.body), frame.redelivered) == (["a", "b"], True)
    assert producer.edge.counts.redelivered == 2
    silent.tell(received=1, floor=2)
    assert [kind_of(parts) for parts in silent.frames()] == [Kind.DATA, Kind.REFUSED]
    assert producer.edge.counts.settled == 0


def test_a_consumer_with_a_pulse_is_not_silent() -> None:
    producer = Producer()
    busy = Consumer(producer)
    busy.tell()
    producer.send("a")
    producer.flush()
    producer.pass_by(4 * SESSION_TIMEOUT_S, busy)
    busy.tell(received=1, floor=2)
    assert producer.outbox.idle


def test_after_a_standstill_of_its_own_a_producer_takes_nobody_for_dead() -> None:
    producer = Producer()
    consumer = Consumer(producer)
    consumer.tell()
    producer.now += 10 * SESSION_TIMEOUT_S
    producer.outbox.check(producer.now)
    producer.send("a")
    producer.flush()
    assert consumer.got() == [["a"]]


def test_a_new_life_of_a_consumer_ends_the_session_of_the_old_one() -> None:
    producer = Producer()
    Consumer(producer, epoch=1).tell()
    producer.send("a")
    producer.flush()
    new = Consumer(producer, epoch=2)
    new.tell()
    producer.flush()
    assert new.got() == [["a"]]


def test_a_message_in_hand_at_three_deaths_is_a_dead_letter_and_its_neighbours_go_on() -> None:
    producer = Producer()
    producer.send("a", "poison", "c")
    hand: tuple[InHand, ...] = ()
    for epoch in range(1, CRASH_ATTEMPTS_MAX + 2):
        consumer = Consumer(producer, epoch=epoch, crashed=hand)
        consumer.tell()
        producer.flush()
        frames = [decode_data(parts) for parts in consumer.frames()]
        found = [(f.sequence, unpack(f.body).index("poison")) for f in frames if "poison" in unpack(f.body)]
        hand = tuple(InHand(consumer.session, sequence, index) for sequence, index in found)
    (letter,) = producer.letters
    assert (letter.reason, letter.message, letter.target) == ("crash", "poison", "save")
    assert letter.attempts == CRASH_ATTEMPTS_MAX
    assert producer.edge.counts.dead_lettered == 1
    assert [value for frame in frames for value in unpack(frame.body)] == ["a", "c"]
    consumer.tell(received=len(frames), floor=len(frames) + 1)
    assert producer.outbox.idle
    assert producer.edge.counts.settled == 2


def test_what_waits_for_a_node_that_has_completed_is_a_repeat_and_settled() -> None:
    producer = Producer()
    frame = received(["parent"])
    producer.meet(("save-0", 1, PeerState.GONE))
    producer.send("a", "b", parent=frame)
    producer.flush()
    assert producer.outbox.idle
    assert frame.open == 1


def test_a_consumer_that_says_goodbye_gives_back_what_it_had() -> None:
    producer = Producer()
    leaving = Consumer(producer)
    leaving.tell()
    producer.send("a")
    producer.flush()
    leaving.connection.send(encode_short(Kind.CLOSE, leaving.session))
    producer.flush()
    assert (producer.edge.pending_messages, producer.edge.flying_messages) == (1, 0)


# -- the end -----------------------------------------------------------------------------------------------------------


def test_the_end_is_told_when_all_is_settled_and_is_over_when_every_consumer_knows() -> None:
    producer = Producer()
    producer.meet(("save-0", 1, PeerState.LIVE), ("save-1", 1, PeerState.LIVE), ("save-2", 1, PeerState.GONE))
    first, second = Consumer(producer, "save-0"), Consumer(producer, "save-1")
    first.tell()
    producer.send("a")
    producer.flush()
    assert not producer.outbox.end()
    assert [kind_of(parts) for parts in first.frames()] == [Kind.DATA]
    first.tell(received=1, floor=2)
    assert not producer.outbox.end()
    assert [(kind_of(p), decode_short(p)) for p in first.frames()] == [(Kind.END, 2)]
    assert [(kind_of(p), decode_short(p)) for p in second.frames()] == [(Kind.END, 1)]
    first.tell(received=2, floor=3, end_seen=True)
    assert not producer.outbox.end()
    second.tell(received=1, floor=2, end_seen=True)
    assert producer.outbox.end()


def test_a_consumer_that_came_late_is_told_the_end_too() -> None:
    producer = Producer()
    producer.meet(("save-0", 1, PeerState.LIVE))
    assert not producer.outbox.end()
    late = Consumer(producer)
    late.tell()
    assert not producer.outbox.end()
    assert [kind_of(parts) for parts in late.frames()] == [Kind.END]


def test_nobody_is_told_the_end_before_the_consumers_are_known() -> None:
    producer = Producer()
    assert not producer.outbox.end()


# -- policies ----------------------------------------------------------------------------------------------------------


def test_a_full_edge_makes_its_producer_wait() -> None:
    producer = Producer(queue_bytes=1_000)
    assert producer.outbox.room()
    producer.send(bytes(1_000))
    assert not producer.outbox.room()


def test_what_is_delivered_at_most_once_is_settled_when_it_leaves() -> None:
    producer = Producer(delivery=Delivery.AT_MOST_ONCE)
    frame = received(["parent"])
    Consumer(producer).tell()
    producer.send("a", "b", parent=frame)
    assert frame.open == 3
    producer.flush()
    assert (frame.open, producer.edge.counts.settled) == (1, 2)


def test_a_message_past_the_hop_limit_is_dead_lettered_and_settled() -> None:
    producer = Producer(inside=True, hop_limit=3)
    frame = received(["parent"])
    producer.send("third", parent=frame, hops=2)
    producer.send("fourth", "fourth too", parent=frame, hops=3)
    assert [(letter.reason, letter.message) for letter in producer.letters] == [
        ("hop limit", "fourth"),
        ("hop limit", "fourth too"),
    ]
    assert "more than 3 hops" in producer.letters[0].error
    assert (producer.edge.counts.dead_lettered, producer.edge.pending_messages, frame.open) == (2, 1, 2)


@pytest.mark.parametrize("overload", [Overload.DROP_NEWEST, Overload.DROP_OLDEST])
def test_the_hop_limit_comes_before_the_overload_of_an_edge(overload: Overload) -> None:
    producer = Producer(inside=True, hop_limit=3, overload=overload, queue_bytes=100)
    producer.send(bytes(200))
    producer.send("too far", hops=3)
    assert [letter.message for letter in producer.letters] == ["too far"]
    assert producer.edge.pending_messages == 1
    assert producer.edge.counts.dropped == {}


def test_an_edge_inside_a_cycle_makes_nobody_wait() -> None:
    producer = Producer(inside=True, queue_bytes=100)
    producer.send(bytes(1_000))
    assert producer.outbox.room()


@pytest.mark.parametrize(
    ("messages", "dropped"),
    [pytest.param(None, 5, id="all"), pytest.param(2, 2, id="some"), pytest.param(9, 5, id="more")],
)
def test_a_reset_drops_what_waits_and_counts_it(messages: int | None, dropped: int) -> None:
    producer = Producer()
    producer.send(*range(5))
    assert producer.outbox.reset(messages) == dropped
    assert producer.edge.counts.dropped == {"reset": dropped}
    assert producer.edge.pending_messages == 5 - dropped
