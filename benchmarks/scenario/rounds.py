"""Several sides beside each other, A B C A B C: each has its ratio to the reference of its own round.

Pairs compare two sides. Here a case has one reference and one or several sides that it is compared with, so that these
are comparable with each other, too, and the reference is measured once for all of them.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import page
from benchmarks.command import chosen, parser_of, publish
from benchmarks.scenario.pairs import Effort, cpu_us, figures_of, median_rate, summary
from benchmarks.scenario.side import Figures, Side
from streamer.cli.output import tell

Taken = Mapping[str, Sequence[Figures]]
"""All measurements of a case by the names of its sides, in the order of the rounds."""


@dataclass(frozen=True, slots=True)
class Entrant:
    """One side, made below an empty folder. `aim` is the ratio that it is to reach; 0 if none is set."""

    name: str
    make: Callable[[Path], Side]
    aim: float = 0.0


@dataclass(frozen=True, slots=True)
class Case:
    """What is compared with what."""

    name: str
    reference: Entrant
    entrants: Sequence[Entrant]


def summaries(case: Case, taken: Taken) -> list[dict[str, Any]]:
    """One figure for each entrant: its rate over that of the reference, and the reverse by CPU time."""
    references = taken[case.reference.name]
    return [
        {
            **summary(case.name, tuple(zip(taken[entrant.name], references, strict=True))),
            "side": entrant.name,
            "aim": entrant.aim or None,
            "per_s": median_rate(taken[entrant.name]),
            "reference_per_s": median_rate(references),
            "cpu_us": median_total_cpu_us(taken[entrant.name]),
            "reference_cpu_us": median_total_cpu_us(references),
        }
        for entrant in case.entrants
    ]


def median_total_cpu_us(figures: Sequence[Figures]) -> float:
    """CPU time a message of all processes together."""
    return round(statistics.median(map(cpu_us, figures)), 2)


def table(figures: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (
            f["case"],
            f["side"],
            f"**{f['ratio']:.2f}**",
            f"{f['ratio_min']:.2f} to {f['ratio_max']:.2f}",
            "" if f["aim"] is None else f"{f['aim']:.2f}",
            f"{f['cpu_ratio']:.2f}",
            f"{f['per_s']:,}",
            f"{f['reference_per_s']:,}",
            f"{f['cpu_us']:.2f}",
            f"{f['reference_cpu_us']:.2f}",
            f"{f['elsewhere_cores_max']:.2f}",
        )
        for f in figures
    ]
    rates = ("messages/s", "reference", "CPU us a message", "reference")
    return page.table(("case", "side"), ("ratio", "from to", "aim", "CPU ratio", *rates, "others"), rows)


@dataclass(frozen=True, slots=True)
class Rounds:
    """The command of such a benchmark. `summarize` and `table` say what is told of a case, and how."""

    name: str
    description: str
    cases: Sequence[Case]
    summarize: Callable[[Case, Taken], list[dict[str, Any]]] = summaries
    table: Callable[[Sequence[Mapping[str, Any]]], str] = table

    def main(self, arguments: Sequence[str]) -> int:
        parser = parser_of(self.name, self.description)
        parser.add_argument("--rounds", type=int, default=5, help="measurements of each side")
        parser.add_argument("--window", type=float, default=0.6, metavar="SECONDS", help="length of each")
        options = parser.parse_args(arguments)
        effort = Effort(options.rounds, options.window, warm_up_s=0.4)
        figures = []
        for case in chosen(parser, self.cases, options.only):
            figures += self.summarize(case, taken(case, effort))
        publish(self.name, arguments, figures, self.table(figures), options.json)
        return 0


def taken(case: Case, effort: Effort) -> Taken:
    """All sides of the case, one round after the other, the reference first."""
    found: dict[str, list[Figures]] = {side.name: [] for side in (case.reference, *case.entrants)}
    for number in range(1, effort.pairs + 1):
        for side in (case.reference, *case.entrants):
            found[side.name].append(figures_of(side.make, effort))
        rates = ", ".join(f"{name} {figures[-1].rate:,.0f}/s" for name, figures in found.items())
        tell(f"round {number} of {effort.pairs}, {case.name}: {rates}")
    return found
