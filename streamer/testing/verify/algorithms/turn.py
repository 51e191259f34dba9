"""Lets a record into the cycle one to three times, by its number, and then no more.

It can tell how often from the message, which carries its way.
"""

from typing import Any

_ROUNDS = 3


def start(args: dict[str, Any]) -> dict[str, Any] | None:
    message: dict[str, Any] = args["streamInput"]["message"]
    record = int(message["id"].partition("/")[0].partition("#")[2])
    if message["id"].count(f"/{args['nodeName']}") < 1 + record % _ROUNDS:
        return {**message, "id": f"{message['id']}/{args['nodeName']}"}
    return None
