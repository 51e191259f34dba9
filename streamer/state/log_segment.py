"""One segment of an entry log: a file to which groups are appended, each made durable by one `fdatasync`.

A group says which positions it covers, and its bytes are believed only if their checksum is right. A group is written
when the one before it is on the disk, so what a lost machine can leave damaged is the last group and no other: that is
cut. Damage before a later group that is whole is no torn tail but a broken disk or a foreign hand, and is refused, for
behind it stand messages whose senders were told that they are safe. Checksums begin with a number that each segment
draws for itself, so that a message which holds a piece of a log is not taken for a group of this one.

    head    magic 8 bytes | first position u64 | seed u32 | checksum u32
    group   magic 4 bytes | checksum of the rest of this line u32 | after u64 | end u64 | bytes u64
            | checksum of the bytes u32 | the bytes
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from streamer.errors import EntryLogError

_MAGIC = b"STRENTR1"
_HEAD = struct.Struct("<8sQI")
_CHECKSUM = struct.Struct("<I")
HEAD_BYTES = _HEAD.size + _CHECKSUM.size
_GROUP_MAGIC = b"\xf5GRP"
_GROUP_FACTS = struct.Struct("<QQQI")
_GROUP_BYTES = len(_GROUP_MAGIC) + _CHECKSUM.size + _GROUP_FACTS.size
_BUFFERS_MAX = 1024
"""What one `writev` takes (IOV_MAX of Linux)."""

_RESTORE = (
    "Bring the folder back from a copy. To go on without the messages that only it has, move the folder of the "
    "instance, in which it lies, away."
)


class Group(NamedTuple):
    """What was appended at once: it covers the positions `after <= n < end`."""

    after: int
    end: int
    payload: bytes | memoryview


class OpenSegment:
    """A new segment, to be written by one process. Raises OSError, and then there is none."""

    def __init__(self, path: Path, first: int) -> None:
        self.path = path
        self.first = self.end = first
        self._seed = int.from_bytes(os.urandom(4), "little")
        head = _HEAD.pack(_MAGIC, first, self._seed)
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            _write(self._fd, [head, _CHECKSUM.pack(crc32(head))])
            os.fsync(self._fd)
        except OSError:
            self.close()
            path.unlink(missing_ok=True)
            raise
        self.size = HEAD_BYTES

    def append(self, end: int, payload: Sequence[bytes]) -> None:
        """Add a group that covers the positions up to before `end`; it is on the disk when this returns.

        Raises OSError: then this segment takes no more, since a disk that has failed once may lie about it later.
        """
        size = sum(map(len, payload))
        checksum = self._seed
        for part in payload:
            checksum = crc32(part, checksum)
        facts = _GROUP_FACTS.pack(self.end, end, size, checksum)
        _write(self._fd, [_GROUP_MAGIC + _CHECKSUM.pack(crc32(facts, self._seed)) + facts, *payload])
        os.fdatasync(self._fd)
        self.size += _GROUP_BYTES + size
        self.end = end

    def abandon(self) -> None:
        """Leave nothing half written behind, as far as the disk lets us: what cannot be cut is not believed either."""
        with suppress(OSError):
            os.ftruncate(self._fd, self.size)
        self.close()

    def close(self) -> None:
        os.close(self._fd)


def _write(fd: int, buffers: Sequence[bytes | memoryview]) -> None:
    left = [memoryview(buffer) for buffer in buffers if len(buffer)]
    at = 0
    while at < len(left):
        written = os.writev(fd, left[at : at + _BUFFERS_MAX])
        while at < len(left) and written >= len(left[at]):
            written -= len(left[at])
            at += 1
        if written:
            left[at] = left[at][written:]


class WrittenSegment:
    """A segment that nobody writes any more."""

    def __init__(self, path: Path, first: int, size: int) -> None:
        self.path = path
        self.first = first
        self.size = size

    @property
    def begun(self) -> bool:
        """False if its writer died before the head was on the disk, which comes before all else."""
        data = memoryview(self._read())
        if len(data) > HEAD_BYTES:
            return True
        try:
            self._seed_of(data)
        except EntryLogError:
            return False
        return True

    def groups(self, following: int | None) -> Iterator[Group]:
        """All that is whole, from the first on. Raises EntryLogError where something is damaged that had been.

        `following`: the first position of the next segment, None for the last one. What stands here of positions from
        there on is not believed: the writer could not get it onto the disk, and has written it again there.
        """
        data = memoryview(self._read())
        seed = self._seed_of(data)
        at, position = HEAD_BYTES, self.first
        while at < len(data) and position != following:
            group = _group_at(data, at, seed)
            if group is None or group.after != position:
                if following is not None or _group_behind(data, at, seed):
                    raise EntryLogError(
                        f"{self.path} is damaged at byte {at}, and what was written later is there", remedy=_RESTORE
                    )
                return
            yield group
            position = group.end
            at += _GROUP_BYTES + len(group.payload)
        if following not in (None, position):
            raise EntryLogError(
                f"{self.path} ends before position {position}, and the next segment begins at {following}",
                remedy=_RESTORE,
            )

    def _read(self) -> bytes:
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise EntryLogError(f"{self.path} cannot be read: {error.strerror}") from error

    def _seed_of(self, data: memoryview) -> int:
        head = data[: _HEAD.size]
        if len(data) >= HEAD_BYTES and data[_HEAD.size : HEAD_BYTES] == _CHECKSUM.pack(crc32(head)):
            magic, first, seed = _HEAD.unpack(head)
            if magic == _MAGIC and first == self.first:
                return int(seed)
            if magic[:-1] == _MAGIC[:-1] and magic != _MAGIC:
                raise EntryLogError(
                    f"{self.path} is of version {magic[-1:].decode(errors='replace')}; this is version "
                    f"{_MAGIC[-1:].decode()}"
                )
        raise EntryLogError(f"{self.path} does not begin as a segment of position {self.first}", remedy=_RESTORE)


def _group_at(data: memoryview, at: int, seed: int) -> Group | None:
    """The group that begins here, if it is whole."""
    begin = at + _GROUP_BYTES
    if begin > len(data) or data[at : at + len(_GROUP_MAGIC)] != _GROUP_MAGIC:
        return None
    facts = data[begin - _GROUP_FACTS.size : begin]
    (checksum,) = _CHECKSUM.unpack_from(data, at + len(_GROUP_MAGIC))
    if crc32(facts, seed) != checksum:
        return None
    after, end, size, payload_checksum = _GROUP_FACTS.unpack(facts)
    payload = data[begin : begin + size]
    whole = len(payload) == size and crc32(payload, seed) == payload_checksum
    return Group(after, end, payload) if whole else None


def _group_behind(data: memoryview, at: int, seed: int) -> bool:
    """Whether a whole group begins anywhere behind this place."""
    whole = data.obj
    assert isinstance(whole, bytes)
    while (at := whole.find(_GROUP_MAGIC, at + 1)) >= 0:
        if _group_at(data, at, seed) is not None:
            return True
    return False
