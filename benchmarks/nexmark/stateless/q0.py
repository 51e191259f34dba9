"""Query 0: the bids as they are.

It costs what it takes to carry a message and to pack it.
"""

from __future__ import annotations

from typing import Any


def start(args: dict[str, Any], _api: object) -> dict[str, Any] | None:
    event: dict[str, Any] = args["streamInput"]["message"]
    return event if event["kind"] == "bid" else None
