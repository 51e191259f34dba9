"""Taps: they are shown what passes, as far as they keep up, and nobody else notices that they are there."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.limits import (
    FRAME_MESSAGES_MAX,
    HEARTBEAT_S,
    TAP_BYTES_MAX,
    TAP_FRAME_BYTES_MAX,
    TAP_MESSAGES_MAX,
    TAP_SILENCE_S,
    TAPS_MAX,
)
from streamer.plan.assignment import Delivery, PeerState
from streamer.protocol.codec import unpack
from streamer.protocol.frames import Kind, decode_data, decode_short, kind_of
from streamer.protocol.tapping import Tap, encode_tap
from streamer.transport.base import Parts
from streamer.transport.memory import MemoryTransport
from tests.runtime.test_outbox import PLENTY, Consumer, Producer


class Watcher:
    """Taps the edge parse >> save; `speak` makes room for what it has taken with `take`."""

    def __init__(self, producer: Producer, *, token: str = "secret", node: str = "save", number: int = 0) -> None:
        self.producer = producer
        self.tap = Tap(token, node, number or next(producer.numbers))
        self.taken_messages = self.taken_bytes = 0
        self.connect()

    def connect(self) -> None:
        self.connection = MemoryTransport(self.producer.hub).connect(self.producer.binding.endpoint)

    def speak(self, *, over: bool = False) -> Watcher:
        tap = self.tap
        said = Tap(tap.token, tap.node, tap.number, self.taken_messages, self.taken_bytes, over)
        self.connection.send(encode_tap(said))
        self.producer.outbox.receive(self.producer.now)
        return self

    def frames(self) -> list[Parts]:
        found = []
        while (parts := self.connection.receive()) is not None:
            found.append(parts)
        return found

    def take(self) -> list[object]:
        """All messages that have come, in their order."""
        messages: list[object] = []
        for parts in self.frames():
            frame = decode_data(parts)
            self.taken_messages += frame.count
            self.taken_bytes += sum(map(len, parts))
            messages += unpack(frame.body, frame.buffers)
        return messages

    def refused(self) -> bool:
        return [(kind_of(p), decode_short(p)) for p in self.frames()] == [(Kind.REFUSED, self.tap.number)]


def watched(*, delivery: Delivery = Delivery.AT_LEAST_ONCE) -> tuple[Producer, Consumer]:
    """A producer with a consumer that takes everything."""
    producer = Producer(delivery=delivery, queue_bytes=1 << 28)
    consumer = Consumer(producer)
    consumer.tell()
    return producer, consumer


def send_one_by_one(producer: Producer, values: Sequence[object]) -> None:
    """A frame for each."""
    for value in values:
        producer.send(value)
        producer.flush()


@pytest.mark.parametrize("delivery", Delivery)
def test_a_tap_is_shown_what_a_consumer_is_sent_and_what_was_sent_before_is_gone(delivery: Delivery) -> None:
    producer, consumer = watched(delivery=delivery)
    send_one_by_one(producer, ["before"])
    tap = Watcher(producer).speak()
    send_one_by_one(producer, ["a", "b"])

    assert tap.frames() == consumer.frames()[1:]


def test_a_tap_changes_nothing_in_the_account_and_asks_for_no_credit() -> None:
    producer = Producer()
    tap = Watcher(producer).speak()
    send_one_by_one(producer, ["a", "b"])

    assert tap.take() == []
    assert (producer.edge.pending_messages, producer.edge.counts.in_flight) == (2, 2)
    assert producer.outbox.credit(producer.edge) == 0


def test_large_buffers_beside_a_message_are_shown() -> None:
    producer, _ = watched()
    tap = Watcher(producer).speak()
    send_one_by_one(producer, [{"name": "image", "pixels": bytes(200_000)}])

    assert tap.take() == [{"name": "image", "pixels": bytes(200_000)}]


def test_a_message_that_is_sent_again_is_shown_again() -> None:
    producer, consumer = watched()
    tap = Watcher(producer).speak()
    send_one_by_one(producer, ["a"])
    producer.meet((consumer.opening.instance, 1, PeerState.GONE), ("save-1", 1, PeerState.LIVE))
    Consumer(producer, "save-1").tell()
    producer.flush()

    assert tap.take() == ["a", "a"]


# -- room ------------------------------------------------------------------------------------------------------------


def test_a_tap_that_never_reads_is_sent_a_bounded_number_of_messages_and_the_consumer_all() -> None:
    producer, consumer = watched()
    tap = Watcher(producer).speak()
    for _ in range(20):
        producer.send(*range(FRAME_MESSAGES_MAX))
        producer.flush()

    assert sum(len(messages) for messages in consumer.got()) == 20 * FRAME_MESSAGES_MAX
    assert len(tap.take()) == TAP_MESSAGES_MAX


def test_a_tap_that_never_reads_is_sent_a_bounded_number_of_bytes() -> None:
    producer, consumer = watched()
    tap = Watcher(producer).speak()
    send_one_by_one(producer, [bytes(100_000)] * 40)

    assert len(consumer.frames()) == 40
    tap.take()
    assert TAP_BYTES_MAX <= tap.taken_bytes < TAP_BYTES_MAX + 101_000


def test_a_tap_that_has_taken_what_it_was_sent_is_shown_what_comes_then() -> None:
    producer, _ = watched()
    tap = Watcher(producer).speak()
    send_one_by_one(producer, range(TAP_MESSAGES_MAX + 10))
    assert tap.take() == list(range(TAP_MESSAGES_MAX))
    tap.speak()
    send_one_by_one(producer, ["next"])

    assert tap.take() == ["next"]


def test_a_message_of_many_megabytes_is_never_shown() -> None:
    producer, consumer = watched()
    tap = Watcher(producer).speak()
    send_one_by_one(producer, [bytes(TAP_FRAME_BYTES_MAX), "small"])

    assert tap.take() == ["small"]
    assert len(consumer.frames()) == 2


def test_a_tap_that_says_it_took_more_than_it_was_sent_gets_no_more_room_by_it() -> None:
    producer, _ = watched()
    tap = Watcher(producer).speak()
    for _ in range(3):
        tap.taken_messages = tap.taken_bytes = PLENTY
        tap.speak()
    send_one_by_one(producer, range(2 * TAP_MESSAGES_MAX))

    assert len(tap.frames()) == TAP_MESSAGES_MAX


def test_what_was_lost_with_a_connection_takes_no_room_on_the_next() -> None:
    producer, _ = watched()
    tap = Watcher(producer).speak()
    send_one_by_one(producer, range(TAP_MESSAGES_MAX))
    tap.connection.close()
    tap.connect()
    tap.speak()
    send_one_by_one(producer, ["again"])

    assert tap.take() == ["again"]


# -- who may watch, and for how long ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong", [pytest.param({"token": "guessed"}, id="token"), pytest.param({"node": "other"}, id="node")]
)
def test_a_stranger_is_refused_and_shown_nothing(wrong: dict[str, str]) -> None:
    producer, _ = watched()
    stranger = Watcher(producer, **wrong).speak()  # type: ignore[arg-type]  # the fields are texts
    assert stranger.refused()
    assert producer.outbox.refused == 1
    send_one_by_one(producer, ["a"])
    assert stranger.frames() == []


def test_a_stranger_cannot_end_the_tap_of_another() -> None:
    producer, _ = watched()
    tap = Watcher(producer).speak()
    Watcher(producer, token="guessed", number=tap.tap.number).speak(over=True)
    send_one_by_one(producer, ["a"])

    assert tap.take() == ["a"]


def test_one_tap_too_many_is_refused_until_another_ends() -> None:
    producer, _ = watched()
    taps = [Watcher(producer).speak() for _ in range(TAPS_MAX)]
    late = Watcher(producer).speak()
    assert late.refused()
    taps[0].speak(over=True)
    late.speak()
    send_one_by_one(producer, ["a"])

    assert [tap.take() for tap in (*taps, late)] == [[], *[["a"]] * TAPS_MAX]


def test_a_tap_that_is_silent_is_forgotten_and_one_that_speaks_is_not() -> None:
    producer, consumer = watched()
    silent, talking = Watcher(producer).speak(), Watcher(producer).speak()
    producer.pass_by(TAP_SILENCE_S - HEARTBEAT_S, consumer)
    talking.speak()
    producer.pass_by(2 * HEARTBEAT_S, consumer)
    send_one_by_one(producer, ["a"])

    assert (silent.take(), talking.take()) == ([], ["a"])


def test_a_forgotten_tap_that_speaks_again_goes_on() -> None:
    producer, consumer = watched()
    tap = Watcher(producer).speak()
    send_one_by_one(producer, range(TAP_MESSAGES_MAX))
    producer.pass_by(TAP_SILENCE_S + HEARTBEAT_S, consumer)
    assert len(tap.take()) == TAP_MESSAGES_MAX
    tap.speak()
    send_one_by_one(producer, range(2 * TAP_MESSAGES_MAX))

    assert len(tap.take()) == TAP_MESSAGES_MAX


def test_a_tap_whose_connection_is_gone_is_forgotten_at_once() -> None:
    producer, consumer = watched()
    taps = [Watcher(producer).speak() for _ in range(TAPS_MAX)]
    for tap in taps:
        tap.connection.close()
    send_one_by_one(producer, ["a"])
    assert not Watcher(producer).speak().refused()
    assert len(consumer.frames()) == 1


# -- nobody notices --------------------------------------------------------------------------------------------------

acts = st.one_of(
    st.tuples(st.just("send"), st.integers(1, 600)),
    st.tuples(st.just("grant"), st.integers(1, 400)),
    st.tuples(st.just("flush"), st.booleans()),
    st.tuples(st.just("tap"), st.sampled_from(["speak", "take", "cut", "over"])),
    st.tuples(st.just("move"), st.just(True)),
)


def played(story: Sequence[tuple[str, int | bool | str]], *, with_tap: bool) -> tuple[list[Parts], list[Parts], str]:
    """What the consumers and the tap have got, and the account."""
    producer = Producer(queue_bytes=1 << 28)
    consumer = Consumer(producer)
    tap = Watcher(producer, number=4711)
    got: list[Parts] = []
    seen: list[Parts] = []
    granted = moves = 0
    for act, how in story:
        if act == "send":
            producer.send(*range(producer.position, producer.position + int(how)))
        elif act == "grant":
            granted += int(how)
            consumer.tell(messages=granted)
        elif act == "flush":
            producer.flush(drained=bool(how))
        elif act == "move":
            got += consumer.frames()
            moves, granted = moves + 1, 0
            consumer = Consumer(producer, epoch=1 + moves)
        elif with_tap:
            seen += _tapped(tap, str(how))
    got += consumer.frames()
    return got, seen + tap.frames(), str(producer.edge.counts)


def _tapped(tap: Watcher, how: str) -> list[Parts]:
    frames = tap.frames()
    tap.taken_messages += sum(decode_data(parts).count for parts in frames if kind_of(parts) is Kind.DATA)
    tap.taken_bytes += sum(len(part) for parts in frames for part in parts)
    if how == "cut":
        tap.connection.close()
        tap.connect()
    elif how != "take":
        tap.speak(over=how == "over")
    return frames


@given(st.lists(acts, max_size=60))
def test_consumers_get_the_same_frames_in_the_same_order_with_and_without_a_tap(
    story: Sequence[tuple[str, int | bool | str]],
) -> None:
    alone, _, account = played(story, with_tap=False)
    watched_, seen, account_watched = played(story, with_tap=True)

    assert watched_ == alone
    assert account_watched == account
    left = iter(alone)
    assert all(frame in left for frame in seen), "a tap is shown frames of the consumers, in their order"
