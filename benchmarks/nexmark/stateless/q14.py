"""Query 14: the bids of a range of prices, with the part of their day and a count of the letters c.

It has what users write: a condition, a choice, and a function of their own.
"""

from __future__ import annotations

from typing import Any

_HOUR_US = 3_600_000_000


def part_of_day(time_us: int) -> str:
    hour = time_us // _HOUR_US % 24
    if 8 <= hour <= 18:
        return "dayTime"
    return "nightTime" if hour <= 6 or hour >= 20 else "otherTime"


def start(args: dict[str, Any], _api: object) -> dict[str, Any] | None:
    event = args["streamInput"]["message"]
    if event["kind"] != "bid":
        return None
    price = 0.908 * event["price"]
    if not 1_000_000 < price < 50_000_000:
        return None
    return {
        "auction": event["auction"],
        "bidder": event["bidder"],
        "price": price,
        "part": part_of_day(event["time_us"]),
        "time_us": event["time_us"],
        "extra": event["extra"],
        "letters_c": event["extra"].count("c"),
    }
