"""How much of the wire is used: the engine beside pyzmq that carries batches and never looks into them.

The reference of `throughput` packs and unpacks each message, as an algorithm needs it. This one joins a hundred
payloads, sends them as one piece, and its sink counts pieces: it is the most that ZeroMQ gives a Python process. What
the engine reaches of it is small at 100 B, where the messages are what costs, and grows with their size. The figure to
look at is the lower one of stateless and stateful.

    python -m benchmarks.scenario.opaque [--rounds 5] [--only TEXT] [--json FILE]
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from benchmarks.scenario import throughput
from benchmarks.scenario.rounds import Case, Entrant, Rounds
from benchmarks.scenario.straight import StraightSide
from benchmarks.scenario.straight_stage import OPAQUE

_AIMS = {100: 0.12, 1000: 0.40}


def opaque(payload_bytes: int, relay: bool, folder: Path) -> StraightSide:
    return StraightSide(folder / "tally", payload_bytes, relay=relay, way=OPAQUE)


def _case(payload_bytes: int, relay: bool) -> Case:
    pipelines = {
        state_type: throughput.Case("connector", relay, state_type, payload_bytes)
        for state_type in ("stateless", "stateful")
    }
    return Case(
        f"connector{' -> relay' if relay else ''} -> sink, {payload_bytes} B",
        Entrant("opaque", partial(opaque, payload_bytes, relay)),
        [
            Entrant(state_type, partial(throughput.engine, pipeline), _AIMS[payload_bytes])
            for state_type, pipeline in pipelines.items()
        ],
    )


ROUNDS = Rounds(
    "scenario.opaque",
    "Engine beside raw pyzmq without a codec.",
    tuple(_case(payload_bytes, relay) for payload_bytes in _AIMS for relay in (False, True)),
)

if __name__ == "__main__":
    sys.exit(ROUNDS.main(sys.argv[1:]))
