"""Sending by the clock: which messages are due, and when each of them was.

Message n is due n periods after the first one. A source that is held up sends late what was due meanwhile, but each
message keeps its time, so that a latency counts from there and no wait is left out.
"""

from __future__ import annotations

import time

_PAUSE_S = 0.0002
"""Messages that are due within this time are sent together: a process cannot sleep for much less."""
_NS = 1_000_000_000


class Pace:
    """So many messages a second, from now on."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._next = 0
        self._began_ns = time.monotonic_ns()

    def due(self) -> range:
        """The numbers of the messages that have come due since the last call; it waits until there is one."""
        first, left_s = self._next, (self.at_ns(self._next) - time.monotonic_ns()) / _NS
        time.sleep(max(_PAUSE_S, left_s))
        self._next = (time.monotonic_ns() - self._began_ns) * self._rate // _NS + 1
        return range(first, self._next)

    def at_ns(self, number: int) -> int:
        """When this message is due, by the monotonic clock, which all processes of a machine share."""
        return self._began_ns + number * _NS // self._rate
