"""A stateful algorithm: keeps the latest reading of each process, and sums up the host once a second.

The time is taken from the readings and not from a clock, so that the same readings give the same summaries.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from streamer_algorithm import AlgorithmArgs, StreamingApi

SUMMARY_EVERY_S = 1.0
FORGET_AFTER_S = 5.0
BUSIEST = 3


@dataclass
class Board:
    """Readings by process. A process that was not read for a while has ended and is forgotten."""

    send: Callable[[dict[str, Any]], None]
    latest: dict[int, dict[str, Any]] = field(default_factory=dict)
    summed_up_at: float | None = None

    def take(self, reading: dict[str, Any], origin: str) -> None:
        known = self.latest.get(reading["pid"])
        # Replicas overtake each other, and a message may come twice: only a newer reading replaces an older one.
        if known is None or known["time"] < reading["time"]:
            self.latest[reading["pid"]] = reading
        if self.summed_up_at is None:
            self.summed_up_at = reading["time"]
        if reading["time"] - self.summed_up_at >= SUMMARY_EVERY_S:
            self.summed_up_at = reading["time"]
            self.send(self.summary(reading["time"]))

    def summary(self, now: float) -> dict[str, Any]:
        for pid in [pid for pid, known in self.latest.items() if now - known["time"] > FORGET_AFTER_S]:
            del self.latest[pid]
        readings = self.latest.values()
        busiest = sorted(readings, key=lambda reading: reading["score"], reverse=True)[:BUSIEST]
        return {
            "time": round(now, 3),
            "processes": len(readings),
            "cpu_percent": round(sum(reading["cpu_percent"] for reading in readings), 1),
            "memory_mib": round(sum(reading["memory_mib"] for reading in readings), 1),
            "io_mib_s": round(sum(reading["io_mib_s"] for reading in readings), 3),
            "busiest": [f"{reading['name']} ({reading['pid']}): {reading['score']}" for reading in busiest],
        }


def start(args: AlgorithmArgs, api: StreamingApi) -> None:
    board = Board(send=api.sendMessage)
    api.registerInputListener(board.take)
    api.startMessageListening()
