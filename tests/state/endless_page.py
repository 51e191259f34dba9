"""Writes records into a page until it is killed: each is one number, repeated so often that a torn one shows."""

from __future__ import annotations

import sys
from pathlib import Path

from streamer.mapped import MappedPage

SLOT_BYTES = 200_000
NUMBERS_MAX = SLOT_BYTES // 8


def record_of(number: int) -> bytes:
    """Record `number`; its length differs from that of its neighbours."""
    return number.to_bytes(8, "little") * (1 + number * 7919 % NUMBERS_MAX)


if __name__ == "__main__":
    with MappedPage(Path(sys.argv[1]), SLOT_BYTES) as page:
        number = int.from_bytes(page.read()[:8], "little")
        while True:
            number += 1
            page.write(record_of(number))
            if number % 16 == 0:
                sys.stdout.write(".")
                sys.stdout.flush()
