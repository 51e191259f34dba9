"""The way back from a sink to its source, which closes the loop: a named pipe that carries one byte a message.

The source sleeps in the kernel until the sink has its message. A page that it looked at again and again would keep a
core busy that the other processes need, or add the time of a sleep. What the pipe costs lies between two messages: a
latency ends where the sink has the message, before it writes the byte.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


class Loop:
    """Either end; whoever comes first makes the pipe."""

    def __init__(self, path: Path) -> None:
        with suppress(FileExistsError):
            os.mkfifo(path, 0o600)
        self._fd = os.open(path, os.O_RDWR)  # for both ways, since opening would wait for the other end otherwise

    def wait(self) -> None:
        """Until the message that was sent last has arrived."""
        os.read(self._fd, 1)

    def arrived(self) -> None:
        """The sink has the message."""
        os.write(self._fd, b".")
