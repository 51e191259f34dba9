"""A stateful node that is a source of one message at a time: it sends the next one when the sink has told it to.

`input` is the folder with the pipe through which it is told, and the number of bytes of payload in each message.
"""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path
from typing import Any


def start(args: dict[str, Any], api: Any) -> None:
    folder, payload_bytes = args["input"]
    data, turn = b"x" * payload_bytes, os.open(Path(folder) / "turn", os.O_RDWR)
    for number in itertools.count():
        api.sendMessage({"id": number, "sent_ns": time.monotonic_ns(), "data": data})
        os.read(turn, 1)
