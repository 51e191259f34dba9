"""What a feature costs: the same pipeline with it and without it, in messages a second.

Each pair is taken within a few seconds, with the feature first, and the figure is the median of the pairs' ratios: on a
machine that others use too, a ratio of neighbours says more than two rates.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from benchmarks import page, record
from benchmarks.scenario.engine import EngineSide
from benchmarks.scenario.side import Figures, Side, measure_in_quiet
from streamer.cli.output import say, tell


class Named(Protocol):
    """One pipeline."""

    @property
    def name(self) -> str: ...


Case = TypeVar("Case", bound=Named)


@dataclass(frozen=True, slots=True)
class Effort:
    """How often each side is measured, for how long, and below which folder."""

    pairs: int
    window_s: float
    folder: Path | None
    elsewhere_cores_max: float = 0.15


@dataclass(frozen=True, slots=True)
class Switch(Generic[Case]):
    """`engine` gives the job of a case below a folder, with the feature or without it.

    `beside` are further facts of each case, by the heading of their column. A job has `warm_up_s` to come to its full
    rate.
    """

    name: str
    description: str
    cases: Sequence[Case]
    engine: Callable[[Case, Path, bool], EngineSide]
    beside: Callable[[Effort], Mapping[str, float]] = lambda _effort: {}
    warm_up_s: float = 1.0

    def compare(self, cases: Sequence[Case], effort: Effort) -> list[dict[str, Any]]:
        """All pairs of all cases, one round over the cases after the other."""
        taken: dict[str, list[tuple[Figures, Figures]]] = {case.name: [] for case in cases}
        for number in range(1, effort.pairs + 1):
            for case in cases:
                pair = self._measure(case, True, effort), self._measure(case, False, effort)
                taken[case.name].append(pair)
                tell(f"pair {number} of {effort.pairs}, {case.name}: {pair[0].rate / pair[1].rate:.2f}")
        return [{**_summary(name, pairs), "beside": dict(self.beside(effort))} for name, pairs in taken.items()]

    def _measure(self, case: Case, on: bool, effort: Effort) -> Figures:
        with tempfile.TemporaryDirectory(prefix="benchmark-", dir=effort.folder) as folder:
            ways = (Path(folder) / str(n) for n in range(2))

            def fresh() -> Side:
                way = next(ways)
                way.mkdir()
                return self.engine(case, way, on)

            return measure_in_quiet(
                fresh, self.warm_up_s, effort.window_s, elsewhere_cores_max=effort.elsewhere_cores_max, tries=2
            )

    def main(self, arguments: Sequence[str]) -> int:
        """The command: measures, and puts the table into its page."""
        parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{self.name}", description=self.description)
        parser.add_argument("--pairs", type=int, default=5, help="measurements of each side")
        parser.add_argument("--window", type=float, default=2.0, metavar="SECONDS", help="length of each")
        parser.add_argument("--only", default="", metavar="TEXT", help="only cases whose names hold this text")
        parser.add_argument("--folder", type=Path, help="where the jobs lie: on the disk that is to be measured")
        parser.add_argument("--json", type=Path, metavar="FILE", help="write here, and leave the documents alone")
        options = parser.parse_args(arguments)
        cases = [case for case in self.cases if options.only in case.name]
        if not cases:
            names = "; ".join(case.name for case in self.cases)
            parser.error(f"no case holds {options.only!r}; the cases are: {names}")
        figures = self.compare(cases, Effort(options.pairs, options.window, options.folder))
        done = record.document(self.name, arguments, figures)
        record.write(done, options.json or record.home_of(self.name))
        text = f"{table(figures)}\n\n{page.provenance(done)}"
        if options.json is None:
            page.put(self.name, text)
        say(text)
        return 0


def _summary(name: str, pairs: Sequence[tuple[Figures, Figures]]) -> dict[str, Any]:
    ratios = [on.rate / off.rate for on, off in pairs]
    return {
        "case": name,
        "ratio": round(statistics.median(ratios), 3),
        "ratio_min": round(min(ratios), 3),
        "ratio_max": round(max(ratios), 3),
        "cpu_ratio": round(statistics.median(_cpu_us(off) / _cpu_us(on) for on, off in pairs), 3),
        "on_per_s": round(statistics.median(on.rate for on, _ in pairs)),
        "off_per_s": round(statistics.median(off.rate for _, off in pairs)),
        "elsewhere_cores_max": max(figures.elsewhere_cores for pair in pairs for figures in pair),
    }


def _cpu_us(figures: Figures) -> float:
    return sum(figures.cpu_us.values())


def table(figures: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (
            f["case"],
            f"**{f['ratio']:.2f}**",
            f"{f['ratio_min']:.2f} to {f['ratio_max']:.2f}",
            f"{f['cpu_ratio']:.2f}",
            f"{f['on_per_s']:,}",
            f"{f['off_per_s']:,}",
            *(f"{value:.2f}" for value in f["beside"].values()),
            f"{f['elsewhere_cores_max']:.2f}",
        )
        for f in figures
    ]
    columns = ("ratio", "from to", "CPU ratio", "messages/s with it", "without", *figures[0]["beside"], "others")
    return page.table(("pipeline",), columns, rows)
