"""A stateful node that is a source: it sends a message once the sink has the one before it.

`input` is the number of bytes of payload in each message, and the pipe by which the sink tells.
"""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Any

from benchmarks.scenario.loop import Loop


def start(args: dict[str, Any], api: Any) -> None:
    data, loop = b"x" * args["input"][0], Loop(Path(args["input"][1]))
    send, now_ns = api.sendMessage, time.monotonic_ns
    for number in itertools.count():
        send({"id": number, "at_ns": now_ns(), "data": data})
        loop.wait()
