"""A file that grows and is rotated, followed for as long as the job lives.

Records keep counting from one file to the next, so that positions, marks and ids go on over rotations and restarts as
they do in one file; which file holds which of them is kept in a chain (`rotation`). The name is looked at ten times a
second, and only while nothing is left to read: asking more often would cost a processor, and the system's notifications
do not reach over network folders. What is gone for ever (a file that was removed or compressed while the source was
down) becomes bad records, one for each that had been read and was not settled, and one for the rest: they are counted,
and stand in the dead letters with the reason.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from streamer import limits
from streamer.connectors.base import BadRecord, Mark, Records
from streamer.connectors.decoders import Decoder, decoder
from streamer.connectors.encoders import Format, format_of
from streamer.connectors.file import source_problems
from streamer.connectors.rotation import Chain, Link, Opened, head_of, is_compressed
from streamer.errors import ConnectorError
from streamer.mapped import MappedWords

_REMEDY = "Let the rotation keep some files uncompressed (logrotate: rotate 5, delaycompress)."
_GONE = f"the file that held it was removed, compressed or emptied, with what followed there unread. {_REMEDY}"


class FollowedSource:
    """The records of all files that a name leads to, the one that is there at first included. Never ends by itself."""

    replayable = True
    ended = False

    def __init__(self, spec: Mapping[str, Any], state: Path) -> None:
        self._path = Path(spec["path"])
        self._format = format_of(spec, Format.TEXT)
        self._chain = Chain(self._path, state / "followed.json")
        self._given_at = state / "followed-records"
        self._given: MappedWords | None = None
        """Number of the first record that was never given out: it tells what is lost with a file."""
        self._index = 0
        self._position = 0
        self._file: Opened | None = None
        self._decoder: Decoder | None = None
        self._offset = 0
        self._finished = False
        self._emptied = False
        self._look_at: float | None = None
        self._leaving_since: float | None = None

    @property
    def partition(self) -> str:
        """Path, device and inode of the first file; the ones behind it are part of the same origin."""
        return self._begun().partition

    def open(self, mark: Mark) -> None:
        self._given = MappedWords(self._given_at, 1)
        self._position = mark.position
        self._enter(self._begun().index(mark.position), mark.offset)

    def read(self, limit: int, now: float) -> Records | None:
        if self._given is None:
            raise ConnectorError(f"source file {self._path} is read before it was opened")
        if self._look_at is not None and now < self._look_at:
            return None
        while True:
            records = self._take(limit)
            if records is not None:
                self._look_at = None
                self._given.words[0] = max(self._given.words[0], self._position)
                return records
            if not self._advance(now):
                self._look_at = now + limits.FOLLOW_POLL_S
                return None

    def wait_s(self, now: float) -> float | None:
        return 0.0 if self._look_at is None else max(0.0, self._look_at - now)

    def fileno(self) -> int | None:
        return None

    def close(self) -> None:
        self._close_file()
        if self._given is not None:
            self._given.close()
            self._given = None

    def _begun(self) -> Chain:
        if not self._chain.links:
            if not self._chain.kept and (found := source_problems({"path": self._path})):
                raise ConnectorError(" ".join(found))
            self._chain.begin()
        return self._chain

    # -- records ------------------------------------------------------------------------------------------------------

    def _take(self, limit: int) -> Records | None:
        """Records of the link in hand, none beyond its end."""
        link, end = self._chain.links[self._index], self._chain.end(self._index)
        most = limit if end is None else min(limit, end - self._position)
        if most <= 0:
            return None
        records = self._losses(link, most) if link.lost else self._decoded(link, most)
        if records is not None:
            self._position = 1 + max(*records.positions[-1:], *(bad.position for bad in records.bad[-1:]), -1)
        return records

    def _decoded(self, link: Link, limit: int) -> Records | None:
        records = self._decoder.take(limit) if self._decoder is not None else None
        return None if records is None else _moved(records, link.position)

    def _losses(self, link: Link, count: int) -> Records:
        first = self._position
        place = f"{self._path}, record {{}} since its source began"
        bad = tuple(BadRecord(n, place.format(n + 1), "", link.lost) for n in range(first, first + count))
        return Records(Mark(first, 0), [], [], bad)

    # -- files --------------------------------------------------------------------------------------------------------

    def _advance(self, now: float) -> bool:
        """Whether there may be more now: read on in this file, or go on to the next."""
        end = self._chain.end(self._index)
        if end is not None and self._position >= end:
            return self._go_on()
        if self._finished:
            return self._go_on() if end is None else self._lose()
        if self._feed():
            self._leaving_since = None
            return True
        if end is None and not self._is_left(now):
            return False
        # Whoever wrote to the old file until a moment ago has stopped by now: what it holds is all.
        if not self._feed() and self._decoder is not None:
            self._decoder.finish()
            self._finished = True
        return True

    def _feed(self) -> bool:
        """Read on, if this is still what it was: a file that is emptied and filled again keeps its inode."""
        if self._file is None or self._decoder is None:
            return False
        link = self._chain.links[self._index]
        try:
            block = os.pread(self._file.fd, limits.READ_BYTES, self._offset)
            head = head_of(self._file.fd)
        except OSError as error:
            raise ConnectorError(f"source file {self._file.path} cannot be read: {error.strerror}") from error
        if not block or not head.startswith(link.head):
            return False
        self._decoder.feed(block)
        self._offset += len(block)
        known = head[: self._offset]
        if len(known) > len(link.head):
            self._chain.change(self._index, replace(link, head=known))
        return True

    def _is_left(self, now: float) -> bool:
        """Whether the last file of the chain, of which nothing is left to read, will not grow any more."""
        if self._file is None:
            return True
        link = self._chain.links[self._index]
        found = self._chain.named_now()
        if found is not None and (found.st_dev, found.st_ino) == self._file.identity:
            self._leaving_since = None
            if found.st_size >= self._offset and head_of(self._file.fd).startswith(link.head):
                return False
            copy = self._chain.copy_of(link, self._offset)
            if copy is not None:
                device, inode = copy.identity
                self._chain.change(self._index, replace(link, device=device, inode=inode))
                self._close_file()
                self._file = copy
                return False
            self._emptied = True
            return True
        following = self._following()
        if following is None:
            return False
        os.close(following.fd)
        if self._leaving_since is None:
            self._leaving_since = now
        return now - self._leaving_since >= limits.ROTATION_GRACE_S

    def _following(self) -> Opened | None:
        """The file after the last one of the chain."""
        if self._file is None:
            return self._chain.successor(self._chain.links[self._index].changed_ns, None)
        changed_ns = os.fstat(self._file.fd).st_mtime_ns
        return self._chain.successor(changed_ns, None if self._emptied else self._file.identity)

    def _go_on(self) -> bool:
        """Enter the next file; False if there is none yet."""
        if self._index + 1 < len(self._chain.links):
            self._enter(self._index + 1, 0)
            return True
        following = self._following()
        if following is None:
            return False
        device, inode = following.identity
        link = Link(self._position, device, inode, changed_ns=following.status.st_mtime_ns)
        if is_compressed(following.path):
            os.close(following.fd)
            text = f"{following.path} was rotated and compressed before it was read. {_REMEDY}"
            self._enter(self._chain.append(replace(link, lost=text, records=1)), 0)
        else:
            self._begin_file(self._chain.append(link), following, 0)
        return True

    def _enter(self, index: int, offset: int) -> None:
        """Go to a link of the chain, which may be lost, or turn out to be."""
        self._close_file()
        self._index = index
        self._decoder = None
        self._finished = self._emptied = False
        link = self._chain.links[index]
        if not link.lost:
            opened = self._chain.locate(link, offset)
            if opened is None:
                self._lose()
            else:
                self._begin_file(index, opened, offset)

    def _begin_file(self, index: int, opened: Opened, offset: int) -> None:
        self._close_file()
        self._index, self._file, self._offset = index, opened, offset
        line = self._position - self._chain.links[index].position
        self._decoder = decoder(self._format, str(self._path), Mark(line, offset))
        self._finished = self._emptied = False
        self._leaving_since = None

    def _lose(self) -> bool:
        """The rest of this link is gone: say so of each of its records."""
        assert self._given is not None
        link, end = self._chain.links[self._index], self._chain.end(self._index)
        # Nobody knows how many had not been read yet, so all of those together are one.
        count = max(0, self._given.words[0] - self._position) + 1 if end is None else end - self._position
        if count:
            # Without its inode: that is given to a new file by now.
            gone = replace(link, position=self._position, device=0, inode=0, lost=_GONE, records=count)
            self._chain.change(self._index, gone)
        return True

    def _close_file(self) -> None:
        if self._file is not None:
            os.close(self._file.fd)
            self._file = None


def _moved(records: Records, by: int) -> Records:
    """Records of one file, numbered in their chain."""
    if not by:
        return records
    numbers = records.positions
    return Records(
        Mark(records.mark.position + by, records.mark.offset),
        range(numbers.start + by, numbers.stop + by) if isinstance(numbers, range) else [n + by for n in numbers],
        records.values,
        tuple(replace(bad, position=bad.position + by) for bad in records.bad),
    )
