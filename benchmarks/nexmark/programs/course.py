"""What a program and its driver say to each other, so that neither start nor end of a process is measured.

The program says `began` when its first event is asked for, and `ended` when all its results are on their way to the
disk; then it waits until its driver has looked at its CPU time, and goes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.nexmark.generator import Event, stream

BEGAN = "began"
ENDED = "ended"
BATCH = 512


def arguments() -> tuple[str, int, Path]:
    """Query, number of events, and the file for the results."""
    query, count, file = sys.argv[1:]
    return query, int(count), Path(file)


def batches(count: int) -> Iterator[list[Event]]:
    """The first `count` events, in batches."""
    _say(BEGAN)
    for first in range(0, count, BATCH):
        yield stream(range(first, min(first + BATCH, count)))


def end() -> None:
    """All is done; wait for the driver's leave."""
    _say(ENDED)
    sys.stdin.read()


def _say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()
