"""Two sides beside each other, A B A B: each pair is taken within a few seconds, and the claim is their ratio.

What happens to a shared machine happens to both sides of a pair, so the median of the pairs' ratios says more than two
rates, and the lowest and the highest say how far to trust it.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.command import Case
from benchmarks.scenario.side import Figures, Side, measure_in_quiet
from streamer.cli.output import tell

Pair = tuple[Figures, Figures]
WARM_UP_S = 0.2
"""Enough where a rate does not depend on checkpoints: so long after the first message it is there on a busy machine."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How often each side is measured, how long, in what company at most, and below which folder."""

    pairs: int
    window_s: float
    warm_up_s: float = WARM_UP_S
    elsewhere_cores_max: float = 0.15
    tries: int = 2
    folder: Path | None = None


def taken(
    cases: Sequence[Case],
    first: Callable[[Case, Path], Side],
    second: Callable[[Case, Path], Side],
    effort: Effort,
    second_effort: Effort,
) -> dict[str, list[Pair]]:
    """All pairs of all cases by their names, one round over the cases after the other."""
    found: dict[str, list[Pair]] = {case.name: [] for case in cases}
    for number in range(1, effort.pairs + 1):
        for case in cases:
            pair = figures_of(partial(first, case), effort), figures_of(partial(second, case), second_effort)
            found[case.name].append(pair)
            tell(f"pair {number} of {effort.pairs}, {case.name}: {pair[0].rate / pair[1].rate:.2f}")
    return found


def figures_of(make: Callable[[Path], Side], effort: Effort) -> Figures:
    """One measurement of one side, which gets an empty folder."""
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=effort.folder) as folder:
        ways = (Path(folder) / str(n) for n in range(effort.tries))

        def fresh() -> Side:
            way = next(ways)
            way.mkdir()
            return make(way)

        return measure_in_quiet(
            fresh,
            effort.warm_up_s,
            effort.window_s,
            elsewhere_cores_max=effort.elsewhere_cores_max,
            tries=effort.tries,
        )


def summary(name: str, pairs: Sequence[Pair]) -> dict[str, Any]:
    """What the record says of one case: the first side's rate over the second's, and the reverse by CPU time."""
    ratios = [one.rate / other.rate for one, other in pairs]
    return {
        "case": name,
        "ratio": round(statistics.median(ratios), 3),
        "ratio_min": round(min(ratios), 3),
        "ratio_max": round(max(ratios), 3),
        "cpu_ratio": round(statistics.median(cpu_us(other) / cpu_us(one) for one, other in pairs), 3),
        "elsewhere_cores_max": max(figures.elsewhere_cores for pair in pairs for figures in pair),
        "stolen_cores_max": max(figures.stolen_cores for pair in pairs for figures in pair),
    }


def cpu_us(figures: Figures) -> float:
    """CPU time a message of all processes together: a neighbour can change it only a little."""
    return sum(figures.cpu_us.values())


def median_rate(figures: Sequence[Figures]) -> int:
    return round(statistics.median(one.rate for one in figures))


def median_cpu_us(figures: Sequence[Figures]) -> dict[str, float]:
    """By process."""
    return {name: round(statistics.median(f.cpu_us[name] for f in figures), 2) for name in figures[0].cpu_us}
