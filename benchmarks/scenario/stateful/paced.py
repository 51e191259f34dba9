"""A stateful node that is a source: it sends by the clock, whatever becomes of its messages.

`input` is the number of bytes of payload in each message, and how many it sends a second. Message n is due n periods
after the first one and says so; if it is sent late, because the source was kept waiting, its latency still counts from
when it was due.
"""

from __future__ import annotations

import time
from typing import Any

_PAUSE_S = 0.0002
"""Messages that are due within this time are sent together: a process cannot sleep for much less."""
_NS = 1_000_000_000


def start(args: dict[str, Any], api: Any) -> None:
    data, rate = b"x" * args["input"][0], args["input"][1]
    send, now_ns = api.sendMessage, time.monotonic_ns
    began_ns, sent = now_ns(), 0
    while True:
        due = (now_ns() - began_ns) * rate // _NS + 1
        for number in range(sent, due):
            send({"id": number, "at_ns": began_ns + number * _NS // rate, "data": data})
        sent = due
        time.sleep(max(_PAUSE_S, (began_ns + due * _NS / rate - now_ns()) / _NS))
