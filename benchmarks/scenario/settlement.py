"""What it costs to lose nothing: the same pipeline with delivery at least once, and at most once.

At most once, a message counts as settled when it is handed to the socket: it is kept by nobody, and no account of a
consumer is waited for. Both sides have credit, heartbeats and reports.

    python -m benchmarks.scenario.settlement [--pairs 5] [--only TEXT] [--json FILE]
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.aims import Aim
from benchmarks.scenario.engine import EngineSide, algorithm, plan_of, source
from benchmarks.scenario.switched import Switch
from benchmarks.scenario.tally import Tally

_AIM = Aim("settlement on / off", 0.8)


@dataclass(frozen=True, slots=True)
class Case:
    """One pipeline from a connector to a sink."""

    relay: bool
    payload_bytes: int

    @property
    def name(self) -> str:
        return f"source ->{' relay ->' if self.relay else ''} sink, {self.payload_bytes} B"


CASES = tuple(Case(relay, payload_bytes) for payload_bytes in (100, 1000) for relay in (False, True))


def engine(case: Case, folder: Path, on: bool) -> EngineSide:
    """`on`: at least once."""
    tally = folder / "tally"
    relay = [algorithm("relay", "stateful", "relay")] if case.relay else []
    delivery = {"delivery": "at-least-once" if on else "at-most-once"}
    handled = [{**node, **delivery} for node in (*relay, algorithm("sink", "stateful", "count", str(tally)))]
    return EngineSide(plan_of([source(case.payload_bytes), *handled], folder), folder, Tally(tally))


SWITCH = Switch("scenario.settlement", "With and without settlement.", CASES, engine, _AIM)

if __name__ == "__main__":
    sys.exit(SWITCH.main(sys.argv[1:]))
