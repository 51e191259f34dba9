"""The source process of engines that run in one process: it sends messages to it by pyzmq and msgpack.

These engines have no border between processes of their own, short of a broker. So each gets the cheapest that there is:
a hundred messages packed as one list, PUSH to PULL over loopback TCP. High-water marks bound what is under way.

    feed.py FOLDER PAYLOAD_BYTES
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from typing import Any

import msgpack
import zmq
from tally import Tally, neighbour, say

BATCH = 100
_MARK = 80
"""At either end: enough for a tenth of a second, and few enough that the end of a side is no wait for the rest."""
_END = b""


def batches(endpoint: str) -> Iterator[list[dict[str, Any]]]:
    """What a source sends that is bound there, until its end."""
    into: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PULL)
    into.setsockopt(zmq.RCVHWM, _MARK)
    into.connect(endpoint)
    while body := into.recv():
        yield msgpack.unpackb(body)


def main(folder: str, payload: str) -> None:
    tally, data, pack = Tally(folder), b"x" * int(payload), msgpack.Packer().pack
    out: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PUSH)
    out.setsockopt(zmq.SNDHWM, _MARK)
    out.bind("tcp://127.0.0.1:*")
    neighbour(out.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode())
    for first in itertools.count(0, BATCH):
        if tally.stopped:
            break
        out.send(pack([{"id": number, "data": data} for number in range(first, first + BATCH)]))
    out.send(_END)
    say(str(first))


if __name__ == "__main__":
    main(*sys.argv[1:])
    zmq.Context.instance().destroy(linger=-1)
