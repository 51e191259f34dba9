"""A stateful node that is a source: its `start` sends until the stream ends.

`input[0]` is the number of bytes of payload in each message.
"""

from __future__ import annotations

import itertools
from typing import Any


def start(args: dict[str, Any], api: Any) -> None:
    data = b"x" * args["input"][0]
    send = api.sendMessage
    for number in itertools.count():
        send({"id": number, "data": data})
