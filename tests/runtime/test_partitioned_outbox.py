"""The outgoing half of an instance towards a partitioned node: who gets what, by which ownership, in which order."""

from __future__ import annotations

import pytest

from streamer.limits import CRASH_ATTEMPTS_MAX
from streamer.plan.assignment import Overload, Ownership, PeerState
from streamer.protocol.frames import InHand, Kind, Status, decode_data, encode_short, encode_status
from streamer.protocol.input_frame import InputFrame
from streamer.protocol.keys import group_of, owner_of
from streamer.protocol.session import ReceivingSession
from tests.protocol.messages import data
from tests.runtime.test_outbox import Consumer, Producer

KEYS = ["ann", "bob", "cid", "dot", "eve"]
FIRST, SECOND = ([key for key in KEYS if owner_of(group_of(key), 2) == at] for at in (0, 1))
ONE, TWO = Ownership(1, 1), Ownership(3, 2)


def producer(owners: Ownership = TWO, **fields: object) -> Producer:
    made = Producer(partition_by="key", **fields)  # type: ignore[arg-type]  # the fields of Producer
    made.meet(("save-0", 1, PeerState.LIVE), ("save-1", 1, PeerState.LIVE), owners=owners)
    return made


def owner(made: Producer, index: int, owners: Ownership = TWO, *, crashed: tuple[InHand, ...] = ()) -> Consumer:
    return Consumer(made, f"save-{index}", ownership=owners.epoch, crashed=crashed)


def send(made: Producer, *keys: str) -> None:
    """Messages that are numbered from 0 on."""
    made.send(*({"key": key, "n": made.position + n} for n, key in enumerate(keys)))


def numbers(consumer: Consumer) -> list[int]:
    return [message["n"] for frame in consumer.got() for message in frame]  # type: ignore[index]  # of what was sent


def test_each_owner_gets_what_is_its_own() -> None:
    made = producer()
    first, second = owner(made, 0), owner(made, 1)
    first.tell()
    second.tell()

    send(made, *KEYS * 2)
    made.flush()

    assert numbers(first) == [n for n in range(10) if KEYS[n % 5] in FIRST]
    assert numbers(second) == [n for n in range(10) if KEYS[n % 5] in SECOND]


def test_an_owner_that_takes_nothing_holds_back_its_own_until_the_queue_is_full() -> None:
    made = producer(queue_bytes=600)
    quick = owner(made, 0)
    quick.tell()

    send(made, *KEYS)
    made.flush()
    assert made.outbox.room()
    assert numbers(quick) == [n for n in range(5) if KEYS[n] in FIRST]

    send(made, *SECOND * 6)
    assert not made.outbox.room()
    assert made.outbox.full(0) == "edge parse >> save is full"


@pytest.mark.parametrize(
    ("name", "epoch"),
    [("save-0", 2), ("save-0", 4), ("save-2", 3), ("save", 3)],
    ids=["before", "after", "no owner", "no instance"],
)
def test_nobody_is_served_by_another_word_of_owners(name: str, epoch: int) -> None:
    assert Consumer(producer(), name, ownership=epoch).refused()


def test_before_there_is_word_of_owners_messages_wait() -> None:
    made = Producer(partition_by="key")
    send(made, *KEYS)
    assert Consumer(made, "save-0", ownership=1).refused()

    made.meet(("save-0", 1, PeerState.LIVE), ("save-1", 1, PeerState.LIVE), owners=TWO)
    first = owner(made, 0)
    first.tell()
    made.flush()

    assert numbers(first) == [n for n in range(5) if KEYS[n] in FIRST]


def test_what_former_owners_held_comes_to_the_new_ones_in_its_order() -> None:
    made = producer(ONE)
    only = owner(made, 0, ONE)
    only.tell(messages=4)
    send(made, *KEYS * 2)
    made.flush()
    only.tell(messages=4, received=1)

    made.meet(("save-0", 1, PeerState.LIVE), ("save-1", 1, PeerState.LIVE), owners=TWO)
    first, second = owner(made, 0), owner(made, 1)
    for consumer in (first, second):
        consumer.tell()
    made.flush()

    assert numbers(first) == [n for n in range(10) if KEYS[n % 5] in FIRST]
    assert numbers(second) == [n for n in range(10) if KEYS[n % 5] in SECOND]
    (edge,) = made.outbox.edges
    assert (edge.counts.redelivered, edge.counts.in_flight) == (4, 10)
    assert edge.counts.balanced


