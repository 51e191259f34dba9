"""Large payloads: the engine beside pyzmq and msgpack that pack each message by itself and let ZeroMQ copy it.

HKube's Python wrapper is taken beside them, where the peers are installed.

Buffers of 128 KiB and more travel beside their message, uncopied, and smaller ones in it. So the one size lies below
that limit, where the engine copies as often as the reference, and the other above it.

    python -m benchmarks.scenario.payloads [--rounds 5] [--only TEXT] [--json FILE]
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from benchmarks.aims import Aim
from benchmarks.peers import hkube
from benchmarks.scenario.engine import EngineSide, algorithm, plan_of, source
from benchmarks.scenario.rounds import Case, Entrant, Rounds
from benchmarks.scenario.straight import StraightSide
from benchmarks.scenario.straight_stage import SINGLE
from benchmarks.scenario.tally import Tally
from streamer.limits import KIB

_AIMS = {
    64 * KIB: Aim("payloads of 64 KiB beside raw pyzmq that copies", 0.9),
    1024 * KIB: Aim("payloads of 1 MiB beside raw pyzmq that copies", 1.3),
}
_HKUBE_AIM = Aim("payloads of 64 KiB and 1 MiB beside HKube", 4)
_SHOWN_EVERY = 1
"""Some thousand messages pass in a second: a count that is told once in 256 would be too coarse."""


def engine(payload_bytes: int, folder: Path) -> EngineSide:
    tally = folder / "tally"
    sink = algorithm("sink", "stateful", "count", str(tally), _SHOWN_EVERY)
    return EngineSide(plan_of([source(payload_bytes), sink], folder), folder, Tally(tally))


def straight(payload_bytes: int, folder: Path) -> StraightSide:
    return StraightSide(folder / "tally", payload_bytes, relay=False, way=SINGLE)


def _case(payload_bytes: int, aim: Aim) -> Case:
    return Case(
        f"source -> sink, {payload_bytes // KIB:,} KiB",
        [
            Entrant("HKube", partial(hkube.side, payload_bytes, False), packages=hkube.PACKAGES),
            Entrant("straight", partial(straight, payload_bytes)),
            Entrant("engine", partial(engine, payload_bytes), {"straight": aim, "HKube": _HKUBE_AIM}),
        ],
    )


ROUNDS = Rounds(
    "scenario.payloads",
    "Large payloads, beside raw pyzmq and msgpack, and HKube's Python wrapper.",
    tuple(_case(payload_bytes, aim) for payload_bytes, aim in _AIMS.items()),
)

if __name__ == "__main__":
    sys.exit(ROUNDS.main(sys.argv[1:]))
