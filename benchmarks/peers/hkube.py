"""Our engine beside the streaming of HKube's Python wrapper, which runs the same algorithms by the same interface.

Both sides are two or three processes on this machine, connected over loopback TCP by ZeroMQ, and carry msgpack of
`{"id": n, "data": bytes}`. A *stateless* node is a `start` called for each message, a *stateful* one an `onMessage`; a
relay adds one to `id` and sends the message on, a sink counts. HKube runs without a cluster, its nodes set up as its
worker would do it (`programs/hkube_node.py`). What it does not do is part of the comparison and not made up for: a
message that its listener has taken is acknowledged to nobody, and one for which its queue has no room is lost.

Our source is a connector, which HKube does not have: its sources are algorithms that send in a loop. HKube's source
waits while a hundred messages are queued, which makes it several times faster than one that floods its queue, and keeps
it from losing messages.

    python -m benchmarks.peers.hkube [--pairs 5] [--window 1] [--only TEXT] [--json FILE]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.command import Named, chosen, parser_of, publish
from benchmarks.peers import latency
from benchmarks.peers.comparison import figure_of, table
from benchmarks.peers.environment import PROGRAMS, interpreter, used
from benchmarks.peers.side import PeerSide, Program
from benchmarks.scenario.engine import EngineSide, algorithm, plan_of, source
from benchmarks.scenario.pairs import Effort, taken
from benchmarks.scenario.tally import EVERY, Tally

NAME = "peers.hkube"
PACKAGES = ("hkube-python-wrapper", "pyzmq", "msgpack")
_WARM_UP_S = 0.5
_LARGE_BYTES = 64_000


@dataclass(frozen=True, slots=True)
class Case:
    """One pipeline. `aim` is how many times HKube's rate ours is to be at least."""

    relay: bool
    state_type: str
    payload_bytes: int
    aim: float | None = None

    @property
    def name(self) -> str:
        middle = " -> relay" if self.relay else ""
        return f"connector{middle} -> sink, {self.state_type}, {self.payload_bytes:,} B"


RATES = (
    *(
        Case(relay, state_type, payload_bytes, aim)
        for payload_bytes, relay, aim in ((100, False, 200), (100, True, 130), (1000, False, 150), (1000, True, 80))
        for state_type in ("stateless", "stateful")
    ),
    *(Case(False, "stateful", payload_bytes, 4) for payload_bytes in (64_000, 1_000_000)),
)
LATENCY = latency.Case(100, 30)
CASES: Sequence[Named] = (*RATES, LATENCY)


def engine(case: Case, folder: Path) -> EngineSide:
    tally, size = folder / "tally", case.payload_bytes
    relay = [algorithm("relay", case.state_type, "relay")] if case.relay else []
    every = 1 if size >= _LARGE_BYTES else EVERY
    sink = algorithm("sink", case.state_type, "count", str(tally), every)
    return EngineSide(plan_of([source(size), *relay, sink], folder), folder, Tally(tally))


def peer(case: Case, folder: Path) -> PeerSide:
    return _nodes(("source", "relay", "sink") if case.relay else ("source", "sink"), case, folder)


def peer_one_by_one(case: latency.Case, folder: Path) -> PeerSide:
    return _nodes(("source", "relay", "sink"), Case(True, "stateful", case.payload_bytes), folder)


def _nodes(nodes: Sequence[str], case: Case, folder: Path) -> PeerSide:
    code, all_nodes = PROGRAMS / "hkube_node.py", ",".join(nodes)
    programs = [Program(node, code, (node, case.state_type, all_nodes, str(case.payload_bytes))) for node in nodes]
    return PeerSide(interpreter(), programs, folder)


def main(arguments: Sequence[str]) -> int:
    parser = parser_of(NAME, "Engine beside HKube's Python wrapper.")
    parser.add_argument("--pairs", type=int, default=5, help="measurements of each side")
    parser.add_argument("--window", type=float, default=0.7, metavar="SECONDS", help="length of each")
    options = parser.parse_args(arguments)
    cases = chosen(parser, CASES, options.only)
    peers = used(parser, PACKAGES)
    effort = Effort(options.pairs, options.window, _WARM_UP_S, tries=1)
    rates = [case for case in cases if isinstance(case, Case)]
    pairs = taken(rates, engine, peer, effort)
    figures: list[dict[str, Any]] = [figure_of(case, pairs[case.name]) for case in rates]
    tables = [table("pipeline", figures)] if figures else []
    if LATENCY in cases:
        figures.append(latency.compare(LATENCY, peer_one_by_one, effort))
        tables.append(latency.table(figures[-1:]))
    publish(NAME, arguments, figures, "\n\n".join(tables), options.json, peers)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
