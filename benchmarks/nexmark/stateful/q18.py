"""Query 18: the last bid of each bidder in each auction, by event time.

A result is an update: it takes the place of the one before it with the same bidder and auction.
"""

from __future__ import annotations

from typing import Any


def start(_args: dict[str, Any], api: Any) -> None:
    last_us = api.state.value("last_us", default=0)
    send = api.sendMessage

    def on_message(event: dict[str, Any], _origin: str) -> None:
        if event["kind"] != "bid":
            return
        key = event["bidder"], event["auction"]
        if event["time_us"] > last_us.get(key):
            last_us.set(key, event["time_us"])
            send(event)

    api.registerInputListener(on_message)
    api.startMessageListening()