def test_what_a_former_owner_has_said_last_counts_though_word_of_new_owners_is_here_first() -> None:
    made = producer(ONE)
    only = owner(made, 0, ONE)
    only.tell()
    send(made, *KEYS)
    made.flush()
    sent = len(only.frames())

    only.connection.send(encode_status(Status(only.session, 99, 9_999, sent, sent + 1, 5, 0)))
    only.connection.send(encode_short(Kind.CLOSE, only.session))
    made.meet(("save-0", 1, PeerState.LIVE), ("save-1", 1, PeerState.LIVE), owners=TWO)

    (edge,) = made.outbox.edges
    assert (edge.counts.settled, edge.counts.in_flight) == (5, 0)


def test_a_message_without_a_key_is_dead_lettered_and_its_parent_hears() -> None:
    made = producer()
    frame = InputFrame(ReceivingSession(1, "lines", False, lambda _count: None), data(1, ["x"]), 0.0)
    made.send({"n": 0}, {"key": KEYS[0]}, parent=frame)

    (letter,) = made.letters
    assert (letter.reason, letter.target, letter.node, letter.message) == ("no key", "save", "parse", {"n": 0})
    assert letter.error == "no key at 'key': the message has no 'key'"
    assert frame.open == 2, "itself, and the one message that is on its way"
    (edge,) = made.outbox.edges
    assert (edge.counts.sent, edge.counts.dead_lettered, edge.counts.in_flight) == (2, 1, 1)


@pytest.mark.parametrize("overload", [Overload.DROP_OLDEST, Overload.DROP_NEWEST])
def test_a_full_edge_drops_by_its_policy(overload: Overload) -> None:
    made = producer(queue_bytes=500, overload=overload)
    for _ in range(12):
        send(made, SECOND[0])
    consumer = owner(made, 1)
    consumer.tell()
    made.flush()

    kept = numbers(consumer)
    (edge,) = made.outbox.edges
    assert 0 < len(kept) < 12
    assert edge.counts.dropped == {str(overload): 12 - len(kept)}
    assert kept == [*range(12)][-len(kept) if overload is Overload.DROP_OLDEST else 0 :][: len(kept)]


def test_what_is_for_an_owner_that_has_completed_is_a_repeat() -> None:
    made = producer()
    send(made, *KEYS)

    made.meet(("save-0", 1, PeerState.GONE), ("save-1", 1, PeerState.LIVE), owners=TWO)
    made.flush()

    assert made.outbox.over
    (edge,) = made.outbox.edges
    assert (edge.counts.settled, edge.counts.in_flight) == (len(FIRST), len(SECOND))


def test_a_message_that_kills_its_owner_is_given_up_and_the_next_of_its_key_does_not_overtake() -> None:
    made = producer(ONE)
    send(made, *[KEYS[0]] * 4)
    in_hand: tuple[InHand, ...] = ()
    for _ in range(CRASH_ATTEMPTS_MAX):
        consumer = owner(made, 0, ONE, crashed=in_hand)
        consumer.tell()
        made.flush()
        (first, *_) = (decode_data(parts) for parts in consumer.frames())
        assert next(iter(first.segments[0].positions)) == 0, "it is what comes first"
        in_hand = (InHand(consumer.session, first.sequence, 0),)

    last = owner(made, 0, ONE, crashed=in_hand)
    last.tell()
    made.flush()

    assert [letter.reason for letter in made.letters] == ["crash"]
    assert numbers(last) == [1, 2, 3]


def test_an_end_is_known_when_every_owner_knows_it() -> None:
    made = producer()
    first, second = owner(made, 0), owner(made, 1)
    first.tell()
    second.tell()
    assert not made.outbox.end()

    first.tell(received=1, end_seen=True)
    assert not made.outbox.end()
    second.tell(received=1, end_seen=True)
    assert made.outbox.end()


def test_what_waits_can_be_dropped_by_the_sender() -> None:
    made = producer()
    send(made, *KEYS)

    assert made.outbox.reset(3) == 3
    assert made.outbox.reset(None) == 2
    assert made.outbox.idle
