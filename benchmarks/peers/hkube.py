"""The streaming of HKube's Python wrapper as a side, which runs the same algorithms by the same interface.

Two or three processes on this machine, connected over loopback TCP by ZeroMQ, carry msgpack of `{"id": n, "data":
bytes}`. A relay adds one to `id` and sends the message on, a sink counts; both handle messages by `onMessage`. HKube
runs without a cluster, its nodes set up as its worker would do it (`programs/hkube_node.py`). What it does not do is
part of the comparison and not made up for: a message that its listener has taken is acknowledged to nobody, and one for
which its queue has no room is lost.

Our source is a connector, which HKube does not have: its sources are algorithms that send in a loop. HKube's source
waits while a hundred messages are queued, which makes it several times faster than one that floods its queue, and keeps
it from losing messages.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.peers.environment import PROGRAMS, interpreter
from benchmarks.peers.side import PeerSide, Program

PACKAGES = ("hkube-python-wrapper", "pyzmq", "msgpack")


def side(payload_bytes: int, relay: bool, folder: Path) -> PeerSide:
    code, nodes = PROGRAMS / "hkube_node.py", ("source", "relay", "sink") if relay else ("source", "sink")
    programs = [Program(node, code, (node, ",".join(nodes), str(payload_bytes))) for node in nodes]
    return PeerSide(interpreter(), programs, folder)
