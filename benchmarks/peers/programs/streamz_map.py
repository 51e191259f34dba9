"""The map in streamz: each message is emitted into a stream that changes it and counts it.

streamz calls one node from the other within `emit`, so this is a loop of function calls in one thread.

    streamz_map.py FOLDER
"""

from __future__ import annotations

import sys
from typing import Any

from feed import batches
from streamz import Stream
from tally import REST, Tally, neighbour


def changed(message: dict[str, Any]) -> dict[str, Any]:
    message["id"] += 1
    return message


def main(folder: str) -> None:
    tally = Tally(folder)

    def count(_message: dict[str, Any]) -> None:
        tally.count += 1
        if not tally.count & REST:
            tally.show()

    stream = Stream()
    stream.map(changed).sink(count)
    for messages in batches(neighbour()):
        for message in messages:
            stream.emit(message)
    tally.show()


if __name__ == "__main__":
    main(*sys.argv[1:])
