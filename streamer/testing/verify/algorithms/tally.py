"""Stateful: numbers the messages of each key from 1 on, in keyed state, and sends them on with that number.

Each message counts once, whatever is done to the instance that counts.
"""

from typing import Any


def start(args: dict[str, Any], api: Any) -> None:
    counts = api.state.counter("counts")

    def on_message(message: dict[str, Any]) -> None:
        count = counts.add(message["key"])
        api.sendMessage({**message, "id": f"{message['id']}/{args['nodeName']}", "count": count})

    api.registerInputListener(on_message)
    api.startMessageListening()
