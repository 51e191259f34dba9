"""How many messages a second pass through a pipeline, beside pyzmq and msgpack written straight down.

Both sides build the same dicts, call a function of the same lines for each message, and are counted in the same way by
the same driver; the engine also settles every message (at least once), keeps its account and reports. Each pair is
taken within a few seconds, engine first, and the figure is the median of the pairs' ratios: what happens to the machine
in between happens to both.

    python -m benchmarks.scenario.throughput [--pairs 5] [--only TEXT] [--json FILE]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import page, record
from benchmarks.scenario.engine import EngineSide, algorithm, plan_of, source
from benchmarks.scenario.side import Figures, Side, measure_in_quiet
from benchmarks.scenario.straight import StraightSide
from benchmarks.scenario.tally import Tally
from streamer.cli.output import say, tell

NAME = "scenario.throughput"


@dataclass(frozen=True, slots=True)
class Case:
    """One pipeline. `origin` is what makes the messages, `state_type` what kind of nodes handle them."""

    origin: str
    relay: bool
    state_type: str
    payload_bytes: int

    @property
    def name(self) -> str:
        middle = " -> relay" if self.relay else ""
        return f"{self.origin}{middle} -> sink, {self.state_type}, {self.payload_bytes} B"


CASES = tuple(
    Case(origin, relay, state_type, payload_bytes)
    for payload_bytes in (100, 1000)
    for origin, relay, state_type in (
        ("connector", False, "stateless"),
        ("connector", False, "stateful"),
        ("connector", True, "stateless"),
        ("connector", True, "stateful"),
        ("algorithm", False, "stateful"),
    )
)


@dataclass(frozen=True, slots=True)
class Effort:
    """How long each side is measured, how often, and in what company at most."""

    pairs: int
    window_s: float
    warm_up_s: float = 1.0
    elsewhere_cores_max: float = 0.15
    tries: int = 2


def engine(case: Case, folder: Path) -> EngineSide:
    tally = folder / "tally"
    nodes = [
        source(case.payload_bytes)
        if case.origin == "connector"
        else algorithm("source", "stateful", "send", case.payload_bytes)
    ]
    if case.relay:
        nodes.append(algorithm("relay", case.state_type, "relay"))
    nodes.append(algorithm("sink", case.state_type, "count", str(tally)))
    return EngineSide(plan_of(nodes, folder), folder, Tally(tally))


def straight(case: Case, folder: Path) -> StraightSide:
    return StraightSide(folder / "tally", case.payload_bytes, relay=case.relay)


def _measure(make: Callable[[Case, Path], Side], case: Case, effort: Effort) -> Figures:
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        ways = (Path(folder) / str(n) for n in range(effort.tries))

        def fresh() -> Side:
            way = next(ways)
            way.mkdir()
            return make(case, way)

        return measure_in_quiet(
            fresh,
            effort.warm_up_s,
            effort.window_s,
            elsewhere_cores_max=effort.elsewhere_cores_max,
            tries=effort.tries,
        )


def compare(cases: Sequence[Case], effort: Effort) -> list[dict[str, Any]]:
    """All pairs of all cases, one round over the cases after the other."""
    taken: dict[Case, list[tuple[Figures, Figures]]] = {case: [] for case in cases}
    for number in range(1, effort.pairs + 1):
        for case in cases:
            pair = _measure(engine, case, effort), _measure(straight, case, effort)
            taken[case].append(pair)
            tell(f"pair {number} of {effort.pairs}, {case.name}: {pair[0].rate / pair[1].rate:.2f}")
    return [_summary(case, pairs) for case, pairs in taken.items()]


def _summary(case: Case, pairs: Sequence[tuple[Figures, Figures]]) -> dict[str, Any]:
    ratios = [ours.rate / theirs.rate for ours, theirs in pairs]
    return {
        "case": case.name,
        "ratio": round(statistics.median(ratios), 3),
        "ratio_min": round(min(ratios), 3),
        "ratio_max": round(max(ratios), 3),
        "cpu_ratio": round(statistics.median(_cpu_us(theirs) / _cpu_us(ours) for ours, theirs in pairs), 3),
        "engine_per_s": round(statistics.median(ours.rate for ours, _ in pairs)),
        "straight_per_s": round(statistics.median(theirs.rate for _, theirs in pairs)),
        "engine_cpu_us": _median_cpu([ours for ours, _ in pairs]),
        "straight_cpu_us": _median_cpu([theirs for _, theirs in pairs]),
        "elsewhere_cores_max": max(figures.elsewhere_cores for pair in pairs for figures in pair),
    }


def _cpu_us(figures: Figures) -> float:
    """CPU time a message of all processes together: a neighbour can change it only a little."""
    return sum(figures.cpu_us.values())


def _median_cpu(figures: Sequence[Figures]) -> dict[str, float]:
    return {name: round(statistics.median(f.cpu_us[name] for f in figures), 2) for name in figures[0].cpu_us}


def table(figures: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (
            f["case"],
            f"**{f['ratio']:.2f}**",
            f"{f['ratio_min']:.2f} to {f['ratio_max']:.2f}",
            f"{f['cpu_ratio']:.2f}",
            f"{f['engine_per_s']:,}",
            f"{f['straight_per_s']:,}",
            _by_process(f["engine_cpu_us"]),
            _by_process(f["straight_cpu_us"]),
            f"{f['elsewhere_cores_max']:.2f}",
        )
        for f in figures
    ]
    columns = ("ratio", "from to", "CPU ratio", "messages/s", "straight", "CPU us a message", "straight", "others")
    return page.table(("pipeline",), columns, rows)


def _by_process(cpu_us: Mapping[str, float]) -> str:
    return " + ".join(f"{cpu_us[name]:.2f}" for name in ("source", "relay", "sink") if name in cpu_us)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{NAME}", description="Engine beside raw pyzmq.")
    parser.add_argument("--pairs", type=int, default=5, help="measurements of each side")
    parser.add_argument("--window", type=float, default=2.0, metavar="SECONDS", help="length of each")
    parser.add_argument("--only", default="", metavar="TEXT", help="only cases whose names hold this text")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write here, and leave the documents alone")
    options = parser.parse_args(arguments)
    cases = [case for case in CASES if options.only in case.name]
    if not cases:
        parser.error(f"no case holds {options.only!r}; the cases are: {'; '.join(case.name for case in CASES)}")
    figures = compare(cases, Effort(pairs=options.pairs, window_s=options.window))
    done = record.document(NAME, arguments, figures)
    record.write(done, options.json or record.home_of(NAME))
    text = f"{table(figures)}\n\n{page.provenance(done)}"
    if options.json is None:
        page.put(NAME, text)
    say(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
