"""What every wire must do, as tests that a wire's own test class inherits.

The protocol above loses nothing only as long as a wire keeps its few promises: order, a fresh route for a connection
that was made again, no drop by itself, and no wait but in `wait`. A class that inherits `TransportContract` gives a
fixture `open_transport`: each call gives one more instance's access to the same wire. Only what the port promises is
asked, and each wish is waited for as an instance waits, on the wire and with a deadline, so a slow wire passes too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Event, Thread
from typing import TypeVar

from streamer import clock
from streamer.errors import PlatformError
from streamer.transport.base import Binding, Connection, Parts, Transport

OpenTransport = Callable[[], Transport]
T = TypeVar("T")

PATIENCE_S = 30.0
ANY_ENDPOINT = "tcp://127.0.0.1:0"
LARGE_BYTES = 8 << 20
MANY_FRAMES = 100_000
_TURN_S = 0.01


def until(transports: Sequence[Transport], attempt: Callable[[], T | None], wish: str) -> T:
    """Try until there is a value, waiting on each wire in turn."""
    deadline = clock.now() + PATIENCE_S
    while (found := attempt()) is None:
        assert clock.now() < deadline, f"{wish}: not in {PATIENCE_S:g} s"
        for transport in transports:
            transport.wait(_TURN_S)
    return found


class Line:
    """A producer that is bound, a consumer that is connected, and the route between them."""

    def __init__(self, open_transport: OpenTransport) -> None:
        self.near, self.far = open_transport(), open_transport()
        self.binding: Binding = self.near.bind(ANY_ENDPOINT)
        self.connection: Connection = self.far.connect(self.binding.endpoint)
        self.route = self.greet()

    def greet(self, connection: Connection | None = None, word: bytes = b"hello") -> bytes:
        """Let a consumer say a word; gives the route that it came on."""
        speaker = connection or self.connection
        self.until(lambda: speaker.send([word]) or None, "a connection")
        while True:
            route, parts = self.until(self.binding.receive, "a frame of the consumer")
            if parts == [word]:
                return route

    def until(self, attempt: Callable[[], T | None], wish: str) -> T:
        return until([self.near, self.far], attempt, wish)

    def received(self, count: int = 1) -> list[Parts]:
        return [self.until(self.connection.receive, "a frame of the producer") for _ in range(count)]


class _Frames:
    def test_a_frame_comes_as_it_was_sent_in_both_directions(self, open_transport: OpenTransport) -> None:
        line = Line(open_transport)
        parts = [b"header", b"", bytes(range(256)), b""]
        assert line.binding.send(line.route, parts)
        assert line.received() == [parts]
        assert line.connection.send(parts)
        assert line.until(line.binding.receive, "an answer") == (line.route, parts)

    def test_empty_parts_are_parts(self, open_transport: OpenTransport) -> None:
        line = Line(open_transport)
        assert line.binding.send(line.route, [b""])
        assert line.binding.send(line.route, [b"", b"", b""])
        assert line.received(2) == [[b""], [b"", b"", b""]]

    def test_large_frames_come_whole(self, open_transport: OpenTransport) -> None:
        line = Line(open_transport)
        large = [b"header", bytes(LARGE_BYTES), b"tail"]
        for _ in range(4):
            assert line.binding.send(line.route, large)
        assert line.received(4) == [large] * 4

    def test_frames_of_a_route_come_in_order_and_none_is_dropped_however_many_wait(
        self, open_transport: OpenTransport
    ) -> None:
        line = Line(open_transport)
        for n in range(MANY_FRAMES):
            assert line.binding.send(line.route, [n.to_bytes(4, "big"), bytes(48)])
        for n in range(MANY_FRAMES):
            head, _ = line.until(line.connection.receive, f"frame {n}")
            assert int.from_bytes(head, "big") == n

    def test_frames_of_a_consumer_come_in_order_too(self, open_transport: OpenTransport) -> None:
        line = Line(open_transport)
        for n in range(1000):
            assert line.connection.send([n.to_bytes(4, "big")])
        found = [line.until(line.binding.receive, f"frame {n}") for n in range(1000)]
        assert found == [(line.route, [n.to_bytes(4, "big")]) for n in range(1000)]

    def test_where_nothing_has_come_nothing_is_received(self, open_transport: OpenTransport) -> None:
        line = Line(open_transport)
        assert line.binding.receive() is None
        assert line.connection.receive() is None


class _Routes:
    def test_each_connection_has_a_route_of_its_own(self, open_transport: OpenTransport) -> None:
        line = Line(open_transport)
        other = line.far.connect(line.binding.endpoint)
        second = line.greet(other, b"second")
        assert second != line.route
        assert line.binding.send(second, [b"for the second"])
        assert line.binding.send(line.route, [b"for the first"])
        assert line.until(other.receive, "a frame") == [b"for the second"]
        assert line.received() == [[b"for the first"]]

    def test_a_route_that_never_was_is_gone(self, open_transport: OpenTransport) -> None:
        assert not Line(open_transport).binding.send(b"never", [b"x"])

    def test_the_route_of_a_connection_that_was_closed_is_gone(self, open_transport: OpenTransport) -> None:
        line = Line(open_transport)
        line.connection.close()
        line.until(lambda: not line.binding.send(line.route, [b"x"]) or None, "a send that is refused")

    def test_a_consumer_without_a_producer_cannot_send(self, open_transport: OpenTransport) -> None:
        line = Line(open_transport)
        line.binding.close()
        line.until(lambda: not line.connection.send([b"x"]) or None, "a send that is refused")

    def test_a_connection_is_made_again_by_itself_and_has_a_fresh_route(self, open_transport: OpenTransport) -> None:
        line = Line(open_transport)
        endpoint = line.binding.endpoint
        line.binding.close()
        line.until(lambda: not line.connection.send([b"lost"]) or None, "a send that is refused")
        line.binding = line.until(lambda: _bound(line.near, endpoint), "the endpoint once more")
        fresh = line.greet(word=b"again")
        assert fresh != line.route
        assert not line.binding.send(line.route, [b"to the old one"])
        assert line.binding.send(fresh, [b"to the new one"])
        assert line.received() == [[b"to the new one"]]


class _Endpoints:
    def test_a_free_endpoint_is_chosen_and_named(self, open_transport: OpenTransport) -> None:
        transport = open_transport()
        endpoints = {transport.bind(ANY_ENDPOINT).endpoint for _ in range(3)}
        assert len(endpoints) == 3
        assert not any(endpoint.endswith(":0") for endpoint in endpoints)

    def test_an_endpoint_that_is_taken_is_refused_by_name(self, open_transport: OpenTransport) -> None:
        taken = open_transport().bind(ANY_ENDPOINT).endpoint
        try:
            open_transport().bind(taken)
        except PlatformError as error:
            assert taken in str(error)
        else:
            raise AssertionError("an endpoint was bound twice")

    def test_an_endpoint_is_free_again_after_its_binding_was_closed(self, open_transport: OpenTransport) -> None:
        transport = open_transport()
        first = transport.bind(ANY_ENDPOINT)
        first.close()
        again = until([transport], lambda: _bound(transport, first.endpoint), "the endpoint once more")
        assert again.endpoint == first.endpoint


class _Waiting:
    def test_a_wait_ends_by_itself(self, open_transport: OpenTransport) -> None:
        began = clock.now()
        open_transport().wait(0.01)
        assert clock.now() - began < PATIENCE_S

    def test_a_wait_ends_when_a_frame_comes(self, open_transport: OpenTransport) -> None:
        line = Line(open_transport)
        began = clock.now()
        for n in range(100):
            assert line.binding.send(line.route, [bytes([n])])
            while line.connection.receive() is None:
                line.far.wait(PATIENCE_S)
        assert clock.now() - began < PATIENCE_S

    def test_another_thread_can_end_a_wait(self, open_transport: OpenTransport) -> None:
        transport = open_transport()
        woken, over = Event(), Event()

        def wait() -> None:
            transport.wait(PATIENCE_S)
            woken.set()
            over.wait(PATIENCE_S)

        waiting = Thread(target=wait)
        waiting.start()
        transport.wake()
        assert woken.wait(PATIENCE_S / 2)
        over.set()
        waiting.join()

    def test_wakes_may_be_many_and_come_before_the_wait(self, open_transport: OpenTransport) -> None:
        transport = open_transport()
        for _ in range(100_000):
            transport.wake()
        began = clock.now()
        transport.wait(PATIENCE_S)
        assert clock.now() - began < PATIENCE_S / 2

    def test_a_wait_ends_when_a_peer_is_closed_and_nobody_is_disturbed(self, open_transport: OpenTransport) -> None:
        line = Line(open_transport)
        over = Event()

        def consume() -> None:
            while not over.is_set():
                line.connection.receive()
                line.far.wait(_TURN_S)

        consuming = Thread(target=consume)
        consuming.start()
        line.near.close()
        over.set()
        consuming.join(PATIENCE_S)
        assert not consuming.is_alive()


class _Ends:
    def test_an_end_can_be_closed_while_others_go_on(self, open_transport: OpenTransport) -> None:
        line = Line(open_transport)
        other = line.far.connect(line.binding.endpoint)
        second = line.greet(other, b"second")
        line.connection.close()
        assert line.binding.send(second, [b"still here"])
        assert line.until(other.receive, "a frame") == [b"still here"]

    def test_after_the_end_a_wake_of_a_late_thread_does_nothing(self, open_transport: OpenTransport) -> None:
        transport = open_transport()
        transport.close()
        transport.wake()

    def test_a_transport_that_never_met_anybody_can_be_closed(self, open_transport: OpenTransport) -> None:
        transport = open_transport()
        transport.connect("tcp://127.0.0.1:1")
        began = clock.now()
        transport.close()
        assert clock.now() - began < PATIENCE_S / 2

    def test_a_transport_can_be_closed_after_an_endpoint_was_refused(self, open_transport: OpenTransport) -> None:
        taken = open_transport().bind(ANY_ENDPOINT).endpoint
        transport = open_transport()
        assert _bound(transport, taken) is None
        transport.close()

    def test_threads_may_send_one_after_the_other_while_the_owner_waits(self, open_transport: OpenTransport) -> None:
        line = Line(open_transport)

        def send_all() -> None:
            for n in range(5_000):
                line.binding.send(line.route, [n.to_bytes(4, "big")])
                line.near.wake()

        sending = Thread(target=send_all)
        sending.start()
        found: list[Parts] = []
        while len(found) < 5_000:
            line.near.wait(0.001)
            found += line.received()
            line.connection.send([b"thanks"])
            line.binding.receive()
        sending.join()
        assert found == [[n.to_bytes(4, "big")] for n in range(5_000)]


def _bound(transport: Transport, endpoint: str) -> Binding | None:
    try:
        return transport.bind(endpoint)
    except PlatformError:
        return None


class TransportContract(_Frames, _Routes, _Endpoints, _Waiting, _Ends):
    """All of it."""
