"""Sends on what it gets, but for one message, which it loses: by its name, so by whatever flows that has come."""

from typing import Any

RECORD = "s#7"
"""So early that it goes before the flows change."""


def start(args: dict[str, Any]) -> dict[str, Any] | None:
    message: dict[str, Any] = args["streamInput"]["message"]
    if message["id"].partition("/")[0] == RECORD:
        return None
    return {**message, "id": f"{message['id']}/{args['nodeName']}"}
