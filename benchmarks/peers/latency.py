"""How long one message is under way from a source over a relay to a sink, when it is the only one.

A rate says what batches gain; this says what a message waits for when there is nothing to batch it with. The source
stamps a message, sends it, and sleeps until the sink has taken the time and woken it through a named pipe, which is
outside of the time that is taken. So nothing ever queues, and a queue cannot hide how long a hop takes.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import page
from benchmarks.scenario import latency
from benchmarks.scenario.pairs import Effort
from benchmarks.scenario.side import BenchmarkError, Side
from streamer.cli.output import tell

TURN = "turn"
"""The named pipe; that it is there also tells a peer's program to send one by one."""
TIMES = "times"
"""The file of what the sink has taken: nanoseconds, eight bytes each."""
_BYTES = 8
_BEGIN_S = 30.0
_POLL_S = 0.02
_COUNT_MIN = 10


@dataclass(frozen=True, slots=True)
class Case:
    """`aim`: the peer's median is to be so many times ours."""

    payload_bytes: int
    aim: float

    @property
    def name(self) -> str:
        return f"one at a time, source -> relay -> sink, {self.payload_bytes} B"


@dataclass(frozen=True, slots=True)
class Times:
    """Of one measurement."""

    p50_us: float
    p99_us: float


def compare(case: Case, peer: Callable[[Case, Path], Side], effort: Effort) -> dict[str, Any]:
    """Pairs, the engine first."""
    pairs: list[tuple[Times, Times]] = []
    for number in range(1, effort.pairs + 1):
        pairs.append((_ours(effort), measure(peer, case, effort)))
        tell(f"pair {number} of {effort.pairs}, {case.name}: {_ratio(pairs[-1]):.0f}")
    ratios = [_ratio(pair) for pair in pairs]
    ours, theirs = zip(*pairs, strict=True)
    return {
        "case": case.name,
        "ratio": round(statistics.median(ratios), 1),
        "ratio_min": round(min(ratios), 1),
        "ratio_max": round(max(ratios), 1),
        "aim": case.aim,
        **_medians("engine", ours),
        **_medians("peer", theirs),
    }


def _ours(effort: Effort) -> Times:
    """The engine, as its own benchmark takes it."""
    found = latency.measure(latency.engine, latency.Case(rate=0), effort)
    return Times(found.p50_us, found.p99_us)


def _ratio(pair: tuple[Times, Times]) -> float:
    ours, theirs = pair
    return theirs.p50_us / ours.p50_us


def _medians(side: str, times: Sequence[Times]) -> dict[str, float]:
    return {
        f"{side}_p50_us": round(statistics.median(one.p50_us for one in times), 1),
        f"{side}_p99_us": round(statistics.median(one.p99_us for one in times), 1),
    }


def measure(make: Callable[[Case, Path], Side], case: Case, effort: Effort) -> Times:
    """Start a side, and take the times of a window in its middle. Raises BenchmarkError if there are too few."""
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=effort.folder) as name:
        folder = Path(name)
        os.mkfifo(folder / TURN)
        taken = folder / TIMES
        taken.touch()
        with make(case, folder) as side:
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


def table(figures: Sequence[dict[str, Any]]) -> str:
    rows = [
        (
            f["case"],
            f"**{f['ratio']:.0f}**",
            f"{f['ratio_min']:.0f} to {f['ratio_max']:.0f}",
            f"{f['aim']:g}",
            *(f"{f[key]:,.0f}" for key in ("engine_p50_us", "peer_p50_us", "engine_p99_us", "peer_p99_us")),
        )
        for f in figures
    ]
    return page.table(("latency",), ("ratio", "from to", "aim", "p50, us", "peer", "p99, us", "peer"), rows)
