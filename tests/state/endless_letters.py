"""Appends dead letters in batches until it is killed, and tells its parent about each batch that was written."""

from __future__ import annotations

import sys
from pathlib import Path

from streamer.protocol.codec import packer
from streamer.state.dead_letters import DeadLetter, DeadLetters

BATCH = 8
DATA = "x" * 100_000


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
        message_id=f"{instance}/{number}",
        attempts=1,
        packed=packer()(message),
    )


if __name__ == "__main__":
    letters = DeadLetters(Path(sys.argv[1]))
    first = 0
    while True:
        letters.append([letter(sys.argv[2], number, DATA) for number in range(first, first + BATCH)])
        first += BATCH
        sys.stdout.write(".")
        sys.stdout.flush()
