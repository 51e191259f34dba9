"""What a program and its driver say to each other, so that neither start nor end of a process is measured.

The program says `ready` when its first event is asked for, and `ended` when all its results are in their file. Both
times it waits for a word of its driver, who looks at the clock and at the CPU time of the program meanwhile.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.nexmark.generator import Event, stream

READY = "ready"
ENDED = "ended"
BATCH = 512


def arguments() -> tuple[str, int, Path]:
    """Query, number of events, and the file for the results."""
    query, count, file = sys.argv[1:]
    return query, int(count), Path(file)


def batches(count: int) -> Iterator[list[Event]]:
    """The first `count` events, in batches."""
    _say(READY)
    for first in range(0, count, BATCH):
        yield stream(range(first, min(first + BATCH, count)))


def end() -> None:
    """All is done."""
    _say(ENDED)


def _say(word: str) -> None:
    """Say it, and wait for the answer."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()
    sys.stdin.readline()
