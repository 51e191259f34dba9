"""Files as sources and sinks: every record read once per mark, every record written whole.

A file can be read again, so a source needs no copy of anything: the byte at which a record begins is enough to come
back to it. A file sink must end a kill with whole lines: the kill comes in the middle of a large write and leaves half
a record. So the sink keeps the length that the file had at the last checkpoint in a mapped page, and cuts the file back
to it when it comes back. Beside it stands the checkpoint's note, by which the runtime knows what was written before: so
what is cut off comes again, and each record is there once. Writing to a second file and renaming it would hide the
output until the end, and syncing each batch would cost the disk's latency without helping against a torn line.
"""

from __future__ import annotations

import fcntl
import os
import stat
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from streamer import limits
from streamer.connectors.base import Mark, Records
from streamer.connectors.decoders import Decoder, decoder
from streamer.connectors.encoders import Format, encoder, format_of
from streamer.connectors.writing import write_all
from streamer.errors import ConnectorError
from streamer.mapped import MappedPage

_PAGE_NAME = "sink"
_PAGE = struct.Struct("<QQ")
"""What the page begins with, before the note: the length of the file at the checkpoint, and its inode."""
_NOTE_BYTES = 4 * limits.KIB


class FileSource:
    """The records of a regular file, up to the end that it has when the source gets there."""

    replayable = True

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self._path: str = spec["path"]
        self._format = format_of(spec, Format.TEXT)
        self._fd = -1
        self._decoder: Decoder | None = None
        self._finished = False
        self._ended = False

    @property
    def partition(self) -> str:
        """Path, device and inode: another file put in the same place is another origin."""
        found = os.fstat(self._opened())
        return f"{self._path}:{found.st_dev}:{found.st_ino}"

    @property
    def ended(self) -> bool:
        return self._ended

    def open(self, mark: Mark) -> None:
        fd = self._opened()
        size_bytes = os.fstat(fd).st_size
        if mark.offset > size_bytes:
            raise ConnectorError(
                f"source file {self._path} has {size_bytes} bytes, but was read up to byte {mark.offset} before",
                remedy="Leave a source file as it is (or only append to it) while its job lives; start the job again.",
            )
        os.lseek(fd, mark.offset, os.SEEK_SET)
        self._decoder = decoder(self._format, self._path, mark)
        self._finished = self._ended = False

    def read(self, limit: int, now: float) -> Records | None:  # noqa: ARG002 -- a file has no time
        if self._decoder is None:
            raise ConnectorError(f"source file {self._path} is read before it was opened")
        while not self._ended:
            records = self._decoder.take(limit)
            if records is not None:
                return records
            if self._finished:
                self._ended = True
            else:
                self._feed(self._decoder)
        return None

    def wait_s(self, now: float) -> float | None:  # noqa: ARG002 -- a file has no time
        return 0.0

    def fileno(self) -> int | None:
        return None

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _feed(self, records: Decoder) -> None:
        try:
            block = os.read(self._fd, limits.READ_BYTES)
        except OSError as error:
            raise ConnectorError(f"source file {self._path} cannot be read: {error.strerror}") from error
        if block:
            records.feed(block)
        else:
            records.finish()
            self._finished = True

    def _opened(self) -> int:
        if self._fd < 0:
            if found := source_problems({"path": self._path}):
                raise ConnectorError(" ".join(found))
            try:
                self._fd = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK)
            except OSError as error:
                raise ConnectorError(f"source file {self._path} cannot be opened: {error.strerror}") from error
        return self._fd


