"""Roots that are to be sent at a time: kept packed, in memory, until the message loop finds them due.

A timer in a thread of the user would do the same and wake twice. They are packed at once, like everything that is sent,
so that an error is the caller's; and they are lost with their instance, as is all that it keeps in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush

from streamer.clock import Clock
from streamer.errors import OverloadError
from streamer.limits import LATER_BYTES_MAX, LATER_MESSAGES_MAX
from streamer.runtime.roots import Roots


class Later:
    """What waits. All calls come under the instance's lock."""

    def __init__(self, roots: Roots, wall: Clock) -> None:
        self._roots = roots
        self._wall = wall
        self._waiting: list[tuple[float, int, int, bytes]] = []
        self._count = 0
        self._bytes = 0

    @property
    def empty(self) -> bool:
        return not self._waiting

    def held_routes(self) -> Iterator[int]:
        """Of all that waits."""
        return (route for _, _, route, _ in self._waiting)

    def add(self, time_s: float, message: object, flow: str | None) -> None:
        """Raises FlowError, MessageError, OverloadError, StreamEndedError."""
        route, blob = self._roots.packed(message, flow)
        if len(self._waiting) >= LATER_MESSAGES_MAX or self._bytes + len(blob) > LATER_BYTES_MAX:
            raise OverloadError(
                f"more than {LATER_MESSAGES_MAX} messages (LATER_MESSAGES_MAX), or {LATER_BYTES_MAX} bytes "
                "(LATER_BYTES_MAX), wait for their time",
                remedy="Let fewer messages wait, or keep them in the algorithm and let one wake it.",
            )
        self._count += 1
        self._bytes += len(blob)
        heappush(self._waiting, (time_s, self._count, route, blob))

    def advance(self, *, all_of_them: bool = False) -> None:
        """Hand on what is due."""
        now = self._wall()
        while self._waiting and (all_of_them or self._waiting[0][0] <= now):
            _, _, route, blob = heappop(self._waiting)
            self._bytes -= len(blob)
            self._roots.take(route, blob)

    def wait_s(self) -> float | None:
        """Seconds until something is due; None if nothing waits."""
        return max(0.0, self._waiting[0][0] - self._wall()) if self._waiting else None
