"""How long a message takes over two hops, from its source to the handler of the last node.

*One at a time*: the source sends the next message once the sink has the last one, so nothing ever waits in a queue, and
what is left is what the two hops need. The sink tells the source by a named pipe (`loop`), which costs nothing while a
message is under way.

*At a rate*: the source sends by the clock. A latency counts from the moment when its message was due and not from when
it was sent, or a source that is held up would leave out just the messages that took longest. A source wakes up for the
messages of 0.2 ms together, and that is part of what is told.

pyzmq and msgpack written straight down do the same beside it, in the same round; by the clock, they pack as one list
what has come due. Where the peers are installed, HKube's Python wrapper sends one at a time, too.

    python -m benchmarks.scenario.latency [--rounds 5] [--window 0.8] [--only TEXT] [--json FILE]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import page
from benchmarks.command import chosen, parser_of, publish
from benchmarks.peers import hkube
from benchmarks.peers import latency as peers_latency
from benchmarks.peers.environment import present
from benchmarks.processes import CpuMeter
from benchmarks.scenario.engine import EngineSide, algorithm, plan_of
from benchmarks.scenario.latencies import Latencies, percentile_us
from benchmarks.scenario.pairs import Effort
from benchmarks.scenario.side import BenchmarkError, Side, in_quiet, warm_up
from benchmarks.scenario.straight import StraightSide
from benchmarks.scenario.straight_stage import IN_TURN, PACED
from streamer.cli.output import tell

NAME = "scenario.latency"
_PAYLOAD_BYTES = 100


@dataclass(frozen=True, slots=True)
class Case:
    """`rate` messages a second are offered; with 0, one at a time."""

    rate: int

    @property
    def name(self) -> str:
        return f"{self.rate:,} a second" if self.rate else "one at a time"


CASES = tuple(map(Case, (0, 10_000, 100_000)))

Make = Callable[[Case, Path], tuple[Side, Latencies]]


@dataclass(frozen=True, slots=True)
class Distribution:
    """One measurement: what has arrived in a second, and how long it took."""

    rate: float
    p50_us: float
    p99_us: float
    p999_us: float
    elsewhere_cores: float


def engine(case: Case, folder: Path) -> tuple[Side, Latencies]:
    told, loop = str(folder / "latencies"), str(folder / "loop")
    source, closing = (
        (algorithm("source", "stateful", "paced", _PAYLOAD_BYTES, case.rate), ())
        if case.rate
        else (algorithm("source", "stateful", "ping", _PAYLOAD_BYTES, loop), (loop,))
    )
    relay = algorithm("relay", "stateful", "relay")
    sink = algorithm("sink", "stateful", "timed", told, *closing)
    latencies = Latencies(Path(told))
    return EngineSide(plan_of([source, relay, sink], folder), folder, latencies), latencies


def straight(case: Case, folder: Path) -> tuple[Side, Latencies]:
    way = PACED if case.rate else IN_TURN
    side = StraightSide(folder / "latencies", _PAYLOAD_BYTES, relay=True, way=way, rate=case.rate)
    assert isinstance(side.tally, Latencies)
    return side, side.tally


def measure(make: Make, case: Case, effort: Effort) -> Distribution:
    """One measurement in good company."""

    def once() -> Distribution:
        with tempfile.TemporaryDirectory(prefix="benchmark-", dir=effort.folder) as folder:
            side, latencies = make(case, Path(folder))
            with side:
                return _watched(side, latencies, effort)

    return in_quiet(once, elsewhere_cores_max=effort.elsewhere_cores_max, tries=effort.tries)


def _watched(side: Side, latencies: Latencies, effort: Effort) -> Distribution:
    """The middle of its flow."""
    warm_up(side, effort.warm_up_s)
    meter, began_s, before = CpuMeter(side.processes()), time.monotonic(), latencies.counts
    side.go_on(effort.window_s)
    ended_s, after = time.monotonic(), latencies.counts
    spent = meter.read()
    side.stop()
    counts = [now - then for now, then in zip(after, before, strict=True)]
    if not sum(counts):
        raise BenchmarkError(f"nothing has arrived in {effort.window_s} s")
    return Distribution(
        sum(counts) / (ended_s - began_s),
        percentile_us(counts, 50),
        percentile_us(counts, 99),
        percentile_us(counts, 99.9),
        round(spent.elsewhere_cores, 2),
    )


def told_of(case: Case, effort: Effort, *, beside_hkube: bool) -> dict[str, Any]:
    """What the record says of one case: medians of the rounds."""
    ours: list[Distribution] = []
    theirs: list[Distribution] = []
    of_hkube: list[peers_latency.Times] = []
    for number in range(1, effort.pairs + 1):
        ours.append(measure(engine, case, effort))
        theirs.append(measure(straight, case, effort))
        if beside_hkube:
            of_hkube.append(peers_latency.measure(partial(hkube.side, _PAYLOAD_BYTES, True), effort))
        p50s_us = f"p50 {ours[-1].p50_us:,.0f} us, straight {theirs[-1].p50_us:,.0f} us"
        tell(f"round {number} of {effort.pairs}, {case.name}: {p50s_us}")
    return {
        "case": case.name,
        **_medians(ours),
        "spread": round(statistics.median(one.p99_us / one.p50_us for one in ours), 2),
        "straight": _medians(theirs),
        "p50_ratio": round(statistics.median(a.p50_us / b.p50_us for a, b in zip(ours, theirs, strict=True)), 2),
        "hkube": _beside_hkube(ours, of_hkube) if of_hkube else None,
        "elsewhere_cores_max": max(one.elsewhere_cores for one in (*ours, *theirs)),
    }


def _beside_hkube(ours: Sequence[Distribution], theirs: Sequence[peers_latency.Times]) -> dict[str, float]:
    return {
        "p50_us": round(statistics.median(one.p50_us for one in theirs), 1),
        "p99_us": round(statistics.median(one.p99_us for one in theirs), 1),
        "p50_ratio": round(statistics.median(b.p50_us / a.p50_us for a, b in zip(ours, theirs, strict=True)), 1),
    }


def _medians(found: Sequence[Distribution]) -> dict[str, float]:
    return {
        "per_s": round(statistics.median(one.rate for one in found)),
        "p50_us": round(statistics.median(one.p50_us for one in found), 1),
        "p99_us": round(statistics.median(one.p99_us for one in found), 1),
        "p999_us": round(statistics.median(one.p999_us for one in found), 1),
    }


def table(figures: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (
            f["case"],
            f"{f['per_s']:,}",
            f"**{f['p50_us']:,.0f}**",
            f"**{f['p99_us']:,.0f}**",
            f"{f['p999_us']:,.0f}",
            f"{f['spread']:.1f}",
            f"{f['straight']['p50_us']:,.0f}",
            f"{f['straight']['p99_us']:,.0f}",
            f"**{f['p50_ratio']:.2f}**",
            *_of_hkube(f["hkube"]),
            f"{f['elsewhere_cores_max']:.2f}",
        )
        for f in figures
    ]
    columns = ("arrived a second", "p50, us", "p99, us", "p99.9, us", "p99 / p50")
    beside = ("straight: p50, us", "p99, us", "p50 ratio", "HKube: p50, us", "p99, us", "times ours")
    return page.table(("messages",), (*columns, *beside, "others"), rows)


def _of_hkube(found: Mapping[str, float] | None) -> Sequence[str]:
    if found is None:
        return ("", "", "")
    return f"{found['p50_us']:,.0f}", f"{found['p99_us']:,.0f}", f"**{found['p50_ratio']:.1f}**"


def main(arguments: Sequence[str]) -> int:
    parser = parser_of(NAME, "Latency over two hops, one message at a time and at a rate.")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each case")
    parser.add_argument("--window", type=float, default=0.8, metavar="SECONDS", help="length of each")
    options = parser.parse_args(arguments)
    effort = Effort(options.rounds, options.window, warm_up_s=0.3)
    cases = chosen(parser, CASES, options.only)
    versions = present(hkube.PACKAGES if any(not case.rate for case in cases) else ())
    figures = [told_of(case, effort, beside_hkube=bool(versions) and not case.rate) for case in cases]
    publish(NAME, arguments, figures, table(figures), options.json, versions or {})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
