"""Sends on what it gets, after as many seconds as the node's first input says.

The relay of most shapes. One that takes its time is a slow node.
"""

import time
from typing import Any


def start(args: dict[str, Any]) -> dict[str, Any]:
    if args["input"]:
        time.sleep(args["input"][0])
    message: dict[str, Any] = args["streamInput"]["message"]
    return {**message, "id": f"{message['id']}/{args['nodeName']}"}
