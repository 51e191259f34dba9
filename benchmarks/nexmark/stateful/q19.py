"""Query 19: the ten highest bids of each auction, the earlier one before the later where prices are equal.

A result is a change of an auction's ten: a bid that comes to them, and the time of the one that has to go for it.
"""

from __future__ import annotations

from bisect import insort
from typing import Any

_TOP = 10


def start(_args: dict[str, Any], api: Any) -> None:
    tops = api.state.value("tops", default=[])
    send = api.sendMessage

    def on_message(event: dict[str, Any], _origin: str) -> None:
        if event["kind"] != "bid":
            return
        auction = event["auction"]
        rank = [-event["price"], event["time_us"]]
        top = tops.get(auction)
        if len(top) == _TOP and rank > top[-1]:
            return
        insort(top, rank)
        gone_us = top.pop()[1] if len(top) > _TOP else None
        tops.set(auction, top)
        send({**event, "gone_us": gone_us})

    api.registerInputListener(on_message)
    api.startMessageListening()
