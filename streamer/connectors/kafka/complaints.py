"""What a connector says while its cluster cannot be used: once for each reason, in the log of its instance.

A cluster that is away for an hour must not fill a disk with one sentence, and must not be silent either. The client's
own words (refused, no such host, wrong password) are what a person needs, so they are told; a secret is never in them.
"""

from __future__ import annotations

import sys
import time

from streamer.kafka.limits import TOLD_S
from streamer.limits import KAFKA_REQUEST_S


class Complaints:
    """Of one connector at this cluster."""

    def __init__(self, node: str, cluster: str) -> None:
        self._head = f"node {node}: Kafka at {cluster}"
        self._last = ""
        self._told_at = 0.0
        self._heard_first = self._heard_last = -TOLD_S

    def hear(self, word: str) -> None:
        """The client complains of something. It does so too when partitions are dealt; for seconds it is trouble."""
        now = time.monotonic()
        if now - self._heard_last > KAFKA_REQUEST_S:
            self._heard_first = now
        self._heard_last = now
        if now - self._heard_first > KAFKA_REQUEST_S:
            self.tell(f"{word}; trying again")

    def tell(self, problem: str) -> None:
        """Say so, unless it was said last, or something was a moment ago."""
        now = time.monotonic()
        if problem != self._last and (not self._last or now - self._told_at >= TOLD_S):
            self._last, self._told_at = problem, now
            sys.stderr.write(f"{self._head}: {problem}\n")

    def over(self) -> None:
        """It can be used; said if the contrary was said before."""
        if self._last:
            self._last = ""
            sys.stderr.write(f"{self._head}: it can be used again\n")
