"""Query 3, the join: who sells in which auction, whichever of the two comes first.

Auctions wait for their seller for as long as it takes; the seller stays, since more of its auctions may come.
"""

from __future__ import annotations

from typing import Any


def start(_args: dict[str, Any], api: Any) -> None:
    places = api.state.value("places")
    waiting = api.state.list("waiting")
    send = api.sendMessage

    def on_message(message: dict[str, Any], _origin: str) -> None:
        seller = message["seller"]
        place = message.get("place")
        if place is None:
            auction = message["auction"]
            place = places.get(seller)
            if place is None:
                waiting.append(seller, auction)
            else:
                send({**place, "auction": auction})
            return
        places.set(seller, place)
        for auction in waiting.get(seller):
            send({**place, "auction": auction})
        waiting.clear(seller)

    api.registerInputListener(on_message)
    api.startMessageListening()
