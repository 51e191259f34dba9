"""Makes many messages of one, so that a load generator that speaks HTTP can drive nodes of very short work.

How many is the first input of the node. They are the message itself, each time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def start(args: dict[str, Any]) -> Iterator[object]:
    message, copies = args["streamInput"]["message"], args["input"][0]
    for _ in range(copies):
        yield message
