"""The page in which a peer's last process counts: two 8-byte words, a count and the driver's wish to stop.

It is laid out as the page of our own side, so that one driver reads both, but shares no code with it: a peer's
interpreter has nothing of ours.
"""

from __future__ import annotations

import mmap
import os
import sys
from pathlib import Path

EVERY = 256
"""A power of two: a fast peer shows its count once in so many messages, as our side does."""
REST = EVERY - 1
_COUNT, _STOP, _BYTES = 0, 1, 16


class Tally:
    """The page of one process below `folder`; the wish to stop is in the first one."""

    def __init__(self, folder: str, number: int = 0) -> None:
        self.count = 0
        fd = os.open(Path(folder) / f"tally-{number}", os.O_RDWR | os.O_CREAT, 0o600)
        os.ftruncate(fd, _BYTES)
        self._words = memoryview(mmap.mmap(fd, _BYTES)).cast("Q")
        os.close(fd)

    def add(self, count: int) -> None:
        """Count and show it at once: for a peer that takes long, or hands over many messages at a time."""
        self.count += count
        self._words[_COUNT] = self.count

    def show(self) -> None:
        self._words[_COUNT] = self.count

    @property
    def stopped(self) -> bool:
        return bool(self._words[_STOP])


def neighbour(here: str = "") -> str:
    """Tell the driver where this process is bound, if it is, and learn where the one before it is."""
    say(here)
    return sys.stdin.readline().strip()


def say(line: str) -> None:
    """Tell the driver; at the end of a source, how much it has sent."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
