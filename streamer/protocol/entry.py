"""Roots as bytes of a log or a checkpoint: what a node is to send, in the form in which it would travel.

A root that is sent again after a crash must be what it was: the same id, time and headers, by the same position of the
same version of the flows. All of that but the version is in a data frame already, so a root is kept as one. The number
of a version goes beside it, because the numbers that positions travel as are given again once their version is over.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from streamer.errors import PeerError
from streamer.limits import FRAME_MESSAGES_MAX
from streamer.protocol.buffers import Bulky
from streamer.protocol.codec import Joined, join
from streamer.protocol.frames import decode_data, encode_data
from streamer.protocol.segment import Segment

_FACTS = struct.Struct("<IH")
_LENGTH = struct.Struct("<Q")


class LoggedRoots(NamedTuple):
    """Packed messages of one segment; `segment.route` is the position, of this version, from which they leave."""

    version: int
    segment: Segment
    blobs: Sequence[bytes]


def encode_roots(version: int, segment: Segment, blobs: Sequence[bytes]) -> list[bytes]:
    """The bytes, in parts that lie behind each other: large buffers are not copied."""
    out: list[bytes] = []
    for first, last in _runs(blobs):
        one = blobs if last - first == len(blobs) else blobs[first:last]
        buffers: Sequence[bytes] = ()
        if isinstance(one, Joined):
            body = one.body
        else:
            body = join(one)
            buffers = one[0].buffers if isinstance(one[0], Bulky) else ()
        parts = encode_data(0, [segment.cut(first, last)], last - first, body, False, buffers)
        lengths = b"".join(_LENGTH.pack(len(part)) for part in parts)
        out += [_FACTS.pack(version, len(parts)) + lengths, *parts]
    return out


def _runs(blobs: Sequence[bytes]) -> Iterator[tuple[int, int]]:
    """What goes into one frame each: a message with large buffers alone."""
    if isinstance(blobs, Joined):
        yield 0, len(blobs)
        return
    first = 0
    for at, blob in enumerate(blobs):
        alone = type(blob) is Bulky
        if first < at and (alone or at - first == FRAME_MESSAGES_MAX):
            yield first, at
            first = at
        if alone:
            yield at, at + 1
            first = at + 1
    if first < len(blobs):
        yield first, len(blobs)


def decode_roots(payload: bytes | memoryview) -> Iterator[LoggedRoots]:
    """All that was encoded into these bytes, which a checksum has vouched for. Raises PeerError."""
    view = memoryview(payload)
    at = 0
    while at < len(view):
        try:
            version, count = _FACTS.unpack_from(view, at)
            at += _FACTS.size
            lengths = [length for (length,) in _LENGTH.iter_unpack(view[at : at + _LENGTH.size * count])]
        except struct.error as error:
            raise PeerError(f"roots of an entry log cannot be read: {error}") from error
        at += _LENGTH.size * count
        parts = []
        for length in lengths:
            parts.append(bytes(view[at : at + length]))
            at += length
        data = decode_data(parts)
        (segment,) = data.segments
        blobs: Sequence[bytes] = Joined(bytes(data.body), data.count)
        if data.buffers:
            bulky = Bulky(blobs[0])
            bulky.buffers = list(data.buffers)
            blobs = [bulky]
        yield LoggedRoots(version, segment, blobs)
