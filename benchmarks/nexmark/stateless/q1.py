"""Query 1: the bids with their prices in another currency.

A map: one message out for each bid.
"""

from __future__ import annotations

from typing import Any


def start(args: dict[str, Any], _api: object) -> dict[str, Any] | None:
    event = args["streamInput"]["message"]
    if event["kind"] != "bid":
        return None
    return {
        "auction": event["auction"],
        "bidder": event["bidder"],
        "price": 0.908 * event["price"],
        "time_us": event["time_us"],
        "extra": event["extra"],
    }
