"""How the disk under an instance's state folder is filled, and emptied again.

In a room of our own the folder is a small file system in memory, and a file takes all that is left of it: whoever
writes then gets what a full disk gives. Elsewhere the instance's process is forbidden to make any file longer, which
the system allows to whoever started it: its writes fail in the same places, with another error.
"""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from streamer.limits import MIB
from streamer.testing.verify.job import Process
from streamer.testing.verify.room import mount_memory, unmount

_DISK_BYTES = 64 * MIB
"""More than a state takes with its write-ahead log (STATE_WAL_BYTES), so that it is full only when it is filled."""
_FILLER = "verify-filler"


class Disk(Protocol):
    """Under the state folder of one instance."""

    def fill(self, process: Process) -> None: ...

    def free(self, process: Process) -> None: ...

    def close(self) -> None: ...


class MemoryDisk:
    """At `folder`, which must be empty. Raises OSError."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        mount_memory(folder, _DISK_BYTES)
        self._folder = folder

    def fill(self, process: Process) -> None:  # noqa: ARG002  # all who write here have no room
        fd = os.open(self._folder / _FILLER, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            while (room := os.statvfs(self._folder)).f_bavail:
                os.posix_fallocate(fd, os.fstat(fd).st_size, room.f_bavail * room.f_frsize)
        except OSError:
            pass  # somebody else took the last of it
        finally:
            os.close(fd)

    def free(self, process: Process) -> None:  # noqa: ARG002  # the disk is freed for all
        (self._folder / _FILLER).unlink(missing_ok=True)

    def close(self) -> None:
        unmount(self._folder)


class ForbiddenGrowth:
    """No room of our own: the process may make no file longer."""

    def fill(self, process: Process) -> None:
        self._limit(process, 0)

    def free(self, process: Process) -> None:
        self._limit(process, resource.RLIM_INFINITY)

    def close(self) -> None:
        """The limit ends with its process."""

    def _limit(self, process: Process, size_bytes: int) -> None:
        with suppress(ProcessLookupError):
            _, hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
            soft = hard if size_bytes == resource.RLIM_INFINITY else size_bytes
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (soft, hard))
