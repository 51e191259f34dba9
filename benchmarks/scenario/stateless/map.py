"""A stateless node that is a map and the end of a flow: it changes one field and counts.

`input[0]` is the page in which the count is told.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.scenario.tally import REST, Tally

_tally: Tally


def init(args: dict[str, Any]) -> None:
    global _tally
    _tally = Tally(Path(args["input"][0]))


def start(args: dict[str, Any], _api: object) -> None:
    args["streamInput"]["message"]["id"] += 1
    tally = _tally
    tally.count += 1
    if not tally.count & REST:
        tally.show()


def exit(_args: dict[str, Any]) -> None:  # noqa: A001  # the name that the engine calls
    _tally.show()
