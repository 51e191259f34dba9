"""What the figures are to reach, and a summary of all of them: which of the aims are reached, and by how much not.

An aim stands beside its figure in the record, judged when the figure was taken, so that no text has to be changed when
it is taken again. The summary is made of the records, after each benchmark that writes one, and names what was aimed at
by the same words as the tables do.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import page, record

NAME = "aims"
COLUMNS = ("aim", "reached")
_WHOLE_FROM = 10

Judged = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Aim:
    """`bound` is the least that a figure is to be or, with `at_most`, the most; `of` names it in the summary."""

    of: str
    bound: float
    at_most: bool = False

    def judge(self, found: float) -> Judged:
        """For the record: the aim beside what was found."""
        reached = found <= self.bound if self.at_most else found >= self.bound
        return {"of": self.of, "bound": self.bound, "at_most": self.at_most, "found": found, "reached": reached}


def judge(aims: Mapping[str, Aim | None], figure: Mapping[str, Any]) -> dict[str, Judged]:
    """What the figure has under each of these names, beside its aim if there is one."""
    return {name: aim.judge(figure[name]) for name, aim in aims.items() if aim is not None}


def bound(aim: Judged) -> str:
    """At least or at most so much."""
    return f"{'≤' if aim['at_most'] else '≥'} {aim['bound']:,g}"


def cells(aim: Judged | None) -> Sequence[str]:
    """Of the two columns `aim` and `reached`; empty without an aim."""
    return (bound(aim), "yes" if aim["reached"] else "no") if aim else ("", "")


def summary(figures: Sequence[tuple[str, Judged]]) -> str:
    """A table of all aims, each with the name of its benchmark, one row for what has the same words and bound."""
    order = list(dict.fromkeys(benchmark for benchmark, _ in figures))
    rows: dict[tuple[str, str], list[tuple[str, Judged]]] = {}
    for benchmark, aim in sorted(figures, key=lambda figure: (order.index(figure[0]), figure[1]["of"])):
        rows.setdefault((aim["of"], bound(aim)), []).append((benchmark, aim))
    return page.table(("figure", "measured by"), (*COLUMNS, "found"), [_row(found) for found in rows.values()])


def _row(found: Sequence[tuple[str, Judged]]) -> Sequence[str]:
    benchmark, first = found[0]
    values = [aim["found"] for _, aim in found]
    reached = sum(aim["reached"] for _, aim in found)
    told = number(min(values)) if len(values) == 1 else f"{number(min(values))} to {number(max(values))}"
    return first["of"], f"`{benchmark}`", bound(first), _share(reached, len(found)), f"**{told}**"


def _share(reached: int, count: int) -> str:
    if reached in (0, count):
        return "yes" if reached else "no"
    return f"{reached} of {count}"


def number(value: float) -> str:
    """Hundredths say nothing of what is large."""
    return f"{value:,.0f}" if value >= _WHOLE_FROM else f"{value:.2f}"


def of_records(benchmarks: Sequence[str], folder: Path = record.RESULTS) -> Iterator[tuple[str, Judged]]:
    """What the records of these benchmarks say of aims, those that lie in the folder, in this order."""
    for name in benchmarks:
        path = folder / record.home_of(name).name
        if path.exists():
            for figure in json.loads(path.read_text())["figures"]:
                yield from ((name, aim) for aim in figure.get("aims", {}).values())
