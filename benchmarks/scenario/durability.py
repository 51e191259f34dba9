"""What `durability: log` costs: the same pipeline with and without it, in messages a second.

Each pair is taken within a few seconds, with the log first, and the figure is the median of the pairs' ratios. The disk
decides as much as the engine does, so how long it takes for an `fdatasync` of a group's size is told beside: on a
folder in memory the figures would say nothing.

    python -m benchmarks.scenario.durability [--pairs 5] [--only TEXT] [--folder FOLDER] [--json FILE]
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import page, record
from benchmarks.scenario.engine import EngineSide, algorithm, plan_of, source
from benchmarks.scenario.side import Figures, Side, measure_in_quiet
from benchmarks.scenario.tally import Tally
from streamer.cli.output import say, tell

NAME = "scenario.durability"
_GROUP_BYTES = 256 * 1024
_SYNCS = 30


@dataclass(frozen=True, slots=True)
class Case:
    """One pipeline: `origin` is what makes the messages."""

    origin: str
    relay: bool
    payload_bytes: int

    @property
    def name(self) -> str:
        return f"{self.origin}{' -> relay' if self.relay else ''} -> sink, {self.payload_bytes} B"


CASES = tuple(
    Case(origin, relay, payload_bytes)
    for payload_bytes in (100, 1000)
    for origin, relay in (("connector", False), ("connector", True), ("algorithm", False))
)


@dataclass(frozen=True, slots=True)
class Effort:
    """How often each side is measured, for how long, and below which folder."""

    pairs: int
    window_s: float
    folder: Path | None
    warm_up_s: float = 1.0
    elsewhere_cores_max: float = 0.15


def engine(case: Case, folder: Path, durability: str) -> EngineSide:
    tally = folder / "tally"
    origin = (
        source(case.payload_bytes)
        if case.origin == "connector"
        else algorithm("source", "stateful", "send", case.payload_bytes)
    )
    nodes = [{**origin, "durability": durability}]
    if case.relay:
        nodes.append({**algorithm("relay", "stateless", "relay")})
    nodes.append({**algorithm("sink", "stateless", "count", str(tally))})
    return EngineSide(plan_of(nodes, folder), folder, Tally(tally))


def _measure(case: Case, durability: str, effort: Effort) -> Figures:
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=effort.folder) as folder:
        ways = (Path(folder) / str(n) for n in range(2))

        def fresh() -> Side:
            way = next(ways)
            way.mkdir()
            return engine(case, way, durability)

        return measure_in_quiet(
            fresh, effort.warm_up_s, effort.window_s, elsewhere_cores_max=effort.elsewhere_cores_max, tries=2
        )


def compare(cases: Sequence[Case], effort: Effort) -> list[dict[str, Any]]:
    """All pairs of all cases, one round over the cases after the other."""
    taken: dict[Case, list[tuple[Figures, Figures]]] = {case: [] for case in cases}
    for number in range(1, effort.pairs + 1):
        for case in cases:
            pair = _measure(case, "log", effort), _measure(case, "none", effort)
            taken[case].append(pair)
            tell(f"pair {number} of {effort.pairs}, {case.name}: {pair[0].rate / pair[1].rate:.2f}")
    return [_summary(case, pairs, effort) for case, pairs in taken.items()]


def _summary(case: Case, pairs: Sequence[tuple[Figures, Figures]], effort: Effort) -> dict[str, Any]:
    ratios = [logged.rate / plain.rate for logged, plain in pairs]
    return {
        "case": case.name,
        "ratio": round(statistics.median(ratios), 3),
        "ratio_min": round(min(ratios), 3),
        "ratio_max": round(max(ratios), 3),
        "cpu_ratio": round(statistics.median(_cpu_us(plain) / _cpu_us(logged) for logged, plain in pairs), 3),
        "logged_per_s": round(statistics.median(logged.rate for logged, _ in pairs)),
        "plain_per_s": round(statistics.median(plain.rate for _, plain in pairs)),
        "sync_ms": round(1e3 * sync_s(effort.folder), 2),
        "elsewhere_cores_max": max(figures.elsewhere_cores for pair in pairs for figures in pair),
    }


def _cpu_us(figures: Figures) -> float:
    return sum(figures.cpu_us.values())


def sync_s(folder: Path | None) -> float:
    """Median seconds of an `fdatasync` after 256 KiB were appended to a file there."""
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        spent = []
        for _ in range(_SYNCS):
            os.write(file.fileno(), bytes(_GROUP_BYTES))
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            spent.append(time.perf_counter() - began)
    return statistics.median(spent)


def table(figures: Sequence[dict[str, Any]]) -> str:
    rows = [
        (
            f["case"],
            f"**{f['ratio']:.2f}**",
            f"{f['ratio_min']:.2f} to {f['ratio_max']:.2f}",
            f"{f['cpu_ratio']:.2f}",
            f"{f['logged_per_s']:,}",
            f"{f['plain_per_s']:,}",
            f"{f['sync_ms']:.2f}",
            f"{f['elsewhere_cores_max']:.2f}",
        )
        for f in figures
    ]
    columns = ("ratio", "from to", "CPU ratio", "messages/s with log", "without", "fdatasync, ms", "others")
    return page.table(("pipeline",), columns, rows)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{NAME}", description="With and without a log.")
    parser.add_argument("--pairs", type=int, default=5, help="measurements of each side")
    parser.add_argument("--window", type=float, default=2.0, metavar="SECONDS", help="length of each")
    parser.add_argument("--only", default="", metavar="TEXT", help="only cases whose names hold this text")
    parser.add_argument("--folder", type=Path, help="where the jobs lie: on the disk that is to be measured")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write here, and leave the documents alone")
    options = parser.parse_args(arguments)
    cases = [case for case in CASES if options.only in case.name]
    if not cases:
        parser.error(f"no case holds {options.only!r}; the cases are: {'; '.join(case.name for case in CASES)}")
    figures = compare(cases, Effort(options.pairs, options.window, options.folder))
    done = record.document(NAME, arguments, figures)
    record.write(done, options.json or record.home_of(NAME))
    text = f"{table(figures)}\n\n{page.provenance(done)}"
    if options.json is None:
        page.put(NAME, text)
    say(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
