"""The control link over a real socket: who is heard, who is refused, where a command goes."""

from __future__ import annotations

from collections.abc import Iterator

import msgpack
import pytest
import zmq

from streamer import limits
from streamer.control.hosts.link import ControlLink
from streamer.metrics.samples import InstanceSample, InstanceState
from streamer.plan.assignment import Command, Verb

_PATIENCE_MS = 10_000


class Caller:
    """An instance's end."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str) -> None:
        self._socket = context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.connect(endpoint)

    def send(self, token: bytes, body: bytes) -> None:
        self._socket.send_multipart([token, body])

    def report(self, epoch: int = 1, token: bytes = b"secret") -> None:
        sample = InstanceSample("parse-0", "parse", epoch, InstanceState.RUNNING)
        self.send(token, msgpack.packb(sample.to_wire()))

    def hears(self) -> Command | None:
        if not self._socket.poll(_PATIENCE_MS):
            return None
        return Command.from_wire(msgpack.unpackb(self._socket.recv()))


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    yield context
    context.destroy(linger=0)


@pytest.fixture
def link() -> Iterator[ControlLink]:
    link = ControlLink("secret")
    yield link
    link.close()


def receive(link: ControlLink) -> list[InstanceSample]:
    assert link.socket.poll(_PATIENCE_MS), "nothing came"
    return list(link.receive())


def test_a_sample_with_the_token_is_heard_and_answered(
    link: ControlLink, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    caller = Caller(context, link.endpoint)
    caller.report()
    assert [sample.instance for sample in receive(link)] == ["parse-0"]
    link.send("parse-0", 1, Command(Verb.DRAIN))
    assert caller.hears() == Command(Verb.DRAIN)


@pytest.mark.parametrize(
    ("token", "body"),
    [
        pytest.param(b"guess", msgpack.packb({}), id="wrong token"),
        pytest.param(b"secret", b"\xc1", id="not msgpack"),
        pytest.param(b"secret", b"", id="nothing"),
        pytest.param(b"secret", msgpack.packb([1, 2]), id="not a map"),
        pytest.param(b"secret", msgpack.packb({"state": "running"}), id="not a sample"),
    ],
)
def test_what_is_foreign_or_cannot_be_read_is_refused_and_counted(
    link: ControlLink, context: zmq.Context[zmq.Socket[bytes]], token: bytes, body: bytes
) -> None:
    caller = Caller(context, link.endpoint)
    caller.send(token, body)
    assert receive(link) == []
    assert link.refused == 1


def test_a_command_goes_to_the_connection_of_the_latest_life(
    link: ControlLink, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    first, second = Caller(context, link.endpoint), Caller(context, link.endpoint)
    second.report(epoch=2)
    receive(link)
    first.report(epoch=1)
    receive(link)
    link.send("parse-0", 1, Command(Verb.DRAIN))
    link.send("parse-0", 2, Command(Verb.END))
    assert second.hears() == Command(Verb.END)


def test_a_command_to_somebody_unknown_is_dropped(link: ControlLink) -> None:
    link.send("nobody-0", 1, Command(Verb.DRAIN))


def test_a_message_over_the_limit_does_not_come_in(link: ControlLink, context: zmq.Context[zmq.Socket[bytes]]) -> None:
    loud, quiet = Caller(context, link.endpoint), Caller(context, link.endpoint)
    loud.send(b"secret", bytes(limits.CONTROL_FRAME_BYTES_MAX + 1))
    quiet.report()
    assert len(receive(link)) == 1
    assert link.refused == 0
