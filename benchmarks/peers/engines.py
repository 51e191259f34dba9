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

    python -m benchmarks.peers.engines [--pairs 5] [--window 2] [--only TEXT] [--json FILE]
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.command import chosen, parser_of, publish
from benchmarks.peers.comparison import figure_of, table
from benchmarks.peers.environment import PROGRAMS, interpreter, used
from benchmarks.peers.side import PeerSide, Program
from benchmarks.scenario.engine import EngineSide, algorithm, plan_of, source
from benchmarks.scenario.pairs import Effort, taken
from benchmarks.scenario.tally import Tally

NAME = "peers.engines"
PACKAGES = ("bytewax", "pathway", "streamz", "pyzmq", "msgpack")
PAYLOAD_BYTES = 100
KEYS = 1000
_WARM_UP_S = 1.0
_WARM_UP_COUNT_S = 4.0
"""A source needs a few checkpoints to find out how much it may let in."""


@dataclass(frozen=True, slots=True)
class Case:
    """`work` is done here and by `peer`; `aim` is how many times the peer's rate ours is to be at least."""

    work: str
    peer: str
    aim: float

    @property
    def name(self) -> str:
        return f"{self.work}, beside {self.peer}"


MAP = f"map, {PAYLOAD_BYTES} B"
COUNT = f"count of {KEYS:,} keys, {PAYLOAD_BYTES} B"
CASES = (
    Case(MAP, "Bytewax", 1.5),
    Case(MAP, "Pathway", 4),
    Case(MAP, "streamz", 4),
    Case(COUNT, "Bytewax", 2.5),
)


def engine(case: Case, folder: Path) -> EngineSide:
    tally = folder / "tally"
    last = (
        algorithm("map", "stateless", "map", str(tally))
        if case.work == MAP
        else algorithm("count", "stateful", "keyed", str(tally), KEYS, "state")
    )
    return EngineSide(plan_of([source(PAYLOAD_BYTES), last], folder), folder, Tally(tally))


def peer(case: Case, folder: Path) -> PeerSide:
    return _PEERS[case.peer](case, folder)


def _bytewax(case: Case, folder: Path) -> PeerSide:
    work = "map" if case.work == MAP else "count"
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


def _fed(code: str) -> Callable[[Case, Path], PeerSide]:
    def side(_case: Case, folder: Path) -> PeerSide:
        feed = Program("source", PROGRAMS / "feed.py", (str(PAYLOAD_BYTES),))
        return PeerSide(interpreter(), [feed, Program("map", PROGRAMS / code)], folder)

    return side


_PEERS = {"Bytewax": _bytewax, "Pathway": _fed("pathway_map.py"), "streamz": _fed("streamz_map.py")}


def main(arguments: Sequence[str]) -> int:
    parser = parser_of(NAME, "Engine beside Bytewax, Pathway and streamz.")
    parser.add_argument("--pairs", type=int, default=5, help="measurements of each side")
    parser.add_argument("--window", type=float, default=1.0, metavar="SECONDS", help="length of each")
    options = parser.parse_args(arguments)
    cases = chosen(parser, CASES, options.only)
    peers = used(parser, PACKAGES)
    figures = []
    for work, warm_up_s in ((MAP, _WARM_UP_S), (COUNT, _WARM_UP_COUNT_S)):
        alike = [case for case in cases if case.work == work]
        pairs = taken(alike, engine, peer, Effort(options.pairs, options.window, warm_up_s))
        figures += [figure_of(case, pairs[case.name]) for case in alike]
    publish(NAME, arguments, figures, table("work", figures), options.json, peers)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
