"""Appends dead letters in batches until it is killed, and tells its parent about each batch that was written."""

from __future__ import annotations

import sys
from pathlib import Path

from streamer.runtime.dead_letters import DeadLetter, DeadLetters

BATCH = 8


def letter(instance: str, number: int, message: object) -> DeadLetter:
    return DeadLetter(
        time_s=1_700_000_000.5,
        node="parse",
        instance=instance,
        reason="handler",
        error="ValueError: bad",
        traceback="Traceback (most recent call last):\n  ...\n",
        flow="main",
        target="parse",
        source="lines",
        message_id=str(number),
        attempts=1,
        message=message,
    )


if __name__ == "__main__":
    letters = DeadLetters(Path(sys.argv[1]))
    data = "x" * 100_000
    first = 0
    while True:
        letters.append([letter(sys.argv[2], number, data) for number in range(first, first + BATCH)])
        first += BATCH
        sys.stdout.write(".")
        sys.stdout.flush()
