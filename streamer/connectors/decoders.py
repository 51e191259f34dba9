"""The bytes of a source to records: a decoder is fed blocks as they come and gives whole records with their places.

Reading line by line costs a call per record; here a block of some hundred KiB is split at once, and every batch knows
the byte at which it begins, so that a source that comes back starts there. A record that cannot be read takes its
number like any other and becomes a `BadRecord`: its neighbours are not harmed. A record longer than a message may be is
not kept in memory while its end is looked for. A decoder does no I/O: whoever has the descriptor feeds it.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from itertools import accumulate
from typing import Protocol

import msgpack

from streamer import limits
from streamer.connectors.base import BadRecord, Mark, Records
from streamer.connectors.encoders import Format

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Decoder(Protocol):
    """`feed` it when `take` has given None; after `finish`, None means that no record is left."""

    def feed(self, block: bytes) -> None: ...

    def finish(self) -> None:
        """No more bytes will come: what is left is the last record."""

    def take(self, limit: int) -> Records | None:
        """At most `limit` records of about a frame's bytes; None: it needs more bytes."""


def decoder(
    record_format: Format, name: str, mark: Mark, *, record_bytes_max: int = limits.MESSAGE_BYTES_MAX
) -> Decoder:
    """A decoder of the bytes from `mark` on; `name` is what a person calls their origin (`access.log`).

    A record over `record_bytes_max` is bad; a block that is fed must not be larger than that.
    """
    if record_format is Format.MSGPACK:
        return _ValueDecoder(name, mark, record_bytes_max)
    return _LineDecoder(_text if record_format is Format.TEXT else _json_lines, name, mark, record_bytes_max)


_Failures = list[tuple[int, str]]
_Parse = Callable[[list[bytes]], tuple[list[object], _Failures]]


class _LineDecoder:
    """Records that are lines. Only a line feed ends a line (a carriage return before it belongs to the end)."""

    def __init__(self, parse: _Parse, name: str, mark: Mark, record_bytes_max: int) -> None:
        self._parse = parse
        self._name = name
        self._position = mark.position
        self._offset = mark.offset
        self._record_bytes_max = record_bytes_max
        self._lines: list[bytes] = []
        self._next = 0
        self._open: list[bytes] = []
        self._open_bytes = 0
        self._oversize_bytes = 0

    def feed(self, block: bytes) -> None:
        lines = block.split(b"\n")
        self._extend(lines[0])
        if len(lines) == 1:
            return
        tail = lines.pop()
        lines[0] = self._close()
        self._lines = lines
        self._next = 0
        self._extend(tail)

    def finish(self) -> None:
        if self._open_bytes:
            self._lines = [self._close()]
            self._next = 0

    def take(self, limit: int) -> Records | None:
        if self._next == len(self._lines):
            return None
        if self._oversize_bytes:
            return self._oversize()
        lines = self._lines[self._next : self._next + limit]
        ends = list(accumulate(map(len, lines)))
        if ends[-1] > limits.FRAME_BYTES_MAX:
            count = max(1, sum(end <= limits.FRAME_BYTES_MAX for end in ends))
            lines = lines[:count]
        mark = Mark(self._position, self._offset)
        self._next += len(lines)
        self._position += len(lines)
        self._offset += ends[len(lines) - 1] + len(lines)
        if mark.offset == 0:
            lines[0] = lines[0].removeprefix(_BYTE_ORDER_MARK)
        values, failures = self._parse(lines)
        return self._records(mark, lines, values, failures)

    def _records(self, mark: Mark, lines: list[bytes], values: list[object], failures: _Failures) -> Records:
        positions = range(mark.position, mark.position + len(lines))
        if not failures:
            return Records(mark, positions, values)
        failed = {index for index, _ in failures}
        bad = tuple(self._bad(mark.position + index, lines[index], error) for index, error in failures)
        return Records(mark, [p for index, p in enumerate(positions) if index not in failed], values, bad)

    def _bad(self, position: int, line: bytes, error: str) -> BadRecord:
        return BadRecord(position, f"{self._name}, line {position + 1}", _excerpt(line), error)

    def _extend(self, piece: bytes) -> None:
        self._open_bytes += len(piece)
        if self._open_bytes <= self._record_bytes_max:
            self._open.append(piece)
        elif self._open_bytes - len(piece) <= self._record_bytes_max:
            # Too long to be a message: from here on only its beginning is kept, to be shown.
            self._open = [_head([*self._open, piece])]

    def _close(self) -> bytes:
        line = b"".join(self._open)
        if self._open_bytes > self._record_bytes_max:
            self._oversize_bytes = self._open_bytes
        self._open = []
        self._open_bytes = 0
        return line

    def _oversize(self) -> Records:
        """The first line of what was fed last is longer than a message may be."""
        mark = Mark(self._position, self._offset)
        error = f"a record of {self._oversize_bytes} bytes is over the limit of {self._record_bytes_max}"
        bad = self._bad(self._position, self._lines[self._next], error)
        self._next += 1
        self._position += 1
        self._offset += self._oversize_bytes + 1
        self._oversize_bytes = 0
        return Records(mark, [], [], (bad,))


