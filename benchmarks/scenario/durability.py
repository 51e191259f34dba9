"""What `durability: log` costs: the same pipeline with and without it, in messages a second.

The disk decides as much as the engine does, so how long it takes for an `fdatasync` of a group's size is told beside:
on a folder in memory the figures would say nothing.

    python -m benchmarks.scenario.durability [--pairs 5] [--only TEXT] [--folder FOLDER] [--json FILE]
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.aims import Aim
from benchmarks.scenario.engine import EngineSide, algorithm, plan_of, source
from benchmarks.scenario.pairs import Effort
from benchmarks.scenario.switched import Switch
from benchmarks.scenario.tally import Tally

_GROUP_BYTES = 256 * 1024
_SYNCS = 30

_AIM = Aim("`durability: log` on / off", 0.8)


@dataclass(frozen=True, slots=True)
class Case:
    """One pipeline: `origin` is what makes the messages, and has the log or not."""

    origin: str
    payload_bytes: int

    @property
    def name(self) -> str:
        return f"{self.origin} -> sink, {self.payload_bytes} B"


CASES = tuple(Case(origin, payload_bytes) for payload_bytes in (100, 1000) for origin in ("connector", "algorithm"))


def engine(case: Case, folder: Path, on: bool) -> EngineSide:
    """`on`: with the log."""
    tally = folder / "tally"
    origin = (
        source(case.payload_bytes)
        if case.origin == "connector"
        else algorithm("source", "stateful", "send", case.payload_bytes)
    )
    nodes = [{**origin, "durability": "log" if on else "none"}, algorithm("sink", "stateless", "count", str(tally))]
    return EngineSide(plan_of(nodes, folder), folder, Tally(tally))


def sync_ms(effort: Effort) -> Mapping[str, float]:
    """Median milliseconds of an `fdatasync` after 256 KiB were appended to a file there."""
    with tempfile.NamedTemporaryFile(dir=effort.folder) as file:
        spent = []
        for _ in range(_SYNCS):
            os.write(file.fileno(), bytes(_GROUP_BYTES))
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            spent.append(1e3 * (time.perf_counter() - began))
    return {"fdatasync, ms": statistics.median(spent)}


SWITCH = Switch("scenario.durability", "With and without a log.", CASES, engine, _AIM, sync_ms)

if __name__ == "__main__":
    sys.exit(SWITCH.main(sys.argv[1:]))
