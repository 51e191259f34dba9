"""What stands in for a peer where none is installed: a source that sends lines over a socket, and a sink that counts.

It uses the page and the lines of the peers' programs, whose folder it is given, and nothing else. Its `fate` is what
goes wrong: a message is lost or repeated, or the source ends, before it is ready or under way.

    stand_in_peer.py FOLDER PROGRAMS source|sink all|lose|repeat|refuse|fall
"""

from __future__ import annotations

import itertools
import socket
import sys
from collections.abc import Callable
from typing import Any

_FALL_AT = 1000


def source(tally: Any, neighbour: Callable[[str], str], say: Callable[[str], None], fate: str) -> None:
    if fate == "refuse":
        sys.exit("I cannot go on")
    with socket.create_server(("127.0.0.1", 0)) as server:
        neighbour(str(server.getsockname()[1]))
        connection, _ = server.accept()
        with connection, connection.makefile("wb", buffering=0) as out:
            for number in itertools.count():
                if tally.stopped:
                    break
                if number == _FALL_AT and fate == "fall":
                    sys.exit("I cannot go on")
                lost, repeated = number == 0 and fate == "lose", fate == "repeat"
                out.write(b"" if lost else b"a message\n" * (1 + repeated))
    say(str(number))


def sink(tally: Any, neighbour: Callable[[], str]) -> None:
    with socket.create_connection(("127.0.0.1", int(neighbour()))) as connection, connection.makefile("rb") as lines:
        for _ in lines:
            tally.add(1)


def main(folder: str, programs: str, name: str, fate: str) -> None:
    sys.path.insert(0, programs)
    from tally import Tally, neighbour, say  # type: ignore[import-not-found]  # it is found by the line above

    if name == "source":
        source(Tally(folder), neighbour, say, fate)
    else:
        sink(Tally(folder), neighbour)


if __name__ == "__main__":
    main(*sys.argv[1:])
