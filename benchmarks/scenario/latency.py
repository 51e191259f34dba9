"""How long a message takes over two hops, from its source to the handler of the last node.

*One at a time*: the source sends the next message once the sink has the last one, so nothing ever waits in a queue, and
what is left is what the two hops need. The sink tells the source by a named pipe (`loop`), which costs nothing while a
message is under way.

*At a rate*: the source sends by the clock, and goes on for a while before anything is taken. A latency counts from the
moment when its message was due and not from when it was sent, or a source that is held up would leave out just the
messages that took longest. A source wakes up for the messages of 0.2 ms together, and that is part of what is told.

A percentile says something only where as many messages arrive as are offered: what waits would grow otherwise, and with
it each latency, for as long as one looks. So the *backlog*, what was due and has not arrived, is taken several times in
a window, and must be flat: a measurement in which it grows is told as overloaded.

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
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import aims, page
from benchmarks.aims import Aim
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
_WARM_UP_S = 0.3
_WARM_UP_AT_RATE_S = 1.2
"""What has gathered while the last process came up is worked off by then, where it can be."""
_LOOKS = 16
"""So often is the backlog of a window taken."""
_GROWTH_MAX = 0.02
"""Of what is offered: frames carry some thousand messages at once, and shift a slope over a second by a hundredth."""


@dataclass(frozen=True, slots=True)
class Case:
    """`rate` messages a second are offered; with 0, one at a time."""

    rate: int

    @property
    def name(self) -> str:
        return f"{self.rate:,} a second" if self.rate else "one at a time"


CASES = tuple(map(Case, (0, 10_000, 100_000)))
_AIMS: Mapping[str, Mapping[str, Aim]] = {
    Case(0).name: {
        "p50_ratio": Aim("one message at a time over two hops: p50 beside raw pyzmq's", 2, at_most=True),
        "spread": Aim("one message at a time over two hops: p99 beside its own p50", 2, at_most=True),
        "hkube_p50_ratio": Aim("one message at a time over two hops: p50 of HKube beside ours", 30),
    },
    Case(100_000).name: {
        "p50_us": Aim("100,000 messages a second offered: p50, us", 1000, at_most=True),
        "p99_us": Aim("100,000 messages a second offered: p99, us", 3000, at_most=True),
        "overloaded": Aim("100,000 messages a second offered: measurements whose backlog grows", 0, at_most=True),
    },
}

Make = Callable[[Case, Path], tuple[Side, Latencies]]


@dataclass(frozen=True, slots=True)
class Distribution:
    """One measurement: what has arrived in a second, and how long it took.

    `growth` is by how much the backlog grew, as a share of what was offered; 0 of messages that come one at a time.
    """

    rate: float
    p50_us: float
    p99_us: float
    p999_us: float
    elsewhere_cores: float
    growth: float = 0.0

    @property
    def overloaded(self) -> bool:
        return self.growth > _GROWTH_MAX


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
                return _watched(side, latencies, case, effort)

    return in_quiet(once, elsewhere_cores_max=effort.elsewhere_cores_max, tries=effort.tries)


def _watched(side: Side, latencies: Latencies, case: Case, effort: Effort) -> Distribution:
    """The middle of its flow."""
    warm_up(side, effort.warm_up_s)
    meter, began_s, before = CpuMeter(side.processes()), time.monotonic(), latencies.counts
    looks = [(began_s, side.shown)]
    for _ in range(_LOOKS):
        side.go_on(effort.window_s / _LOOKS)
        looks.append((time.monotonic(), side.shown))
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
        backlog_growth(looks, case.rate) if case.rate else 0.0,
    )


def backlog_growth(looks: Sequence[tuple[float, int]], rate: int) -> float:
    """The share of `rate` messages a second that did not arrive, by times in seconds and what had arrived by then.

    It is the slope of what was due and had not arrived, by least squares: the first and the last look alone would tell
    whether a frame came just before or after them.
    """
    return 1 - statistics.linear_regression(*zip(*looks, strict=True)).slope / rate


def told_of(case: Case, effort: Effort, *, beside_hkube: bool) -> dict[str, Any]:
    """What the record says of one case: medians of the rounds."""
    ours: list[Distribution] = []
    effort = replace(effort, warm_up_s=_WARM_UP_AT_RATE_S) if case.rate else effort
    theirs: list[Distribution] = []
    of_hkube: list[peers_latency.Times] = []
    for number in range(1, effort.pairs + 1):
        ours.append(measure(engine, case, effort))
        theirs.append(measure(straight, case, effort))
        if beside_hkube:
            of_hkube.append(peers_latency.measure(partial(hkube.side, _PAYLOAD_BYTES, True), effort))
        p50s_us = f"p50 {ours[-1].p50_us:,.0f} us, straight {theirs[-1].p50_us:,.0f} us"
        tell(f"round {number} of {effort.pairs}, {case.name}: {p50s_us}")
    figure = {
        "case": case.name,
        **_medians(ours),
        "spread": round(statistics.median(one.p99_us / one.p50_us for one in ours), 2),
        "straight": _medians(theirs),
        "p50_ratio": round(statistics.median(a.p50_us / b.p50_us for a, b in zip(ours, theirs, strict=True)), 2),
        "measurements": len(ours),
        "overloaded": sum(one.overloaded for one in ours),
        "hkube": _of_hkube(of_hkube) if of_hkube else None,
        "hkube_p50_ratio": _times_ours(ours, of_hkube) if of_hkube else None,
        "elsewhere_cores_max": max(one.elsewhere_cores for one in (*ours, *theirs)),
    }
    asked = {name: aim for name, aim in _AIMS.get(case.name, {}).items() if figure[name] is not None}
    return {**figure, "aims": aims.judge(asked, figure)}


def _of_hkube(found: Sequence[peers_latency.Times]) -> dict[str, float]:
    return {
        "p50_us": round(statistics.median(one.p50_us for one in found), 1),
        "p99_us": round(statistics.median(one.p99_us for one in found), 1),
    }


def _times_ours(ours: Sequence[Distribution], theirs: Sequence[peers_latency.Times]) -> float:
    return round(statistics.median(b.p50_us / a.p50_us for a, b in zip(ours, theirs, strict=True)), 1)


def _medians(found: Sequence[Distribution]) -> dict[str, float]:
    return {
        "per_s": round(statistics.median(one.rate for one in found)),
        "p50_us": round(statistics.median(one.p50_us for one in found), 1),
        "p99_us": round(statistics.median(one.p99_us for one in found), 1),
        "p999_us": round(statistics.median(one.p999_us for one in found), 1),
        "growth_percent": round(100 * statistics.median(one.growth for one in found), 1),
    }


def table(figures: Sequence[Mapping[str, Any]]) -> str:
    """The distributions, what they are beside, and what they reach of what they are to reach."""
    columns = ("arrived a second", "backlog", "p50, us", "p99, us", "p99.9, us", "p99 / p50")
    beside = ("straight: p50, us", "p99, us", "p50 ratio", "HKube: p50, us", "p99, us", "times ours")
    distributions = page.table(("messages",), (*columns, *beside, "others"), list(map(_row, figures)))
    reached = [
        (aim["of"], *aims.cells(aim), f"**{aims.number(aim['found'])}**") for f in figures for aim in f["aims"].values()
    ]
    return f"{distributions}\n\n{page.table(('figure',), (*aims.COLUMNS, 'found'), reached)}"


def _row(f: Mapping[str, Any]) -> Sequence[str]:
    hkube = f["hkube"]
    return (
        f["case"],
        f"{f['per_s']:,}",
        _backlog(f),
        f"**{f['p50_us']:,.0f}**",
        f"**{f['p99_us']:,.0f}**",
        f"{f['p999_us']:,.0f}",
        f"{f['spread']:.1f}",
        f"{f['straight']['p50_us']:,.0f}",
        f"{f['straight']['p99_us']:,.0f}",
        f"**{f['p50_ratio']:.2f}**",
        *((f"{hkube['p50_us']:,.0f}", f"{hkube['p99_us']:,.0f}") if hkube else ("", "")),
        f"**{f['hkube_p50_ratio']:.1f}**" if hkube else "",
        f"{f['elsewhere_cores_max']:.2f}",
    )


def _backlog(f: Mapping[str, Any]) -> str:
    """Whether it grew; one message at a time has none, and nothing is said where it was not taken."""
    if f["case"] == Case(0).name or f["overloaded"] is None:
        return ""
    return f"**overloaded in {f['overloaded']} of {f['measurements']}**" if f["overloaded"] else "flat"


def main(arguments: Sequence[str]) -> int:
    parser = parser_of(NAME, "Latency over two hops, one message at a time and at a rate.")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each case")
    parser.add_argument("--window", type=float, default=0.8, metavar="SECONDS", help="length of each")
    options = parser.parse_args(arguments)
    effort = Effort(options.rounds, options.window, _WARM_UP_S)
    cases = chosen(parser, CASES, options.only)
    versions = present(hkube.PACKAGES if any(not case.rate for case in cases) else ())
    figures = [told_of(case, effort, beside_hkube=bool(versions) and not case.rate) for case in cases]
    publish(NAME, arguments, figures, table(figures), options.json, versions or {})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
