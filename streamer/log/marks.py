"""How far each durable topic of a log on disk was acknowledged, kept beside the database.

A write-ahead log whose middle is damaged is cut there when it is opened, silently, and what was appended behind is gone
though its writers were told it was safe. So after each durable append its offset is noted here, by one write of eight
bytes in place that a kill cannot tear; a database that knows fewer offsets than that has lost some and is refused.
Two writers that note at the same time may leave the smaller offset, which only makes the check weaker by one append.
The same file is the lock under which a log is opened: a lock on the database itself belongs to SQLite.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from streamer.database import take_lock
from streamer.errors import LogError, StateError
from streamer.limits import CONTROL_LOG_BUSY_S
from streamer.log.topics import POLICIES, Topic

_MAGIC = b"STRMARK1"
_MARK = struct.Struct("<Q")
_TOPICS = tuple(topic for topic, policy in POLICIES.items() if policy.durable)
_SIZE = len(_MAGIC) + _MARK.size * len(_TOPICS)


class Marks:
    """Offsets by topic, 0 for none. Raises OSError where the file cannot be opened, StateError if it is not ours."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with ExitStack() as undo:
            undo.callback(self.close)
            with self.locked():
                if not os.pread(self._fd, _SIZE, 0).strip(b"\0"):  # new, or its maker was killed or had no room
                    # Written, not only made longer: the notes that follow must not need room on a full disk.
                    os.pwrite(self._fd, _MAGIC.ljust(_SIZE, b"\0"), 0)
                found = os.pread(self._fd, _SIZE + 1, 0)
            if len(found) != _SIZE or not found.startswith(_MAGIC):
                raise StateError(f"{path} is not a file of marks of this version of streamer")
            undo.pop_all()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only one who opens this log. The lock goes with its process, however that ends."""
        if not take_lock(self._fd, CONTROL_LOG_BUSY_S):
            raise LogError(
                f"the control log {self.path.parent} is being opened by another process "
                f"for more than {CONTROL_LOG_BUSY_S:g} s",
                remedy="Look for a streamer process that is stopped, and let it go on or end it.",
            )
        try:
            yield
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    def read(self) -> Mapping[Topic, int]:
        return {topic: self._mark(topic) for topic in _TOPICS}

    def note(self, topic: Topic, offset: int) -> None:
        """`offset` was acknowledged, or is about to be; topics that are not durable have no mark."""
        if topic in _TOPICS and self._mark(topic) < offset:
            os.pwrite(self._fd, _MARK.pack(offset), self._at(topic))

    def _mark(self, topic: Topic) -> int:
        (offset,) = _MARK.unpack(os.pread(self._fd, _MARK.size, self._at(topic)))
        return int(offset)

    def _at(self, topic: Topic) -> int:
        return len(_MAGIC) + _MARK.size * _TOPICS.index(topic)

    def close(self) -> None:
        os.close(self._fd)
