"""A stateless algorithm: how far is a reading from what processes usually do?

The score is the distance from the usual, in units of it, in the dimension where it is largest: 0 for an idle process, 1
for one at the edge of the usual. Fixed scales and not statistics of the host keep it stateless, so that any replica
gives the same answer, and a redelivered reading the same score.
"""

from __future__ import annotations

from typing import Any

from streamer_algorithm import AlgorithmArgs, StreamingApi

USUAL = {"cpu_percent": 10.0, "memory_mib": 500.0, "io_mib_s": 5.0}


def score(reading: dict[str, Any]) -> tuple[float, str]:
    """The largest score of the reading, and the dimension that has it."""
    return max((round(reading[dimension] / usual, 2), dimension) for dimension, usual in USUAL.items())


def start(args: AlgorithmArgs, api: StreamingApi) -> dict[str, Any]:
    reading = args["streamInput"]["message"]
    points, dimension = score(reading)
    scored = {**reading, "score": points, "because": dimension}
    if points >= args["input"][0]:
        api.sendMessage(scored, "alert")
    return scored
