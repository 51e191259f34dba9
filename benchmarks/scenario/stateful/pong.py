"""A stateful node that takes the time that each message was under way, and wakes the source for the next one.

`input[0]` is the folder with the pipe for that and the file of the times.
"""

from __future__ import annotations

import os
import struct
import time
from pathlib import Path
from typing import Any


def start(args: dict[str, Any], api: Any) -> None:
    folder = Path(args["input"][0])
    turn = os.open(folder / "turn", os.O_RDWR)
    times = os.open(folder / "times", os.O_WRONLY | os.O_APPEND)

    def on_message(message: dict[str, Any], _origin: str) -> None:
        os.write(times, struct.pack("<q", time.monotonic_ns() - message["sent_ns"]))
        os.write(turn, b".")

    api.registerInputListener(on_message)
