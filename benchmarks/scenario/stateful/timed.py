"""A stateful node at the end of a flow that notes how long each message took.

`input` is the page of the latencies and, where the source waits for each message, the pipe that tells it.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from benchmarks.scenario.latencies import Latencies
from benchmarks.scenario.loop import Loop


def start(args: dict[str, Any], api: Any) -> None:
    page, *loops = map(Path, args["input"])
    note, now_ns = Latencies(page).note, time.monotonic_ns
    loop = Loop(loops[0]) if loops else None

    def on_message(message: dict[str, Any], _origin: str) -> None:
        note(now_ns() - message["at_ns"])
        if loop is not None:
            loop.arrived()

    api.registerInputListener(on_message)
