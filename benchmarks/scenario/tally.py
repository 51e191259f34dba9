"""How far a sink has come, readable from outside its process.

A rate must be taken by somebody who is not part of what is measured. So the last process of either side counts, and
tells its count in a mapped page once in 256 messages (a store for each would cost more than some of what is measured).
"""

from __future__ import annotations

from pathlib import Path

from streamer.mapped import MappedWords

EVERY = 256
"""A power of two: `count & (EVERY - 1)` is zero once in so many messages."""
REST = EVERY - 1
_COUNT, _STOP = 0, 1
_WORDS = 2


class Tally:
    """The page: a count, written by the last process, a wish to stop, written by the driver, and `more` words."""

    def __init__(self, path: Path, more: int = 0) -> None:
        self.count = 0
        self.words = MappedWords(path, _WORDS + more).words
        self.more = self.words[_WORDS:]

    def show(self) -> None:
        """Put the present count in the page."""
        self.words[_COUNT] = self.count

    @property
    def shown(self) -> int:
        return int(self.words[_COUNT])

    def stop(self) -> None:
        self.words[_STOP] = 1

    @property
    def stopped(self) -> bool:
        return bool(self.words[_STOP])
