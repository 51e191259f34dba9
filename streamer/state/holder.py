"""The file by which one life of an instance holds its state, and how many of its checkpoints were acknowledged.

Two processes that write the state of one instance would each be right by itself and wrong together; epochs fence the
older one at its next checkpoint, and this lock says it before it begins: it is the system's, so no kill leaves it
behind. The count beside it is written in place after each commit, by one write that a kill cannot tear. A database that
knows fewer commits than were acknowledged has lost some, which SQLite itself does not notice: it cuts a write-ahead log
that is damaged, or was not copied with it, and opens what is left.
"""

from __future__ import annotations

import os
import struct
from contextlib import ExitStack
from pathlib import Path

from streamer.database import take_lock
from streamer.errors import StateError
from streamer.limits import STATE_TAKE_OVER_S

SUFFIX = ".holder"

_MAGIC = b"STRHOLD1"
_RECORD = struct.Struct("<8sQQ")
_NUMBER = struct.Struct("<Q")
_PID_AT = len(_MAGIC)
_COMMITS_AT = _PID_AT + _NUMBER.size


class Holder:
    """Holds the file until it is closed. Raises StateError if another process holds it, or it is none; and OSError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with ExitStack() as undo:
            undo.callback(self.close)
            if not take_lock(self._fd, STATE_TAKE_OVER_S):
                raise StateError(
                    f"the state of instance {path.name.removesuffix(SUFFIX)} in {path.parent} is in use "
                    f"by process {_read(self._fd, path)[0]}",
                    remedy="End that process, or let the job that it belongs to go on: `streamer ps` lists those.",
                )
            self.commits = _read(self._fd, path)[1]
            # Whole, also at its first time: the counts that follow must not need room on a full disk.
            os.pwrite(self._fd, _RECORD.pack(_MAGIC, os.getpid(), self.commits), 0)
            undo.pop_all()

    def note(self, commits: int) -> None:
        """So many commits of the instance were acknowledged."""
        self.commits = commits
        os.pwrite(self._fd, _NUMBER.pack(commits), _COMMITS_AT)

    def close(self) -> None:
        os.close(self._fd)


def acknowledged_commits(folder: Path) -> int:
    """Of all instances that have kept state in this folder. Raises StateError and OSError."""
    commits = 0
    for path in folder.glob(f"*{SUFFIX}"):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            commits += _read(fd, path)[1]
        finally:
            os.close(fd)
    return commits


def _read(fd: int, path: Path) -> tuple[int, int]:
    """The process and its commits; zeros of a file that is new."""
    found = os.pread(fd, _RECORD.size + 1, 0)
    if not found.strip(b"\0"):  # new, or its maker was killed or had no room
        return 0, 0
    if len(found) != _RECORD.size or not found.startswith(_MAGIC):
        raise StateError(f"{path} is no file of this version of streamer")
    _, pid, commits = _RECORD.unpack(found)
    return pid, commits
