"""A stateless node in the middle: it changes one field and returns the message.

That is the least that a handler can do and still be one.
"""

from __future__ import annotations

from typing import Any


def start(args: dict[str, Any], _api: object) -> dict[str, Any]:
    message: dict[str, Any] = args["streamInput"]["message"]
    message["id"] += 1
    return message
