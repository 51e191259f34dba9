"""One node of HKube's Python wrapper, as HKube's worker would drive it, without the worker and its cluster.

A worker tells the wrapper over a WebSocket which flows there are, which nodes come next, and where its parents
listen; the wrapper then sets up its streaming. Here these calls are made directly, with the wrapper's own defaults,
and everything that a message meets afterwards is HKube's: its API, its queue, its protocol over ZeroMQ, its listener
thread. Its statistics go nowhere.

The source waits while the wrapper's queue holds more than 100 messages. Without that the queue, a list from whose
front messages are taken, grows without bound and HKube is slower still.

    hkube_node.py FOLDER NODE NODES PAYLOAD_BYTES
"""

from __future__ import annotations

import itertools
import os
import struct
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zmq
from hkube_python_wrapper.codeApi.hkube_api import HKubeApi
from hkube_python_wrapper.communication.streaming.StreamingManager import StreamingManager
from hkube_python_wrapper.config import config
from tally import Tally, neighbour, say

QUEUED_MAX = 100
_LOOK_EVERY = 16
_WAIT_S = 0.0005


def streaming(node: str, nodes: list[str]) -> HKubeApi:
    """The wrapper's API with a producer to the next node and a listener to the one before, if there are such."""
    manager = StreamingManager()
    manager.setParsedFlows(
        {"main": [{"source": one, "next": [other]} for one, other in itertools.pairwise(nodes)]}, "main"
    )
    here = nodes.index(node)
    defaults, encoding, port = config.discovery["streaming"], config.discovery["encoding"], ""
    if following := nodes[here + 1 : here + 2]:
        producer = {**defaults, "port": "*", "encoding": encoding}
        manager.setupStreamingProducer(lambda _statistics: None, producer, following, node)
        bound = manager.messageProducer.adapter._backend.getsockopt(zmq.LAST_ENDPOINT)
        port = bound.rstrip(b"\0").decode().rpartition(":")[2]
    address = {"host": "127.0.0.1", "port": neighbour(port)}
    if here:
        parent = {"nodeName": nodes[here - 1], "address": address, "type": "Add"}
        manager.setupStreamingListeners({"encoding": encoding}, [parent], node)
    return HKubeApi(None, None, None, config.storage["mode"], manager)


def send(api: HKubeApi, tally: Tally, payload_bytes: int) -> None:
    data = b"x" * payload_bytes
    for number in itertools.count():
        if not number % _LOOK_EVERY:
            while api.get_streaming_statistics()["statisticsPerNode"][0]["queueSize"] > QUEUED_MAX:
                time.sleep(_WAIT_S)
            if tally.stopped:
                break
        api.sendMessage({"id": number, "data": data})
    say(str(number))


def send_one_by_one(api: HKubeApi, folder: Path, payload_bytes: int) -> None:
    data, turn = b"x" * payload_bytes, os.open(folder / "turn", os.O_RDWR)
    for number in itertools.count():
        api.sendMessage({"id": number, "sent_ns": time.monotonic_ns(), "data": data})
        os.read(turn, 1)


def counting(tally: Tally) -> Callable[[dict[str, Any]], None]:
    def handle(_message: dict[str, Any]) -> None:
        tally.add(1)

    return handle


def timing(folder: Path) -> Callable[[dict[str, Any]], None]:
    turn = os.open(folder / "turn", os.O_RDWR)
    times = os.open(folder / "times", os.O_WRONLY | os.O_APPEND)

    def handle(message: dict[str, Any]) -> None:
        os.write(times, struct.pack("<q", time.monotonic_ns() - message["sent_ns"]))
        os.write(turn, b".")

    return handle


def changed(message: dict[str, Any]) -> dict[str, Any]:
    message["id"] += 1
    return message


def listen(api: HKubeApi, handle: Callable[[dict[str, Any]], Any], *, relay: bool) -> None:
    """Handle messages until the process is ended. A relay sends what `handle` returns."""
    if relay:
        api.registerInputListener(lambda message, _origin: api.sendMessage(handle(message)))
    else:
        api.registerInputListener(lambda message, _origin: handle(message))
    api.startMessageListening()
    threading.Event().wait()


def main(place: str, node: str, names: str, payload: str) -> None:
    folder, nodes = Path(place), names.split(",")
    api = streaming(node, nodes)
    timed = (folder / "turn").exists()
    if node == "source":
        if timed:
            send_one_by_one(api, folder, int(payload))
        send(api, Tally(place), int(payload))
        threading.Event().wait()
    elif node == "relay":
        listen(api, changed, relay=True)
    else:
        listen(api, timing(folder) if timed else counting(Tally(place)), relay=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
