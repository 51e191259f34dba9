"""What is told of a peer beside our engine: the same figures and the same table for all of them.

A ratio above 1 says that the engine is faster, or takes less CPU time for a message. Most cases have an aim, which
stands beside the ratio; one below it fails nothing, because a neighbour on the machine can bring it about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from benchmarks import page
from benchmarks.scenario.pairs import Pair, median_cpu_us, median_rate, summary

_HUNDREDTHS_BELOW = 10


class Aimed(Protocol):
    """A case, and how many times the peer's rate the engine's is to be at least, if there is an aim."""

    @property
    def name(self) -> str: ...
    @property
    def aim(self) -> float | None: ...


def figure_of(case: Aimed, pairs: Sequence[Pair]) -> dict[str, Any]:
    """`pairs` are the engine's and the peer's measurements."""
    ours, theirs = zip(*pairs, strict=True)
    return {
        **summary(case.name, pairs),
        "aim": case.aim,
        "engine_per_s": median_rate(ours),
        "peer_per_s": median_rate(theirs),
        "engine_cpu_us": median_cpu_us(ours),
        "peer_cpu_us": median_cpu_us(theirs),
        "peer_lost": sum(figures.lost for figures in theirs),
    }


def table(names: str, figures: Sequence[Mapping[str, Any]]) -> str:
    """`names` is the heading of the cases."""
    rows = [
        (
            f["case"],
            f"**{f['ratio']:.{_digits(f)}f}**",
            f"{f['ratio_min']:.{_digits(f)}f} to {f['ratio_max']:.{_digits(f)}f}",
            "" if f["aim"] is None else f"{f['aim']:g}",
            f"{f['cpu_ratio']:.{_digits(f)}f}",
            f"{f['engine_per_s']:,}",
            f"{f['peer_per_s']:,}",
            f"{sum(f['engine_cpu_us'].values()):.2f}",
            f"{sum(f['peer_cpu_us'].values()):.2f}",
            f"{f['peer_lost']:,}",
            f"{f['elsewhere_cores_max']:.2f}",
        )
        for f in figures
    ]
    columns = ("ratio", "from to", "aim", "CPU ratio", "messages/s", "peer", "CPU us a message", "peer", "peer lost")
    return page.table((names,), (*columns, "others"), rows)


def _digits(figure: Mapping[str, Any]) -> int:
    """Hundredths are noise in a ratio of hundreds."""
    return 2 if figure["ratio"] < _HUNDREDTHS_BELOW else 0
