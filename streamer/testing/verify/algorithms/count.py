"""Stateful: numbers what it gets from 1 on, in memory, and sends it on with that number.

The count begins anew when the instance does, so it is exact only as long as nothing goes wrong.
"""

from typing import Any


def start(args: dict[str, Any], api: Any) -> None:
    count = 0

    def on_message(message: dict[str, Any]) -> None:
        nonlocal count
        count += 1
        api.sendMessage({**message, "id": f"{message['id']}/{args['nodeName']}", "count": count})

    api.registerInputListener(on_message)
    api.startMessageListening()