class FileSink:
    """One record a line (`msgpack`: one value behind the other). `state` is the folder of this instance.

    A file has one writer: a lock on it, which the system takes back from a killed process, keeps others out.
    """

    refuses = False

    def __init__(self, spec: Mapping[str, Any], state: Path) -> None:
        self._path: str = spec["path"]
        self._format = format_of(spec, Format.JSONL)
        self._append = bool(spec.get("append"))
        self._page_path = state / _PAGE_NAME
        self._encode = encoder(self._format)
        self._fd = -1
        self._page: MappedPage | None = None
        self._length = 0
        self._inode = 0
        self._note = b""

    def open(self, restarted: bool) -> None:
        try:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConnectorError(_locked(self._path)) from error
        except OSError as error:
            raise ConnectorError(f"sink file {self._path} cannot be written: {error.strerror}") from error
        found = os.fstat(self._fd)
        if not stat.S_ISREG(found.st_mode):
            raise ConnectorError(_not_regular("sink", self._path, "connector: stdout or blackhole"))
        self._inode = found.st_ino
        self._page = MappedPage(self._page_path, _PAGE.size + _NOTE_BYTES)
        kept = self._page.read() if restarted else b""
        if kept:
            length, inode = _PAGE.unpack_from(kept)
            self._note = kept[_PAGE.size :]
            if found.st_size < length or found.st_ino != inode:
                raise ConnectorError(
                    f"sink file {self._path} was cut or replaced by another program after {length} bytes of this job",
                    remedy="Leave a sink's file alone while its job lives; start the job again.",
                )
        elif self._append:
            length = self._closed(found.st_size)
        else:
            length = 0
        os.ftruncate(self._fd, length)
        self._length = length
        self.checkpoint(self._note)

    def restore(self) -> bytes:
        return self._note

    def write(self, values: Sequence[object]) -> None:
        if self._page is None:
            raise ConnectorError(f"sink file {self._path} is written before it was opened")
        if not values:
            return
        try:
            write_all(self._fd, self._encode(values))
        except OSError as error:
            os.ftruncate(self._fd, min(self._length, os.fstat(self._fd).st_size))
            raise ConnectorError(
                f"sink file {self._path} cannot be written: {error.strerror}",
                remedy="See that the disk has room and that the file can be written.",
            ) from error
        # Where the file ends, not what was added up: another program may have emptied it (log rotation does).
        self._length = os.lseek(self._fd, 0, os.SEEK_CUR)

    def checkpoint(self, note: bytes) -> None:
        if self._page is None:
            raise ConnectorError(f"sink file {self._path} is written before it was opened")
        try:
            self._page.write(_PAGE.pack(self._length, self._inode) + note)
        except OSError as error:
            raise ConnectorError(
                f"the page {self._page_path} of sink file {self._path} cannot be written: {error.strerror}",
                remedy="See that the disk of $STREAMER_HOME (default ~/.streamer) has room.",
            ) from error

    def close(self) -> None:
        if self._page is not None:
            self._page.close()
            self._page = None
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _closed(self, length: int) -> int:
        """The length of the file once its last line, which an earlier writer may have left open, is closed."""
        if length and self._format is not Format.MSGPACK and os.pread(self._fd, 1, length - 1) != b"\n":
            write_all(self._fd, b"\n")
            return length + 1
        return length


def source_problems(spec: Mapping[str, Any]) -> list[str]:
    """What keeps this file from being read, each with its remedy; looks, and changes nothing."""
    path = Path(spec["path"])
    try:
        found = path.stat()
    except FileNotFoundError:
        return [f"source file {path} does not exist. Correct spec.path, or create the file."]
    except OSError as error:
        return [f"source file {path} cannot be read: {error.strerror}. Correct spec.path, or its permissions."]
    if stat.S_ISDIR(found.st_mode):
        return [f"source file {path} is a folder. Name one file in spec.path."]
    if not stat.S_ISREG(found.st_mode):
        return [_not_regular("source", str(path), "connector: stdin")]
    if not os.access(path, os.R_OK):
        return [f"source file {path} cannot be read: permission denied. Allow it: chmod u+r {path}."]
    return []


def sink_problems(spec: Mapping[str, Any]) -> list[str]:
    """What keeps this file from being written, each with its remedy; looks, and changes nothing."""
    path = Path(spec["path"])
    try:
        found = path.stat()
    except FileNotFoundError:
        return _folder_problems(path)
    except OSError as error:
        return [f"sink file {path} cannot be written: {error.strerror}. Correct spec.path, or its permissions."]
    if stat.S_ISDIR(found.st_mode):
        return [f"sink file {path} is a folder. Name a file in spec.path."]
    if not stat.S_ISREG(found.st_mode):
        return [_not_regular("sink", str(path), "connector: stdout or blackhole")]
    if not os.access(path, os.R_OK | os.W_OK):
        return [f"sink file {path} cannot be written: permission denied. Allow it: chmod u+rw {path}."]
    return [_locked(str(path))] if _is_locked(path) else []


def _folder_problems(path: Path) -> list[str]:
    folder = path.parent
    if not folder.exists():
        return [f"sink file {path} cannot be made: its folder does not exist. Make it: mkdir -p {folder}."]
    if not folder.is_dir():
        return [f"sink file {path} cannot be made: {folder} is no folder. Correct spec.path."]
    if not os.access(folder, os.W_OK | os.X_OK):
        return [f"sink file {path} cannot be made: {folder} cannot be written. Allow it, or choose another folder."]
    return []


def _is_locked(path: Path) -> bool:
    fd = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _locked(path: str) -> str:
    return f"sink file {path} is being written by another node or job. Give each sink a file of its own."


def _not_regular(use: str, path: str, instead: str) -> str:
    return f"{use} file {path} is not a regular file. Use {instead}, or name a file."
