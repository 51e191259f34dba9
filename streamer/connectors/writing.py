"""All of the bytes to a descriptor: the system may take a part of what a write offers.

A single `os.write` stops early on a full disk, at 2 GiB and on pipes, and raises where another program made the pipe
non-blocking (a terminal's flags are shared by all who hold it). Python's buffered files handle this, but they keep
bytes that a kill then loses; here every byte is the system's when the call returns.
"""

from __future__ import annotations

import os
import select


def write_all(fd: int, data: bytes) -> None:
    """Write `data` whole, waiting where the reader is slow. Raises OSError, then a part of it may be written."""
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(fd, rest) :]
        except BlockingIOError:
            poll = select.poll()
            poll.register(fd, select.POLLOUT)
            poll.poll()
