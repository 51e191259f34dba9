"""Several sides beside each other, A B C A B C: each has its ratio to the references of its own round.

Pairs compare two sides. Here a case has one or several references and one or several sides that are compared with them,
so that each is measured once a round, however often it is compared, and all are comparable with each other.

Peers are sides, too, where they are installed. Where they are not, that is told, and the others are taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks import aims, page
from benchmarks.aims import Aim
from benchmarks.command import chosen, parser_of, publish
from benchmarks.peers.environment import present
from benchmarks.scenario.pairs import WARM_UP_S, Effort, figures_of, median_cpu_us, median_rate, summary
from benchmarks.scenario.side import Figures, Side
from streamer.cli.output import tell

_HUNDREDTHS_BELOW = 10

Taken = Mapping[str, Sequence[Figures]]
"""All measurements of a case by the names of its sides, in the order of the rounds."""


@dataclass(frozen=True, slots=True)
class Entrant:
    """One side, made below an empty folder.

    `beside` names the references that it is compared with, each with the ratio that it is to reach, or None; one that
    is compared with none is a reference. `cpu_beside` has what the ratio of CPU times is to reach, where that is asked
    for. `packages` are what a peer needs in the peers' environment.
    """

    name: str
    make: Callable[[Path], Side]
    beside: Mapping[str, Aim | None] = field(default_factory=dict)
    cpu_beside: Mapping[str, Aim] = field(default_factory=dict)
    packages: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """What is compared, in the order of a round."""

    name: str
    entrants: Sequence[Entrant]
    warm_up_s: float = WARM_UP_S

    @property
    def packages(self) -> list[str]:
        """What the peers among the sides need."""
        return [package for entrant in self.entrants for package in entrant.packages]

    def without_peers(self) -> Case:
        return replace(self, entrants=[entrant for entrant in self.entrants if not entrant.packages])

    @property
    def compares(self) -> bool:
        """Whether any of the sides has a reference."""
        names = {entrant.name for entrant in self.entrants}
        return any(names & entrant.beside.keys() for entrant in self.entrants)


def summaries(case: Case, taken: Taken) -> list[dict[str, Any]]:
    """One figure for each side and reference: the one's rate over the other's, and the reverse by CPU time."""
    peers = {entrant.name for entrant in case.entrants if entrant.packages}
    return [
        {
            **_compared(case, entrant, reference, taken),
            "side": entrant.name,
            "beside": reference,
            "per_s": median_rate(taken[entrant.name]),
            "reference_per_s": median_rate(taken[reference]),
            "cpu_us": median_cpu_us(taken[entrant.name]),
            "reference_cpu_us": median_cpu_us(taken[reference]),
            "reference_lost": sum(one.lost for one in taken[reference]) if reference in peers else None,
        }
        for entrant in case.entrants
        for reference in entrant.beside
        if reference in taken
    ]


def _compared(case: Case, entrant: Entrant, reference: str, taken: Taken) -> dict[str, Any]:
    """The ratios, and whether they are what they are to be."""
    figure = summary(case.name, tuple(zip(taken[entrant.name], taken[reference], strict=True)))
    asked = {"ratio": entrant.beside[reference], "cpu_ratio": entrant.cpu_beside.get(reference)}
    return {**figure, "aims": aims.judge(asked, figure)}


def table(figures: Sequence[Mapping[str, Any]]) -> str:
    """One table for each reference."""
    names = list(dict.fromkeys(f["beside"] for f in figures))
    by_reference = groupby(sorted(figures, key=lambda f: names.index(f["beside"])), key=lambda f: f["beside"])
    return "\n\n".join(_beside(reference, list(found)) for reference, found in by_reference)


def _beside(reference: str, figures: Sequence[Mapping[str, Any]]) -> str:
    loses = figures[0]["reference_lost"] is not None
    judges, judges_cpu = (any(name in f["aims"] for f in figures) for name in ("ratio", "cpu_ratio"))
    rows = [
        (
            f["case"],
            f["side"],
            f"**{_ratio(f, 'ratio')}**",
            f"{_ratio(f, 'ratio_min')} to {_ratio(f, 'ratio_max')}",
            *(aims.cells(f["aims"].get("ratio")) if judges else ()),
            _ratio(f, "cpu_ratio"),
            *(aims.cells(f["aims"].get("cpu_ratio")) if judges_cpu else ()),
            f"{f['per_s']:,}",
            f"{f['reference_per_s']:,}",
            _by_process(f["cpu_us"]),
            _by_process(f["reference_cpu_us"]),
            *([f"{f['reference_lost']:,}"] if loses else []),
            f"{f['elsewhere_cores_max']:.2f}",
            *([_cores(f["stolen_cores_max"])] if loses else []),
        )
        for f in figures
    ]
    ratios = ("ratio", "from to", *(aims.COLUMNS if judges else ()))
    cpu_ratios = ("CPU ratio", *(aims.COLUMNS if judges_cpu else ()))
    rates = ("messages/s", reference, "CPU us a message", reference)
    company = ("lost", "others", "of them the host") if loses else ("others",)
    return page.table((f"beside {reference}", "side"), (*ratios, *cpu_ratios, *rates, *company), rows)


def _cores(count: float | None) -> str:
    """Nothing where it was not told apart."""
    return "" if count is None else f"{count:.2f}"


def _ratio(figure: Mapping[str, Any], name: str) -> str:
    """Hundredths are noise in a ratio of hundreds."""
    return f"{figure[name]:.{2 if figure['ratio'] < _HUNDREDTHS_BELOW else 0}f}"


def _by_process(cpu_us: Mapping[str, float]) -> str:
    return " + ".join(f"{one:.2f}" for one in cpu_us.values())


@dataclass(frozen=True, slots=True)
class Rounds:
    """The command of such a benchmark. `summarize` and `table` say what is told of a case, and how."""

    name: str
    description: str
    cases: Sequence[Case]
    summarize: Callable[[Case, Taken], list[dict[str, Any]]] = summaries
    table: Callable[[Sequence[Mapping[str, Any]]], str] = table
    window_s: float = 0.6

    def main(self, arguments: Sequence[str]) -> int:
        parser = parser_of(self.name, self.description)
        parser.add_argument("--rounds", type=int, default=5, help="measurements of each side")
        parser.add_argument("--window", type=float, default=self.window_s, metavar="SECONDS", help="length of each")
        options = parser.parse_args(arguments)
        cases, versions = with_peers(chosen(parser, self.cases, options.only))
        if not cases:
            return 1
        figures = []
        for case in cases:
            effort = Effort(options.rounds, options.window, case.warm_up_s)
            figures += self.summarize(case, taken(case, effort))
        publish(self.name, arguments, figures, self.table(figures), options.json, versions)
        return 0


def with_peers(cases: Sequence[Case]) -> tuple[Sequence[Case], Mapping[str, str]]:
    """The cases, and the versions of the peers in them; without peers where they are not installed, which is told."""
    packages = tuple(dict.fromkeys(package for case in cases for package in case.packages))
    versions = present(packages)
    if versions is not None:
        return cases, versions
    left = [case.without_peers() for case in cases]
    return [case for case in left if case.compares], {}


def taken(case: Case, effort: Effort) -> Taken:
    """All sides of the case, one round after the other, each round in the order of the case.

    A peer is not measured again for the company it had: it sleeps for most of the time, and others do not.
    """
    found: dict[str, list[Figures]] = {entrant.name: [] for entrant in case.entrants}
    for number in range(1, effort.pairs + 1):
        for entrant in case.entrants:
            once = replace(effort, tries=1) if entrant.packages else effort
            found[entrant.name].append(figures_of(entrant.make, once))
        rates = ", ".join(f"{name} {figures[-1].rate:,.0f}/s" for name, figures in found.items())
        tell(f"round {number} of {effort.pairs}, {case.name}: {rates}")
    return found
