"""A page of bytes that survives the kill of its process: two slots and a version.

A kill -9 can come between any two instructions, so a record that is overwritten in place can be left half new. Here a
record is written to the slot that is not in force, and one store of the version (whose lowest bit names the slot) puts
it in force: whoever opens the file afterwards reads the old record or the new one. No fsync is made: the page cache
survives the process, and losing the machine is another guarantee (`durability: log`). The cost is one copy of the
record and 8 bytes.
"""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path
from types import TracebackType

from streamer.errors import StateError

_MAGIC = b"STRPAGE1"
_HEAD = struct.Struct("<8sQQ")
_VERSION = struct.Struct("<Q")
_LENGTH = struct.Struct("<Q")
_VERSION_AT = 16


class MappedPage:
    """One record of at most `slot_bytes` bytes in a memory-mapped file.

    The file is sparse: a large slot costs only the pages that were written. One process writes; any may read.
    """

    def __init__(self, path: Path, slot_bytes: int) -> None:
        self.path = path
        self._slot = slot_bytes + _LENGTH.size
        size = _HEAD.size + 2 * self._slot
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if not os.pread(fd, len(_MAGIC), 0).strip(b"\0"):  # new, or its maker was killed between these two lines
                os.ftruncate(fd, size)
                os.pwrite(fd, _HEAD.pack(_MAGIC, slot_bytes, 0), 0)
            magic, found, _ = _HEAD.unpack(os.pread(fd, _HEAD.size, 0).ljust(_HEAD.size, b"\0"))
            if magic != _MAGIC or found != slot_bytes or os.fstat(fd).st_size != size:
                raise StateError(f"{path} is not a page of {slot_bytes} bytes of this version of streamer")
            self._map = mmap.mmap(fd, size)
        finally:
            os.close(fd)
        (self._version,) = _VERSION.unpack_from(self._map, _VERSION_AT)

    @classmethod
    def existing(cls, path: Path) -> MappedPage:
        """Open a page that another process writes, whatever its size. Raises StateError if it is none."""
        with path.open("rb") as file:
            head = file.read(_HEAD.size)
        if len(head) < _HEAD.size or head[: len(_MAGIC)] != _MAGIC:
            raise StateError(f"{path} is not a page of this version of streamer")
        return cls(path, _HEAD.unpack(head)[1])

    def write(self, record: bytes) -> None:
        """Put `record` in force; a kill at any moment leaves this record or the one before it."""
        version = self._version + 1
        at = _HEAD.size + (version & 1) * self._slot
        if len(record) > self._slot - _LENGTH.size:
            raise StateError(f"a record of {len(record)} bytes does not fit the page {self.path}")
        self._map[at + _LENGTH.size : at + _LENGTH.size + len(record)] = record
        _LENGTH.pack_into(self._map, at, len(record))
        _VERSION.pack_into(self._map, _VERSION_AT, version)
        self._version = version

    def read(self) -> bytes:
        """The record in force, also while another process writes; empty if none was ever written."""
        while True:
            (version,) = _VERSION.unpack_from(self._map, _VERSION_AT)
            at = _HEAD.size + (version & 1) * self._slot
            (length,) = _LENGTH.unpack_from(self._map, at)
            record = bytes(self._map[at + _LENGTH.size : at + _LENGTH.size + length])
            if _VERSION.unpack_from(self._map, _VERSION_AT) == (version,):
                return record

    def close(self) -> None:
        self._map.close()

    def __enter__(self) -> MappedPage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class MappedWords:
    """A few 64-bit words in a memory-mapped file, each stored by one instruction: `words[0] = 7` survives a kill."""

    def __init__(self, path: Path, count: int) -> None:
        size = 8 * count
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if os.fstat(fd).st_size not in (0, size):
                raise StateError(f"{path} is not a file of {count} words of this version of streamer")
            os.ftruncate(fd, size)
            self._map = mmap.mmap(fd, size)
        finally:
            os.close(fd)
        self.words = memoryview(self._map).cast("Q")

    def close(self) -> None:
        self.words.release()
        self._map.close()
