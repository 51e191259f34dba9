"""How long one message is under way in HKube's Python wrapper, over two hops, when it is the only one.

The source stamps a message, sends it, and sleeps until the sink has taken the time and woken it through a named pipe,
which is outside of the time that is taken: as `scenario.latency` does it, without the page that a peer does not have.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.scenario.pairs import Effort
from benchmarks.scenario.side import BenchmarkError, Side

TURN = "turn"
"""The named pipe; that it is there also tells a peer's program to send one by one."""
TIMES = "times"
"""The file of what the sink has taken: nanoseconds, eight bytes each."""
_BEGIN_S = 30.0
_POLL_S = 0.02
_COUNT_MIN = 10


@dataclass(frozen=True, slots=True)
class Times:
    """Of one measurement."""

    p50_us: float
    p99_us: float


def measure(make: Callable[[Path], Side], effort: Effort) -> Times:
    """Start a side, and take the times of a window in its middle. Raises BenchmarkError if there are too few."""
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=effort.folder) as name:
        folder = Path(name)
        os.mkfifo(folder / TURN)
        taken = folder / TIMES
        taken.touch()
        with make(folder) as side:
            deadline = time.monotonic() + _BEGIN_S
            while not taken.stat().st_size:
                if time.monotonic() > deadline:
                    raise BenchmarkError(f"nothing has arrived after {_BEGIN_S:.0f} s")
                side.go_on(_POLL_S)
            side.go_on(effort.warm_up_s)
            before = taken.stat().st_size
            side.go_on(effort.window_s)
            found = sorted(memoryview(taken.read_bytes()[before:]).cast("q"))
    if len(found) < _COUNT_MIN:
        raise BenchmarkError(f"only {len(found)} messages have arrived in {effort.window_s} s")
    return Times(statistics.median(found) / 1000, found[int(0.99 * len(found))] / 1000)