def _text(lines: list[bytes]) -> tuple[list[object], _Failures]:
    # A line feed never belongs to a broken UTF-8 sequence, so decoding and splitting can change places.
    text = b"\n".join(lines).decode("utf-8", "replace")
    if "\r" in text:
        return [line.removesuffix("\r") for line in text.split("\n")], []
    return [*text.split("\n")], []


_json = json.JSONDecoder()


def _json_lines(lines: list[bytes]) -> tuple[list[object], _Failures]:
    values: list[object] = []
    failures: _Failures = []
    for index, line in enumerate(lines):
        try:
            values.append(json_value(line.decode()))
        except json.JSONDecodeError as error:
            reason = f"not JSON: {error.msg}, column {error.colno}" if line.strip() else "an empty line is not JSON"
            failures.append((index, reason))
        except (ValueError, RecursionError) as error:  # not UTF-8, a number of over 4300 digits, nested too deeply
            failures.append((index, f"not JSON: {error}"))
    return values, failures


def json_value(text: str) -> object:
    # Most lines are one value from the first character to the last: this halves the cost of json.loads.
    if text[:1] in ("{", "["):
        value, end = _json.raw_decode(text)
        if end == len(text):
            return value
    return _json.decode(text)


class _ValueDecoder:
    """Records that are msgpack values, one behind the other.

    A value that stands whole in the bytes but cannot be built (a list as a key, a str that is not UTF-8) is passed
    over; after bytes that are no msgpack there is no telling where a value begins, so nothing more is read.
    """

    def __init__(self, name: str, mark: Mark, record_bytes_max: int) -> None:
        self._name = name
        self._position = mark.position
        self._offset = mark.offset
        self._record_bytes_max = record_bytes_max
        # The bytes from the current value on, uncopied: without them the end of a value that cannot be built is lost.
        self._blocks: deque[bytes] = deque()
        self._blocks_at = mark.offset
        self._fed_to = mark.offset
        self._error = ""
        self._lost = False
        self._finished = False
        self._restart()

    def feed(self, block: bytes) -> None:
        if self._lost:
            return
        self._blocks.append(block)
        self._fed_to += len(block)
        try:
            self._unpacker.feed(block)
        except msgpack.BufferFull:
            self._error = f"a record is over the limit of {self._record_bytes_max} bytes"
            self._lost = True

    def finish(self) -> None:
        self._finished = True

    def take(self, limit: int) -> Records | None:
        if self._error:
            return self._pass_over()
        mark = Mark(self._position, self._offset)
        values = self._unpack(limit)
        if values:
            self._position += len(values)
            return Records(mark, range(mark.position, self._position), values)
        if self._finished and not self._error and self._offset < self._fed_to:
            self._error = "the data ends in the middle of a value"
            self._lost = True
        return self._pass_over() if self._error else None

    def _unpack(self, limit: int) -> list[object]:
        values: list[object] = []
        unpack, tell, base = self._unpacker.unpack, self._unpacker.tell, self._base
        offset = self._offset
        end = offset + limits.FRAME_BYTES_MAX
        try:
            while len(values) < limit and offset < end:
                values.append(unpack())
                offset = base + tell()
        except msgpack.OutOfData:
            self._advance(offset)
        except (ValueError, TypeError) as error:
            self._advance(offset)
            self._error = f"not a msgpack value: {str(error) or type(error).__name__}"
            rest = self._rest()
            self._restart()
            self._unpacker.feed(rest)
        else:
            self._advance(offset)
        return values

    def _pass_over(self) -> Records | None:
        """Find the end of the current value, of which `_error` tells what is wrong."""
        if not self._lost:
            try:
                self._unpacker.skip()
            except msgpack.OutOfData:
                if not self._finished:
                    return None
                self._lost = True
            except ValueError:
                self._lost = True
        mark = Mark(self._position, self._offset)
        end = self._fed_to if self._lost else self._base + int(self._unpacker.tell())
        error = f"{self._error}; the rest cannot be read" if self._lost else self._error
        place = f"{self._name}, record {mark.position + 1} at byte {mark.offset}"
        bad = BadRecord(mark.position, place, _excerpt(self._rest()[: end - mark.offset]), error)
        self._error = ""
        self._position += 1
        self._advance(end)
        if self._lost:
            self._restart()
        return Records(mark, [], [], (bad,))

    def _restart(self) -> None:
        self._base = self._offset
        self._unpacker = msgpack.Unpacker(
            raw=False, strict_map_key=False, max_buffer_size=self._record_bytes_max + limits.MIB
        )

    def _rest(self) -> bytes:
        return b"".join(self._blocks)[self._offset - self._blocks_at :]

    def _advance(self, offset: int) -> None:
        self._offset = offset
        while self._blocks and self._blocks_at + len(self._blocks[0]) <= offset:
            self._blocks_at += len(self._blocks.popleft())


def _head(pieces: list[bytes]) -> bytes:
    head = bytearray()
    for piece in pieces:
        head += piece[: limits.BAD_RECORD_BYTES_MAX - len(head)]
    return bytes(head)


def _excerpt(data: bytes) -> str:
    text = data[: limits.BAD_RECORD_BYTES_MAX].decode("utf-8", "replace")
    return text if len(data) <= limits.BAD_RECORD_BYTES_MAX else f"{text}… ({len(data)} bytes)"
