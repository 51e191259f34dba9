"""A stateful node at the end of a flow: it counts.

`input` is the page in which the count is told and, where that is not `EVERY`, once in how many messages it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.scenario.tally import EVERY, Tally

_tally: Tally


def init(args: dict[str, Any]) -> None:
    global _tally
    _tally = Tally(Path(args["input"][0]))


def start(args: dict[str, Any], api: Any) -> None:
    tally = _tally
    rest = (args["input"][1:] or [EVERY])[0] - 1

    def on_message(_message: dict[str, Any], _origin: str) -> None:
        tally.count += 1
        if not tally.count & rest:
            tally.show()

    api.registerInputListener(on_message)


def exit(_args: dict[str, Any]) -> None:  # noqa: A001  # the name that the engine calls
    _tally.show()
