"""The simulated network: what it keeps in order, what it loses, and what its ends are told."""

from __future__ import annotations

from random import Random

import pytest

from streamer.errors import PlatformError
from streamer.testing.clock import VirtualClock
from streamer.testing.network import Host, Network, SimBinding, SimConnection, SimTransport, Way
from streamer.transport.base import Parts

ENDPOINT = "sim://machine:1"


class Bystander:
    """A process that does nothing but look at the clock."""

    def __init__(self, name: str, clock: VirtualClock) -> None:
        self.name = name
        self._clock = clock
        self.wakes: list[float] = []

    def now(self) -> float:
        return self._clock.now()

    def wake_at(self, time_s: float) -> None:
        self.wakes.append(time_s)

    def operate(self) -> None:
        """Nothing kills it."""

    def wait(self, timeout_s: float) -> None:
        self._clock.run_until(self._clock.now() + timeout_s)


class Unwatched:
    def up(self, connection: int, host: Host, parts: Parts) -> None:
        """Nobody looks."""

    def down(self, connection: int, host: Host, parts: Parts) -> None:
        """Nobody looks."""


class Pair:
    """A producer and a consumer with one connection between them."""

    def __init__(self, seed: int = 0) -> None:
        self.clock = VirtualClock()
        self.network = Network(self.clock, Random(seed), Unwatched())
        self.producer = SimTransport(self.network, Bystander("a-0", self.clock))
        self.consumer = SimTransport(self.network, Bystander("b-0", self.clock))
        self.binding: SimBinding = self.producer.bind(ENDPOINT)
        self.connection: SimConnection = self.consumer.connect(ENDPOINT)
        self.clock.run_until(self.clock.now() + 1.0)

    def pass_time(self, span_s: float) -> None:
        self.clock.run_until(self.clock.now() + span_s)

    def route(self) -> bytes:
        """What the producer learns from a frame of the consumer."""
        assert self.connection.send([b"hello"])
        self.pass_time(1.0)
        received = self.binding.receive()
        assert received is not None
        return received[0]

    def arrived(self) -> list[bytes]:
        frames = []
        while (parts := self.connection.receive()) is not None:
            frames.append(bytes(parts[0]))
        return frames


def test_frames_of_a_link_arrive_in_order() -> None:
    pair = Pair()
    route = pair.route()
    sent = [bytes([n]) for n in range(50)]
    for frame in sent:
        assert pair.binding.send(route, [frame])
        pair.pass_time(0.0001)

    pair.pass_time(1.0)

    assert pair.arrived() == sent


def test_nothing_arrives_before_its_time() -> None:
    pair = Pair()
    pair.binding.send(pair.route(), [b"1"])

    assert pair.arrived() == []


@pytest.mark.parametrize("seed", range(10))
def test_a_connection_that_is_cut_comes_back_under_a_fresh_route(seed: int) -> None:
    pair = Pair(seed)
    before = pair.route()

    pair.network.cut(next(pair.network.links()))
    pair.pass_time(10.0)

    assert pair.route() != before
    assert not pair.binding.send(before, [b"lost"])


def test_what_is_given_to_a_cut_link_is_lost_without_a_word_until_its_end_notices() -> None:
    pair = Pair()
    route = pair.route()
    pair.network.cut(next(pair.network.links()))

    assert pair.binding.send(route, [b"lost"])

    pair.pass_time(10.0)
    assert pair.arrived() == []


def test_a_link_may_lose_frames_in_its_middle_and_go_on() -> None:
    pair = Pair()
    route = pair.route()
    next(pair.network.links()).skip[Way.DOWN] = 2
    for frame in (b"1", b"2", b"3"):
        pair.binding.send(route, [frame])

    pair.pass_time(1.0)

    assert pair.arrived() == [b"3"]


def test_a_short_partition_holds_frames_back_and_loses_none() -> None:
    pair = Pair()
    route = pair.route()
    pair.network.partition("a-0", "b-0", 2.0)
    pair.binding.send(route, [b"1"])

    pair.pass_time(1.9)
    assert pair.arrived() == []
    pair.pass_time(0.2)
    assert pair.arrived() == [b"1"]


def test_a_connection_waits_for_its_producer_to_come_back() -> None:
    pair = Pair()
    pair.producer.crash()
    pair.pass_time(20.0)
    assert not pair.connection.send([b"nobody there"])

    again = SimTransport(pair.network, Bystander("a-0", pair.clock)).bind(ENDPOINT)
    pair.pass_time(1.0)

    assert pair.connection.send([b"hello"])
    pair.pass_time(1.0)
    assert again.receive() is not None


def test_what_was_sent_before_an_orderly_end_still_arrives() -> None:
    pair = Pair()
    pair.binding.send(pair.route(), [b"last words"])

    pair.producer.close()
    pair.pass_time(1.0)

    assert pair.arrived() == [b"last words"]


def test_an_endpoint_is_bound_once() -> None:
    pair = Pair()

    with pytest.raises(PlatformError):
        pair.consumer.bind(ENDPOINT)


def test_a_port_of_zero_chooses_one() -> None:
    pair = Pair()

    first, second = (pair.consumer.bind("sim://machine:0") for _ in range(2))

    assert first.endpoint != second.endpoint
