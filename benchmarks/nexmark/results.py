"""The results of a query as a multiset of lines, and how two of them differ.

Queries 0 to 14 say each result once and for good: their lines are the result, in any order. Queries 18 and 19 say how a
table changes, and which changes there are depends on the order in which bids come, which is another one after a kill.
So it is the table that is compared, as a reader of the lines would have it at the end: of query 18 the latest bid of
each bidder and auction, of query 19 the bids that came to the ten of their auction and have not gone. Neither reading
depends on the order of the lines, and each line must be there once: a bid that comes twice is in the table twice.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]
Results = Counter[str]
_SHOWN = 3


def _all(rows: Iterable[Row]) -> Iterable[Row]:
    return rows


def _latest(rows: Iterable[Row]) -> Iterable[Row]:
    """The latest of each bidder and auction, as often as it is there."""
    latest: dict[tuple[int, int], list[Row]] = {}
    for row in rows:
        found = latest.setdefault((row["bidder"], row["auction"]), [])
        if found and row["time_us"] > found[0]["time_us"]:
            found.clear()
        if not found or row["time_us"] == found[0]["time_us"]:
            found.append(row)
    return [row for found in latest.values() for row in found]


def _staying(rows: Iterable[Row]) -> Iterable[Row]:
    """What came and has not gone; event times are as good as ids, no two bids have the same."""
    kept = list(rows)
    gone = Counter(row["gone_us"] for row in kept if row.get("gone_us") is not None)
    staying: list[Row] = []
    for row in kept:
        if gone[row["time_us"]]:
            gone[row["time_us"]] -= 1
        else:
            staying.append({name: value for name, value in row.items() if name != "gone_us"})
    return staying


_READINGS: Mapping[str, Callable[[Iterable[Row]], Iterable[Row]]] = {"q18": _latest, "q19": _staying}


def results_of(query: str, rows: Iterable[Row]) -> Results:
    """What is compared of a query, each result in one spelling."""
    reading = _READINGS.get(query, _all)
    return Counter(json.dumps(row, sort_keys=True) for row in reading(rows))


def read(query: str, path: Path) -> Results:
    """The results in a file of JSON lines."""
    with path.open(encoding="utf-8") as file:
        return results_of(query, map(json.loads, file))


def difference(found: Results, expected: Results) -> str:
    """What is missing and what is too much, with a few of each; empty if the two are the same."""
    parts = [
        f"{sum(lines.values()):,} {word}, such as {'; '.join(list(lines)[:_SHOWN])}"
        for word, lines in (("missing", expected - found), ("too much", found - expected))
        if lines
    ]
    return " - and ".join(parts)
