"""Query 2: the prices bid for a few of the auctions.

A filter: nearly nothing comes out.
"""

from __future__ import annotations

from typing import Any


def start(args: dict[str, Any], _api: object) -> dict[str, Any] | None:
    event = args["streamInput"]["message"]
    if event["kind"] != "bid" or event["auction"] % 123:
        return None
    return {"auction": event["auction"], "price": event["price"]}
