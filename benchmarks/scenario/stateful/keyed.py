"""A stateful node at the end of a flow that counts by key, in keyed state or in a variable.

`input` is the page in which the count is told, the number of keys, and `state` or `variable`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.scenario.tally import REST, Tally

_tally: Tally


def init(args: dict[str, Any]) -> None:
    global _tally
    _tally = Tally(Path(args["input"][0]))


def start(args: dict[str, Any], api: Any) -> None:
    tally, keys, where = _tally, int(args["input"][1]), args["input"][2]
    counts: dict[int, int] = {}
    add = api.state.counter("counts").add if where == "state" else None

    def on_message(message: dict[str, Any], _origin: str) -> None:
        key = message["id"] % keys
        if add is None:
            counts[key] = counts.get(key, 0) + 1
        else:
            add(key)
        tally.count += 1
        if not tally.count & REST:
            tally.show()

    api.registerInputListener(on_message)


def exit(_args: dict[str, Any]) -> None:  # noqa: A001  # the name that the engine calls
    _tally.show()
