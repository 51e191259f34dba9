"""A stateful node that is a source: it sends by the clock, whatever becomes of its messages.

`input` is the number of bytes of payload in each message, and how many it sends a second. A message says when it was
due.
"""

from __future__ import annotations

from typing import Any

from benchmarks.scenario.pace import Pace


def start(args: dict[str, Any], api: Any) -> None:
    data, pace = b"x" * args["input"][0], Pace(args["input"][1])
    send, at_ns = api.sendMessage, pace.at_ns
    while True:
        for number in pace.due():
            send({"id": number, "at_ns": at_ns(number), "data": data})
