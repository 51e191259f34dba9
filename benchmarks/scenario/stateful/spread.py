"""A stateful node that shares its messages over several flows, by name.

`input[0]` is the number of flows: `f0`, `f1` and so on.
"""

from __future__ import annotations

from typing import Any


def start(args: dict[str, Any], api: Any) -> None:
    send, names = api.sendMessage, [f"f{n}" for n in range(args["input"][0])]
    count = len(names)

    def on_message(message: dict[str, Any], _origin: str) -> None:
        send(message, names[message["id"] % count])

    api.registerInputListener(on_message)
