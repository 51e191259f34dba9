"""ZeroMQ over loopback keeps the contract, and the habits of its sockets that the protocol relies on."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from streamer.errors import PeerError, PlatformError
from streamer.limits import SESSION_TIMEOUT_S
from streamer.protocol.frames import kind_of
from streamer.testing.transport_contract import ANY_ENDPOINT, Line, OpenTransport, TransportContract, until
from streamer.transport import zeromq
from streamer.transport.zeromq import PORTS, ZmqTransport


@pytest.fixture
def open_transport() -> Iterator[OpenTransport]:
    opened: list[ZmqTransport] = []

    def open_one() -> ZmqTransport:
        transport = ZmqTransport()
        opened.append(transport)
        return transport

    yield open_one
    for transport in opened:
        transport.context.destroy(linger=0)


class TestZmqTransport(TransportContract):
    """Over tcp on this machine."""


def port_of(endpoint: str) -> int:
    return int(endpoint.rpartition(":")[2])


def test_a_port_is_chosen_where_no_connection_can_take_it_by_itself(open_transport: OpenTransport) -> None:
    assert port_of(open_transport().bind(ANY_ENDPOINT).endpoint) in PORTS


def test_a_port_that_another_program_holds_is_refused(open_transport: OpenTransport) -> None:
    with socket.socket() as foreign:
        foreign.bind(("127.0.0.1", 0))
        foreign.listen()
        endpoint = f"tcp://127.0.0.1:{foreign.getsockname()[1]}"
        with pytest.raises(PlatformError, match="cannot be bound: Address already in use"):
            open_transport().bind(endpoint)


def test_an_endpoint_that_cannot_be_is_refused_and_the_transport_still_closes(open_transport: OpenTransport) -> None:
    transport = open_transport()
    with pytest.raises(PlatformError):
        transport.bind("tcp://256.256.256.256:0")
    with pytest.raises(PlatformError):
        transport.bind("nowhere")
    transport.close()


def test_a_descriptor_of_the_work_ends_a_wait(open_transport: OpenTransport) -> None:
    transport = open_transport()
    reader, writer = os.pipe()
    os.write(writer, b"x")
    transport.wait(60.0, (reader,))
    os.read(reader, 1)
    transport.wait(0.0, (reader,))
    transport.wait(0.0, ())
    os.close(reader)
    os.close(writer)


def test_what_a_stranger_says_never_comes_on_the_route_of_a_consumer(open_transport: OpenTransport) -> None:
    # libzmq takes some of it for frames of its own first version; the protocol refuses them.
    line = Line(open_transport)
    with socket.create_connection(("127.0.0.1", port_of(line.binding.endpoint))) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n" * 100)
        assert line.binding.send(line.route, [b"for the consumer"])
        assert line.received() == [[b"for the consumer"]]
        while (found := line.binding.receive()) is not None:
            assert found[0] != line.route
            with pytest.raises(PeerError):
                kind_of(found[1])


def test_a_connection_waits_for_a_producer_that_comes_later(open_transport: OpenTransport) -> None:
    with socket.socket() as placeholder:
        placeholder.bind(("127.0.0.1", 0))
        endpoint = f"tcp://127.0.0.1:{placeholder.getsockname()[1]}"
    far, near = open_transport(), open_transport()
    connection = far.connect(endpoint)
    assert not connection.send([b"too early"])
    binding = near.bind(endpoint)
    until([near, far], lambda: connection.send([b"now"]) or None, "a connection")
    _, parts = until([near, far], binding.receive, "a frame")
    assert parts == [b"now"]


def descriptors_here() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_every_socket_is_given_back(open_transport: OpenTransport) -> None:
    transport = open_transport()
    before = descriptors_here()
    for _ in range(50):
        binding = transport.bind(ANY_ENDPOINT)
        connection = transport.connect(binding.endpoint)
        connection.close()
        binding.close()
    transport.close()
    assert descriptors_here() <= before


def test_heartbeats_find_a_dead_peer_before_the_session_gives_it_up() -> None:
    with zmq.Context() as context, context.socket(zmq.DEALER) as probe:
        zeromq._options(probe)
        assert probe.getsockopt(zmq.SNDHWM) == probe.getsockopt(zmq.RCVHWM) == 0
        beat_ms, patience_ms = (int(probe.getsockopt(o)) for o in (zmq.HEARTBEAT_IVL, zmq.HEARTBEAT_TIMEOUT))
        assert 0 < beat_ms < patience_ms < 1000 * SESSION_TIMEOUT_S
