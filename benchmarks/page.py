"""The tables of the documents: written by the commands that took the figures, between two marks each.

A table that a person copies is soon wrong. The text around the marks is a person's, and is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.record import ROOT
from streamer.errors import StreamerError

PAGE = ROOT / "docs" / "benchmarks.md"
_ELSEWHERE = {"scenario.autoscaling": ROOT / "docs" / "autoscaling.md"}


class PageError(StreamerError):
    """A table has no place on the page."""

    remedy = "Put the two comments `begin NAME` and `end NAME` where the table is to stand."


def table(names: Sequence[str], figures: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table whose columns are text (`names`) and then figures."""
    lines = [[*names, *figures], ["---"] * len(names) + ["---:"] * len(figures), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def provenance(record: Mapping[str, Any]) -> str:
    """One line that says where the figures come from."""
    at = record["machine"]
    used = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    return (
        f"`{record['command']}`, {record['date']}, commit {record['commit']}, on {at['processor']}, "
        f"{at['cores']} cores, {at['memory_gib']} GiB, {at['system']}; {used}"
    )


def page_of(name: str) -> Path:
    """The page on which a table stands."""
    return _ELSEWHERE.get(name, PAGE)


def put(name: str, text: str, page: Path | None = None) -> None:
    """Replace what stands between the marks of `name`, on its own page unless another one is given.

    Raises PageError if they are not there.
    """
    page = page or page_of(name)
    before = page.read_text(encoding="utf-8")
    pattern = re.compile(rf"(<!-- begin {re.escape(name)} -->\n).*?(<!-- end {re.escape(name)} -->)", re.DOTALL)
    after, found = pattern.subn(lambda m: f"{m[1]}\n{text}\n\n{m[2]}", before)
    if not found:
        raise PageError(f"{page.name} has no place for the table {name!r}")
    page.write_text(after, encoding="utf-8")
