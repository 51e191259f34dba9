"""The largest of the recommendations of a stretch of time: how several rules keep from scaling in too early.

Only values that are still the largest of what came after them are kept, so that a look costs nothing.
"""

from __future__ import annotations

from collections import deque


class Highest:
    def __init__(self, seconds: int) -> None:
        self._seconds = seconds
        self._values: deque[tuple[int, int]] = deque()

    def add(self, now: int, value: int) -> int:
        """The largest of the last seconds, this one included."""
        while self._values and self._values[-1][1] <= value:
            self._values.pop()
        self._values.append((now, value))
        while self._values[0][0] < now - self._seconds:
            self._values.popleft()
        return self._values[0][1]
