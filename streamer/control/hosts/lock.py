"""One supervisor for a job: a lock on its folder that ends with the process that holds it.

The claim in the control log already makes one of two supervisors the only writer; but the other one would learn that
only after it had started instances. A lock of the operating system says so before, and says also, to any command that
asks, that a live job has lost its supervisor: no process can be killed and keep it.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from streamer.errors import HomeError, SupervisedError

_FILE = "supervisor.lock"
_TRIES = 5
_PAUSE_S = 0.02
"""Whoever only asks holds the lock for some microseconds; two that begin at once must not both take that for a no."""


class JobLock:
    """Held from the moment it exists until `release`. Raises SupervisedError if another process holds it."""

    def __init__(self, folder: Path) -> None:
        try:
            self._fd = os.open(folder / _FILE, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise HomeError(f"the job's folder {folder} cannot be used: {error}") from error
        for left in reversed(range(_TRIES)):
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError as error:
                if not left:
                    os.close(self._fd)
                    raise SupervisedError(f"job {folder.name} is supervised by another process") from error
            time.sleep(_PAUSE_S)

    def release(self) -> None:
        os.close(self._fd)


def is_supervised(folder: Path) -> bool:
    """Whether a process supervises the job whose folder this is. Changes nothing."""
    try:
        fd = os.open(folder / _FILE, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
