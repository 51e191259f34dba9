"""What checkpointed state costs: a node that counts by key in `api.state`, and the same one that counts in a variable.

Both are behind a source that can be read again, with settlement on; only the first one's counts survive a kill. Keys
are few (each is counted again in every checkpoint) or many (a checkpoint writes each once), and large messages are as
many as an edge may hold before the next checkpoint is due.

    python -m benchmarks.scenario.state [--pairs 5] [--only TEXT] [--folder FOLDER] [--json FILE]
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.aims import Aim
from benchmarks.scenario.engine import EngineSide, algorithm, plan_of, source
from benchmarks.scenario.switched import Switch
from benchmarks.scenario.tally import Tally

_WARM_UP_S = 2.5
"""A source needs a few checkpoints to find out how much it may let in."""
_WINDOW_S = 2.0
"""Messages come and settle in the bursts of checkpoints: some of them are to be in it."""

_AIM = Aim("checkpointed state on / off", 0.8)


@dataclass(frozen=True, slots=True)
class Case:
    """One pipeline: so many keys are counted."""

    keys: int
    payload_bytes: int

    @property
    def name(self) -> str:
        return f"source -> count of {self.keys:,} keys, {self.payload_bytes} B"


CASES = (Case(100, 100), Case(10_000, 100), Case(100, 1000))


def engine(case: Case, folder: Path, on: bool) -> EngineSide:
    """`on`: the count is in `api.state`."""
    tally = folder / "tally"
    counting = algorithm("count", "stateful", "keyed", str(tally), case.keys, "state" if on else "variable")
    return EngineSide(plan_of([source(case.payload_bytes), counting], folder), folder, Tally(tally))


SWITCH = Switch(
    "scenario.state",
    "With and without checkpointed state.",
    CASES,
    engine,
    _AIM,
    warm_up_s=_WARM_UP_S,
    window_s=_WINDOW_S,
)

if __name__ == "__main__":
    sys.exit(SWITCH.main(sys.argv[1:]))
