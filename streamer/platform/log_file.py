"""The output of an instance that writes its log by itself, because it outlives whoever supervises it.

A pipe needs a reader: without one the next line that an algorithm prints would end it. So such an instance writes to
the file directly, and the supervisor only reads back the last lines of a life, and sets a log aside that has grown too
long: it copies it and cuts it, since the writer holds the file open and cannot be told to open another. A line printed
between the two is lost; that happens once in 64 MiB.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from streamer import limits

_TAIL_BYTES = 64 * limits.KIB


class LogFile:
    """The log at `path`; a life that begins now begins at its end."""

    def __init__(self, path: Path, *, adopted: bool = False) -> None:
        self._path = path
        self._begin = 0 if adopted else _size(path)

    def open(self) -> int:
        """A descriptor for a process that writes to it."""
        return os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def keep_short(self) -> None:
        """Set it aside if it is too long."""
        if _size(self._path) > limits.LOG_BYTES_MAX:
            shutil.copyfile(self._path, self._path.with_name(f"{self._path.name}.1"))
            os.truncate(self._path, 0)
            self._begin = 0

    def finish(self) -> tuple[str, ...]:
        """The last lines of this life."""
        try:
            with self._path.open("rb") as file:
                file.seek(max(self._begin, _size(self._path) - _TAIL_BYTES))
                lines = file.read().decode(errors="replace").splitlines()
        except OSError:
            return ()
        return tuple(lines[-limits.OUTPUT_TAIL_LINES :])


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
