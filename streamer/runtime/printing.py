"""Standard output and error of an instance whose log is a file: a full disk takes what is printed, and nothing else.

An instance of a detached job writes its log itself. Where the disk is full, each `print` of an algorithm would raise,
and so would the engine where it says that the disk is full. What is printed then is lost; the work goes on.
"""

from __future__ import annotations

import io
import os
import sys
from errno import EDQUOT, ENOSPC


class _Lossy(io.RawIOBase):
    def __init__(self, fd: int) -> None:
        self._fd = fd

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._fd

    def write(self, data: bytes | memoryview) -> int:  # type: ignore[override]  # any buffer
        try:
            return os.write(self._fd, data)
        except OSError as error:
            if error.errno not in (ENOSPC, EDQUOT):
                raise
            return len(data)


def print_lossily() -> None:
    """What cannot be printed for want of room is dropped from now on."""
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(
            io.BufferedWriter(_Lossy(stream.fileno())),  # type: ignore[type-var]  # typeshed wants its own kind of raw file
            encoding="utf-8",
            errors="backslashreplace",
            line_buffering=True,
        )
        for stream in (sys.stdout, sys.stderr)
    )
