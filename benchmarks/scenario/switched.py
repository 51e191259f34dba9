"""What a feature costs: the same pipeline with it and without it, in messages a second.

Each pair is taken within a few seconds, with the feature first, and the figure is the median of the pairs' ratios: on a
machine that others use too, a ratio of neighbours says more than two rates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Generic

from benchmarks import aims, page
from benchmarks.aims import Aim
from benchmarks.command import Case, chosen, parser_of, publish
from benchmarks.scenario.engine import EngineSide
from benchmarks.scenario.pairs import WARM_UP_S, Effort, Pair, median_rate, summary, taken


@dataclass(frozen=True, slots=True)
class Switch(Generic[Case]):
    """`engine` gives the job of a case below a folder, with the feature or without it.

    `aim` is what the ratio is to reach. `beside` are further facts of each case, by the heading of their column. A job
    is measured for `window_s`, and has `warm_up_s` to come to its full rate with the feature; without it, that rate is
    there at once.
    """

    name: str
    description: str
    cases: Sequence[Case]
    engine: Callable[[Case, Path, bool], EngineSide]
    aim: Aim
    beside: Callable[[Effort], Mapping[str, float]] = lambda _effort: {}
    warm_up_s: float = WARM_UP_S
    window_s: float = 0.6

    def compare(self, cases: Sequence[Case], effort: Effort) -> list[dict[str, Any]]:
        """All pairs of all cases, one round over the cases after the other."""
        first, second = partial(self._side, True), partial(self._side, False)
        pairs = taken(cases, first, second, effort, replace(effort, warm_up_s=WARM_UP_S))
        return [{**self._summary(name, found), "beside": dict(self.beside(effort))} for name, found in pairs.items()]

    def _summary(self, name: str, pairs: Sequence[Pair]) -> dict[str, Any]:
        on, off = zip(*pairs, strict=True)
        figure = {**summary(name, pairs), "on_per_s": median_rate(on), "off_per_s": median_rate(off)}
        return {**figure, "aims": aims.judge({"ratio": self.aim}, figure)}

    def _side(self, on: bool, case: Case, folder: Path) -> EngineSide:
        return self.engine(case, folder, on)

    def main(self, arguments: Sequence[str]) -> int:
        """The command: measures, and puts the table into its page."""
        parser = parser_of(self.name, self.description)
        parser.add_argument("--pairs", type=int, default=5, help="measurements of each side")
        parser.add_argument("--window", type=float, default=self.window_s, metavar="SECONDS", help="length of each")
        parser.add_argument("--folder", type=Path, help="where the jobs lie: on the disk that is to be measured")
        options = parser.parse_args(arguments)
        effort = Effort(options.pairs, options.window, self.warm_up_s, folder=options.folder)
        figures = self.compare(chosen(parser, self.cases, options.only), effort)
        publish(self.name, arguments, figures, table(figures), options.json)
        return 0


def table(figures: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (
            f["case"],
            f"**{f['ratio']:.2f}**",
            f"{f['ratio_min']:.2f} to {f['ratio_max']:.2f}",
            *aims.cells(f["aims"].get("ratio")),
            f"{f['cpu_ratio']:.2f}",
            f"{f['on_per_s']:,}",
            f"{f['off_per_s']:,}",
            *(f"{value:.2f}" for value in f["beside"].values()),
            f"{f['elsewhere_cores_max']:.2f}",
        )
        for f in figures
    ]
    ratios = ("ratio", "from to", *aims.COLUMNS, "CPU ratio")
    columns = (*ratios, "messages/s with it", "without", *figures[0]["beside"], "others")
    return page.table(("pipeline",), columns, rows)
