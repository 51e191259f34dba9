"""A stateless algorithm: one function, called once for each message.

What it returns goes on along the flow of the message; returning nothing would filter the message out.
"""

from __future__ import annotations

from streamer_algorithm import AlgorithmArgs


def start(args: AlgorithmArgs) -> dict[str, int]:
    number: int = args["streamInput"]["message"]["id"]
    return {"id": number, "square": number * number}
