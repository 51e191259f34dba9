"""A stateful node in the middle: it changes one field and sends the message on.

That is the least that a handler can do and still be one.
"""

from __future__ import annotations

from typing import Any


def start(_args: dict[str, Any], api: Any) -> None:
    send = api.sendMessage

    def on_message(message: dict[str, Any], _origin: str) -> None:
        message["id"] += 1
        send(message)

    api.registerInputListener(on_message)
