"""Our engine beside other Python engines, with the same messages and the same functions: a map, and a count by key.

A message is `{"id": n, "data": 100 bytes}`, and goes from one process to another. The map adds one to `id`, and the
message is counted; on our side that is a `start`, called for each message, behind the generator connector, at least
once: acknowledged, settled and in the account. The others promise nothing in this case.

* Bytewax is two worker processes of one cluster, and `redistribute` between source and map. That deals half of the
  messages out to the process that made them, so both its processes share the work, and half of it crosses no border.
* Pathway and streamz run in one process. A source process feeds it by pyzmq and msgpack, a hundred messages at a time:
  a Python connector of Pathway, a loop over `emit` of streamz. Each message crosses, in the cheapest way that there is.

The count by key survives a kill on both sides: our `api.state`, with a checkpoint every 100 ms, which is what a
pipeline has that asks for nothing, and Bytewax's `stateful_map` with its recovery store, with a snapshot every second.

A round takes ours and all others of the same work, so that ours is measured once for all of them.

    python -m benchmarks.peers.engines [--rounds 5] [--window 1] [--only TEXT] [--json FILE]
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks.aims import Aim
from benchmarks.peers.environment import PROGRAMS, interpreter
from benchmarks.peers.side import PeerSide, Program
from benchmarks.scenario.engine import EngineSide, Node, algorithm, plan_of, source
from benchmarks.scenario.rounds import Case, Entrant, Rounds
from benchmarks.scenario.side import Side
from benchmarks.scenario.tally import Tally

PAYLOAD_BYTES = 100
KEYS = 1000
_AIMS = {
    name: Aim(f"map across a process border beside {name}", ratio)
    for name, ratio in (("Bytewax", 1.5), ("Pathway", 4), ("streamz", 4))
}
_COUNT_AIM = Aim("keyed count with checkpointed state beside Bytewax's with its recovery", 2.5)
_WARM_UP_S = 0.6
_WARM_UP_COUNT_S = 2.5
"""A source needs a few checkpoints to find out how much it may let in."""


def our_map(folder: Path) -> EngineSide:
    return _ours(algorithm("map", "stateless", "map", str(folder / "tally")), folder)


def our_count(folder: Path) -> EngineSide:
    return _ours(algorithm("count", "stateful", "keyed", str(folder / "tally"), KEYS, "state"), folder)


def _ours(last: Node, folder: Path) -> EngineSide:
    return EngineSide(plan_of([source(PAYLOAD_BYTES), last], folder), folder, Tally(folder / "tally"))


def bytewax(work: str, folder: Path) -> PeerSide:
    addresses = ",".join(f"127.0.0.1:{port}" for port in _free_ports(2))
    programs = [
        Program(name, PROGRAMS / "bytewax_flow.py", (work, str(number), addresses, str(PAYLOAD_BYTES), str(KEYS)))
        for number, name in enumerate(("source and half", "half"))
    ]
    return PeerSide(interpreter(), programs, folder, tallies=len(programs))


def _free_ports(count: int) -> list[int]:
    """Bytewax wants to know all ports before it starts; that nobody else takes one until then is hoped for."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def fed(code: str, folder: Path) -> PeerSide:
    feed = Program("source", PROGRAMS / "feed.py", (str(PAYLOAD_BYTES),))
    return PeerSide(interpreter(), [feed, Program("map", PROGRAMS / code)], folder)


def _peer(name: str, make: Callable[[Path], Side], *packages: str) -> Entrant:
    return Entrant(name, make, packages=packages)


ROUNDS = Rounds(
    "peers.engines",
    "Engine beside Bytewax, Pathway and streamz.",
    [
        Case(
            f"map, {PAYLOAD_BYTES} B",
            [
                _peer("Bytewax", partial(bytewax, "map"), "bytewax"),
                _peer("Pathway", partial(fed, "pathway_map.py"), "pathway", "pyzmq", "msgpack"),
                _peer("streamz", partial(fed, "streamz_map.py"), "streamz", "pyzmq", "msgpack"),
                Entrant("engine", our_map, _AIMS),
            ],
            _WARM_UP_S,
        ),
        Case(
            f"count of {KEYS:,} keys, {PAYLOAD_BYTES} B",
            [
                _peer("Bytewax", partial(bytewax, "count"), "bytewax"),
                Entrant("engine", our_count, {"Bytewax": _COUNT_AIM}),
            ],
            _WARM_UP_COUNT_S,
        ),
    ],
    window_s=1.0,
)

if __name__ == "__main__":
    sys.exit(ROUNDS.main(sys.argv[1:]))
