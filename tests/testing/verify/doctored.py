"""Stateful: numbers what it gets and sends it on, but for one message, to which it does what its input names.

What the verifier must catch, as an algorithm, so that it passes through real processes.
"""

from typing import Any

RECORD = "s#77"


def start(args: dict[str, Any], api: Any) -> None:
    (deed,) = args["input"]
    count = 0
    held: list[dict[str, Any]] = []

    def on_message(message: dict[str, Any]) -> None:
        nonlocal count
        chosen = message["id"].partition("/")[0] == RECORD
        if chosen and deed == "lose":
            return
        count += 2 if chosen and deed == "miscount" else 1
        sent = {**message, "id": f"{message['id']}/{args['nodeName']}", "count": count}
        if chosen and deed == "reorder":
            held.append(sent)
            return
        for one in [sent, *held, *([sent] if chosen and deed == "double" else [])]:
            api.sendMessage(one)
        held.clear()

    api.registerInputListener(on_message)
    api.startMessageListening()
