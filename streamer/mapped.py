"""A page of bytes that survives the kill of its process: two slots and a version.

A kill -9 can come between any two instructions, so a record that is overwritten in place can be left half new. Here a
record is written to the slot that is not in force, and one store of the version (whose lowest bit names the slot) puts
it in force: whoever opens the file afterwards reads the old record or the new one. A record that needs more room gets a
new file, which is put in the place of the old one by a rename: that too is one step. No fsync is made: the page cache
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
    """One record in a memory-mapped file with slots of `slot_bytes` bytes, or of as many as it has come to have.

    The file is sparse: a large slot costs only the pages that were written. One process writes; any may read. A record
    that outgrows the slots goes into a file of its own, which then takes the place of the old one.
    """

    def __init__(self, path: Path, slot_bytes: int) -> None:
        self.path = path
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if not os.pread(fd, len(_MAGIC), 0).strip(b"\0"):  # new, or its maker was killed between these two lines
                os.ftruncate(fd, _size(slot_bytes))
                os.pwrite(fd, _HEAD.pack(_MAGIC, slot_bytes, 0), 0)
            self._open(fd)
        finally:
            os.close(fd)
        if self._slot - _LENGTH.size < slot_bytes:
            self._grow(slot_bytes, self.read())

    @classmethod
    def existing(cls, path: Path) -> MappedPage:
        """Open a page that another process writes, whatever its size. Raises StateError if it is none."""
        page = cls.__new__(cls)
        page.path = path
        fd = os.open(path, os.O_RDWR)
        try:
            page._open(fd)
        finally:
            os.close(fd)
        return page

    def _open(self, fd: int) -> None:
        magic, slot_bytes, _ = _HEAD.unpack(os.pread(fd, _HEAD.size, 0).ljust(_HEAD.size, b"\0"))
        if magic != _MAGIC or os.fstat(fd).st_size != _size(slot_bytes):
            raise StateError(f"{self.path} is not a page of this version of streamer")
        self._slot = slot_bytes + _LENGTH.size
        self._map = mmap.mmap(fd, _size(slot_bytes))
        (self._version,) = _VERSION.unpack_from(self._map, _VERSION_AT)

    def _grow(self, slot_bytes: int, record: bytes) -> None:
        """Go on with larger slots: whoever opens the path finds the old file, or the new one with this record in it."""
        draft = self.path.with_name(f"{self.path.name}.new")
        draft.unlink(missing_ok=True)
        larger = MappedPage(draft, slot_bytes)
        if record:
            larger.write(record)
        draft.replace(self.path)
        self._map.close()
        self._slot, self._map, self._version = larger._slot, larger._map, larger._version

    def write(self, record: bytes) -> None:
        """Put `record` in force; a kill at any moment leaves this record or the one before it."""
        if len(record) > self._slot - _LENGTH.size:
            self._grow(2 * len(record), record)
            return
        version = self._version + 1
        at = _HEAD.size + (version & 1) * self._slot
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


def _size(slot_bytes: int) -> int:
    return _HEAD.size + 2 * (slot_bytes + _LENGTH.size)


class MappedWords:
    """A few 64-bit words in a memory-mapped file, each stored by one instruction: `words[0] = 7` survives a kill.

    Where they are `records` of so many words each, a file may have been made for another number of them: it is made
    longer if need be, and what it has beyond is there to be read.
    """

    def __init__(self, path: Path, count: int, *, records: int = 0) -> None:
        size = 8 * count
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            found = os.fstat(fd).st_size
            if found not in (0, size) and (not records or found % (8 * records)):
                raise StateError(f"{path} is not a file of {count} words of this version of streamer")
            size = max(size, found)
            os.ftruncate(fd, size)
            self._map = mmap.mmap(fd, size)
        finally:
            os.close(fd)
        self.words = memoryview(self._map).cast("Q")

    def close(self) -> None:
        self.words.release()
        self._map.close()
