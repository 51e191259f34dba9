"""What is queued on an edge, and what travels: chunks of packed messages, and frames of chunks.

A chunk is what one handler turn sent into an edge: packed messages with one segment of ids and one parent. It is cut
only where a receiver's grant or a frame's size asks for it, and cut pieces share the packed messages. A frame is cut
from the queue at send time and keeps its chunks until they are settled; most frames are one chunk, whose messages lie
in one body already.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from streamer.limits import FRAME_BYTES_MAX, FRAME_MESSAGES_MAX, LARGE_BYTES
from streamer.protocol.buffers import Bulky
from streamer.protocol.codec import Joined, join, join_all
from streamer.protocol.frames import Parts, encode_data
from streamer.protocol.segment import Segment
from streamer.protocol.settlement import RangeSet

_MERGE_US = 1000
"""Segments whose roots are younger than each other by less than this may be told as one."""


class Parent(Protocol):
    """What waits for messages to settle: the input frame whose handling sent them."""

    def settle(self, count: int) -> None: ...


class CountingParent(Parent, Protocol):
    """An input frame, or a gateway's ticket: `open` is the number of messages that it waits for."""

    open: int


class Chunk:
    """Packed messages of one segment and one parent; `indexes[i]` is the place of the i-th one's parent message.

    `again`: they are roots that their node can make again, so that its account keeps which of them are settled.
    """

    __slots__ = ("again", "blobs", "indexes", "parent", "redelivered", "segment", "size")

    def __init__(
        self,
        blobs: Sequence[bytes],
        segment: Segment,
        parent: Parent | None,
        indexes: Sequence[int],
        size: int,
        redelivered: bool = False,
        *,
        again: bool = False,
    ) -> None:
        self.blobs = blobs
        self.segment = segment
        self.parent = parent
        self.indexes = indexes
        self.size = size
        self.redelivered = redelivered
        self.again = again

    @property
    def bulky(self) -> bool:
        """Whether messages of it have buffers beside them: such a message travels alone."""
        return self.size >= LARGE_BYTES and type(self.blobs) is not Joined and Bulky in map(type, self.blobs)

    def cut(self, start: int, end: int) -> Chunk:
        blobs = self.blobs[start:end]
        indexes = self.indexes[start:end]
        size = sum(map(len, blobs))
        segment = self.segment.cut(start, end)
        return Chunk(blobs, segment, self.parent, indexes, size, self.redelivered, again=self.again)


def joined(blobs: Sequence[bytes]) -> tuple[Sequence[bytes], int]:
    """The same packed messages, in one body if they fit into a frame, and their size."""
    if isinstance(blobs, Joined):
        return blobs, blobs.size
    size = sum(map(len, blobs))
    if size <= FRAME_BYTES_MAX and (size < LARGE_BYTES or Bulky not in map(type, blobs)):
        blobs = plainly_joined(blobs)
    return blobs, size


def plainly_joined(blobs: Sequence[bytes]) -> Sequence[bytes]:
    """The same for packed messages of which none is `Bulky`: to look at each would cost more than to join them."""
    if len(blobs) <= FRAME_MESSAGES_MAX:
        whole = Joined(join(blobs), len(blobs))
        if whole.size <= FRAME_BYTES_MAX:
            return whole
    return blobs


class OutFrame:
    """A frame on its way: sent in a session under `sequence`, kept until settled. `done`: messages settled already."""

    __slots__ = ("chunks", "count", "done", "sequence", "size")

    def __init__(self, chunks: list[Chunk], count: int, size: int) -> None:
        self.chunks = chunks
        self.count = count
        self.size = size
        self.sequence = 0
        self.done: RangeSet | None = None

    @property
    def open(self) -> int:
        """Messages not settled."""
        return self.count - (len(self.done) if self.done else 0)

    def pieces(self, low: int, high: int) -> Iterator[tuple[Chunk, int, int]]:
        """The chunks that the messages `low` to before `high` lie in, with the range inside each."""
        base = 0
        for chunk in self.chunks:
            end = base + len(chunk.blobs)
            if base < high and low < end:
                yield chunk, max(low, base) - base, min(high, end) - base
            base = end

    def unsettled(self) -> Iterator[tuple[Chunk, int, int]]:
        """The same for all messages that are not settled."""
        for low, high in (self.done or RangeSet()).missing(0, self.count):
            yield from self.pieces(low, high)

    def encode(self) -> Parts:
        segments: list[Segment] = []
        for chunk in self.chunks:
            if segments and (merged := _merged(segments[-1], chunk.segment)):
                segments[-1] = merged
            else:
                segments.append(chunk.segment)
        first = self.chunks[0]
        if len(self.chunks) > 1:
            body = join_all(self.count, (chunk.blobs for chunk in self.chunks))
        elif isinstance(first.blobs, Joined):
            body = first.blobs.body
        else:
            body = join(first.blobs)
        buffers = first.blobs[0].buffers if first.bulky and isinstance(first.blobs[0], Bulky) else ()
        return encode_data(self.sequence, segments, self.count, body, first.redelivered, buffers)


def _merged(a: Segment, b: Segment) -> Segment | None:
    pa, pb = a.positions, b.positions
    if (
        type(pa) is range
        and type(pb) is range
        and pa.stop == pb.start
        and a.hash == b.hash
        and a.hashes is None
        and b.hashes is None
        and a.origin == b.origin
        and a.route == b.route
        and a.hops == b.hops
        and 0 <= b.time_us - a.time_us < _MERGE_US
        and a.headers is None
        and b.headers is None
    ):
        return Segment(a.origin, range(pa.start, pb.stop), a.hash, None, a.route, a.hops, a.time_us)
    return None
