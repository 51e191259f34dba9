"""Roots that are to be sent at a time: kept packed, in memory, until the message loop finds them due.

A timer in a thread of the user would do the same and wake twice. They are packed at once, like everything that is sent,
so that an error is the caller's; and they are lost with their instance, as is all that it keeps in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from threading import Condition

from streamer.clock import Clock
from streamer.errors import OverloadError
from streamer.limits import LATER_BYTES_MAX, LATER_MESSAGES_MAX
from streamer.runtime.entry import routes_of
from streamer.runtime.exits import Detour
from streamer.runtime.roots import Roots


@dataclass(slots=True, order=True)
class Timed:
    """A message and when it is to be sent; it begins to wait when the call that has asked for it has succeeded."""

    time_s: float
    number: int
    route: int = field(compare=False)
    detour: Detour | None = field(compare=False)
    blob: bytes = field(compare=False)
    later: Later = field(compare=False)

    def take_effect(self) -> None:
        """From now on it waits for its time."""
        self.later.put(self)

    def undo(self) -> None:
        """It is not to be sent."""
        self.later.forget(self)


class Later:
    """What waits, under the instance's lock; `wake` makes the message loop look at it."""

    def __init__(self, roots: Roots, wall: Clock, lock: Condition, wake: Callable[[], None]) -> None:
        self._roots = roots
        self._wall = wall
        self._lock = lock
        self._wake = wake
        self._asked: dict[int, Timed] = {}
        self._waiting: list[Timed] = []
        self._count = 0
        self._bytes = 0

    @property
    def empty(self) -> bool:
        return not self._waiting and not self._asked

    def held_routes(self) -> Iterator[int]:
        """Of all that waits, or is asked for."""
        timed = (*self._asked.values(), *self._waiting)
        return (route for one in timed for route in routes_of(one.route, one.detour))

    def ask(self, time_s: float, message: object, flow: str | None) -> Timed:
        """Have a message packed. Raises FlowError, MessageError, OverloadError, StreamEndedError."""
        with self._lock:
            route, detour, blob = self._roots.packed(message, flow)
            count = len(self._waiting) + len(self._asked)
            if count >= LATER_MESSAGES_MAX or self._bytes + len(blob) > LATER_BYTES_MAX:
                raise OverloadError(
                    f"more than {LATER_MESSAGES_MAX} messages (LATER_MESSAGES_MAX), or {LATER_BYTES_MAX} bytes "
                    "(LATER_BYTES_MAX), wait for their time",
                    remedy="Let fewer messages wait, or keep them in the algorithm and let one wake it.",
                )
            self._count += 1
            self._bytes += len(blob)
            timed = self._asked[self._count] = Timed(time_s, self._count, route, detour, blob, self)
            return timed

    def put(self, timed: Timed) -> None:
        """It waits for its time."""
        with self._lock:
            heappush(self._waiting, self._asked.pop(timed.number))
        self._wake()

    def forget(self, timed: Timed) -> None:
        """It was asked for in vain."""
        with self._lock:
            self._bytes -= len(self._asked.pop(timed.number).blob)

    def advance(self, *, all_of_them: bool = False) -> None:
        """Hand on what is due. Under the lock."""
        now = self._wall()
        while self._waiting and (all_of_them or self._waiting[0].time_s <= now):
            timed = heappop(self._waiting)
            self._bytes -= len(timed.blob)
            self._roots.take(timed.route, timed.detour, timed.blob)

    def wait_s(self) -> float | None:
        """Seconds until something is due; None if nothing waits."""
        return max(0.0, self._waiting[0].time_s - self._wall()) if self._waiting else None
