"""One process of the reference: a source, a relay or a sink in the fewest lines that do it.

It prints where it has bound, so that the next process can connect, and its count at the end. High-water marks hold as
many bytes as the engine's credit, because an unbounded queue would measure memory and not a flow. There are several
*ways* to carry messages, since what the engine is compared with depends on what is asked.
"""

from __future__ import annotations

import gc
import itertools
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack
import zmq

from benchmarks.scenario.latencies import Latencies
from benchmarks.scenario.loop import Loop
from benchmarks.scenario.pace import Pace
from benchmarks.scenario.tally import REST, Tally
from streamer.cli.output import say
from streamer.limits import CREDIT_BYTES

BATCH = 100
_END = b""


@dataclass(frozen=True, slots=True)
class Link:
    """What a stage has: its sockets, as far as it needs them, the page, and how messages are made.

    `loop` is where the sink tells a source that sends one message at a time, `rate` how many one sends by the clock.
    """

    into: zmq.Socket[bytes]
    out: zmq.Socket[bytes]
    tally: Tally
    payload_bytes: int
    batch: int
    loop: Path
    rate: int


def source(link: Link) -> int:
    pack, send, batch, tally = msgpack.Packer().pack, link.out.send, link.batch, link.tally
    data = b"x" * link.payload_bytes
    for first in itertools.count(0, batch):
        if tally.stopped:
            break
        send(pack([{"id": n, "data": data} for n in range(first, first + batch)]))
    send(_END)
    return first


def on_message(message: dict[str, Any]) -> dict[str, Any]:
    """What the relay's user wrote."""
    message["id"] += 1
    return message


def relay(link: Link) -> int:
    pack, unpack, receive, send = msgpack.Packer().pack, msgpack.unpackb, link.into.recv, link.out.send
    count = 0
    while body := receive():
        messages = unpack(body)
        send(pack([on_message(message) for message in messages]))
        count += len(messages)
    send(_END)
    return count


def sink(link: Link) -> int:
    unpack, receive, tally = msgpack.unpackb, link.into.recv, link.tally
    rest = REST if link.batch > 1 else 0

    def count(_message: dict[str, Any]) -> None:
        tally.count += 1
        if not tally.count & rest:
            tally.show()

    while body := receive():
        for message in unpack(body):
            count(message)
    tally.show()
    return tally.count


def opaque_source(link: Link) -> int:
    send, batch, tally = link.out.send, link.batch, link.tally
    data = b"x" * link.payload_bytes
    count = 0
    while not tally.stopped:
        send(b"".join([data] * batch))
        count += batch
    send(_END)
    return count


def opaque_relay(link: Link) -> int:
    receive, send, batch = link.into.recv, link.out.send, link.batch
    count = 0
    while body := receive():
        send(body)
        count += batch
    send(_END)
    return count


def opaque_sink(link: Link) -> int:
    receive, batch, tally = link.into.recv, link.batch, link.tally
    while receive():
        tally.count += batch
        tally.show()
    return tally.count


def waiting_source(link: Link) -> int:
    """Sends a message once the sink has the one before it."""
    pack, send, tally, now_ns = msgpack.Packer().pack, link.out.send, link.tally, time.monotonic_ns
    wait = Loop(link.loop).wait
    data = b"x" * link.payload_bytes
    for number in itertools.count():
        if tally.stopped:
            break
        send(pack([{"id": number, "at_ns": now_ns(), "data": data}]))
        wait()
    send(_END)
    return number


def paced_source(link: Link) -> int:
    """Sends what has come due by the clock, as one list."""
    pack, send, tally = msgpack.Packer().pack, link.out.send, link.tally
    data, pace = b"x" * link.payload_bytes, Pace(link.rate)
    count = 0
    while not tally.stopped:
        due = pace.due()
        send(pack([{"id": number, "at_ns": pace.at_ns(number), "data": data} for number in due]))
        count = due.stop
    send(_END)
    return count


def answering_sink(link: Link) -> int:
    """Notes how long each message took, and tells the source."""
    return _noted(link, Loop(link.loop).arrived)


def timed_sink(link: Link) -> int:
    """Notes how long each message took."""
    return _noted(link, None)


def _noted(link: Link, arrived: Callable[[], None] | None) -> int:
    unpack, receive, now_ns = msgpack.unpackb, link.into.recv, time.monotonic_ns
    assert isinstance(link.tally, Latencies)
    note = link.tally.note
    while body := receive():
        for message in unpack(body):
            note(now_ns() - message["at_ns"])
            if arrived is not None:
                arrived()
    return link.tally.count


Stage = Callable[[Link], int]


@dataclass(frozen=True, slots=True)
class Way:
    """How messages are carried: so many in a ZeroMQ message, by these stages, counted in a page of this kind."""

    name: str
    batch: int
    source: Stage
    relay: Stage
    sink: Stage
    page: Callable[[Path], Tally] = Tally

    def high_water_mark(self, payload_bytes: int) -> int:
        return max(2, CREDIT_BYTES // (self.batch * payload_bytes))


PACKED = Way("packed", BATCH, source, relay, sink)
SINGLE = Way("single", 1, source, relay, sink)
OPAQUE = Way("opaque", BATCH, opaque_source, opaque_relay, opaque_sink)
IN_TURN = Way("in turn", 1, waiting_source, relay, answering_sink, Latencies)
PACED = Way("paced", 1, paced_source, relay, timed_sink, Latencies)
WAYS = {way.name: way for way in (PACKED, SINGLE, OPAQUE, IN_TURN, PACED)}


def main(way_name: str, page: str, payload: str, rate: str, wire: str, endpoint: str, name: str) -> None:
    way, payload_bytes = WAYS[way_name], int(payload)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    out, into = context.socket(zmq.PUSH), context.socket(zmq.PULL)
    out.setsockopt(zmq.SNDHWM, way.high_water_mark(payload_bytes))
    into.setsockopt(zmq.RCVHWM, way.high_water_mark(payload_bytes))
    link = Link(into, out, way.page(Path(page)), payload_bytes, way.batch, Path(page).with_name("loop"), int(rate))
    if name == "sink":
        say("")
    else:
        out.bind("tcp://127.0.0.1:*" if wire == "tcp" else f"ipc://{Path(page).with_name(name)}")
        say(out.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode())  # type: ignore[union-attr]  # this option is bytes
    if name != "source":
        into.connect(endpoint)
    gc.freeze()
    stage: Stage = {"source": way.source, "relay": way.relay, "sink": way.sink}[name]
    say(str(stage(link)))
    context.destroy(linger=-1)


if __name__ == "__main__":
    main(*sys.argv[1:])
