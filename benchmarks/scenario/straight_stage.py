"""One process of the reference: a source, a relay or a sink in the fewest lines that do it.

It prints where it has bound, so that the next process can connect, and its count at the end. High-water marks hold as
many bytes as the engine's credit, because an unbounded queue would measure memory and not a flow.
"""

from __future__ import annotations

import gc
import itertools
import sys
from pathlib import Path
from typing import Any

import msgpack
import zmq

from benchmarks.scenario.tally import REST, Tally
from streamer.cli.output import say
from streamer.limits import CREDIT_BYTES

BATCH = 100
_END = b""


def _marks(payload_bytes: int) -> int:
    return max(2, CREDIT_BYTES // (BATCH * payload_bytes))


def _bound(context: zmq.Context[zmq.Socket[bytes]], payload_bytes: int) -> zmq.Socket[bytes]:
    socket = context.socket(zmq.PUSH)
    socket.setsockopt(zmq.SNDHWM, _marks(payload_bytes))
    socket.bind("tcp://127.0.0.1:*")
    say(socket.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode())  # type: ignore[union-attr]  # this option is bytes
    return socket


def _connected(context: zmq.Context[zmq.Socket[bytes]], endpoint: str, payload_bytes: int) -> zmq.Socket[bytes]:
    socket = context.socket(zmq.PULL)
    socket.setsockopt(zmq.RCVHWM, _marks(payload_bytes))
    socket.connect(endpoint)
    return socket


def source(out: zmq.Socket[bytes], tally: Tally, payload_bytes: int) -> int:
    pack, send = msgpack.Packer().pack, out.send
    data = b"x" * payload_bytes
    for first in itertools.count(0, BATCH):
        if tally.stopped:
            break
        send(pack([{"id": n, "data": data} for n in range(first, first + BATCH)]))
    send(_END)
    return first


def on_message(message: dict[str, Any]) -> dict[str, Any]:
    """What the relay's user wrote."""
    message["id"] += 1
    return message


def relay(into: zmq.Socket[bytes], out: zmq.Socket[bytes]) -> int:
    pack, unpack, receive, send = msgpack.Packer().pack, msgpack.unpackb, into.recv, out.send
    count = 0
    while body := receive():
        messages = unpack(body)
        send(pack([on_message(message) for message in messages]))
        count += len(messages)
    send(_END)
    return count


def sink(into: zmq.Socket[bytes], tally: Tally) -> int:
    unpack, receive = msgpack.unpackb, into.recv

    def count(_message: dict[str, Any]) -> None:
        tally.count += 1
        if not tally.count & REST:
            tally.show()

    while body := receive():
        for message in unpack(body):
            count(message)
    tally.show()
    return tally.count


def main(page: str, payload: str, endpoint: str, name: str) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    tally, payload_bytes = Tally(Path(page)), int(payload)
    gc.freeze()
    if name == "source":
        count = source(_bound(context, payload_bytes), tally, payload_bytes)
    elif name == "relay":
        out = _bound(context, payload_bytes)
        count = relay(_connected(context, endpoint, payload_bytes), out)
    else:
        say("")
        count = sink(_connected(context, endpoint, payload_bytes), tally)
    say(str(count))
    context.destroy(linger=-1)


if __name__ == "__main__":
    main(*sys.argv[1:])
