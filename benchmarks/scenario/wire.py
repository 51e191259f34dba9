"""What another wire would give: raw pyzmq over `ipc`, beside the same over loopback `tcp`.

The engine speaks tcp, on one machine too. Unix sockets are the other way that ZeroMQ has between two processes of a
machine; how much faster it is at most is seen without the engine, whose own work is the same over both. *One at a time*
the next message is sent when the last one has arrived, so that its rate tells the latency. Large payloads are not taken
here; decision 10 has a figure of them.

    python -m benchmarks.scenario.wire [--rounds 5] [--only TEXT] [--json FILE]
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from benchmarks.scenario.rounds import Case, Entrant, Rounds
from benchmarks.scenario.straight import StraightSide
from benchmarks.scenario.straight_stage import IN_TURN, PACKED, Way


def side(payload_bytes: int, relay: bool, way: Way, ipc: bool, folder: Path) -> StraightSide:
    return StraightSide(folder / "page", payload_bytes, relay=relay, way=way, ipc=ipc)


def _case(name: str, payload_bytes: int, relay: bool, way: Way) -> Case:
    return Case(
        name,
        [
            Entrant("tcp", partial(side, payload_bytes, relay, way, False)),
            Entrant("ipc", partial(side, payload_bytes, relay, way, True), {"tcp": None}),
        ],
    )


ROUNDS = Rounds(
    "scenario.wire",
    "Raw pyzmq over ipc, beside tcp.",
    (
        _case("source -> sink, 100 B", 100, False, PACKED),
        _case("source -> relay -> sink, one at a time", 100, True, IN_TURN),
    ),
)

if __name__ == "__main__":
    sys.exit(ROUNDS.main(sys.argv[1:]))
