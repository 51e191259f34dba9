"""Segments, chunks and frames for tests of the protocol, and strategies that make any of them."""

from __future__ import annotations

from collections.abc import Sequence

import msgpack
from hypothesis import strategies as st

from streamer.limits import HOPS_MAX
from streamer.protocol.buffers import ARRAY
from streamer.protocol.chunk import Chunk, Parent
from streamer.protocol.codec import join, packer
from streamer.protocol.frames import Data, decode_data
from streamer.protocol.segment import Segment

BAD: dict[object, object] = {msgpack.ExtType(ARRAY, msgpack.packb(["<f8", [1], bytes(8)])): 3}
"""It packs, but its key comes back as an array, which no dict can hold."""

U64_MAX = (1 << 64) - 1

u64 = st.one_of(st.integers(0, 300), st.integers(0, U64_MAX))


def segment(
    positions: Sequence[int], *, hash_: int = 1, hashes: Sequence[int] | None = None, route: int = 0, origin: int = 9
) -> Segment:
    return Segment(origin, positions, hash_, hashes, route, 0, 1_000)


@st.composite
def segments(draw: st.DrawFn, messages_max: int = 12) -> Segment:
    """Runs, holes, repeats (siblings share a position), one hash or many."""
    count = draw(st.integers(1, messages_max))
    first = draw(st.one_of(st.integers(0, 50), st.integers(0, U64_MAX - messages_max)))
    positions: Sequence[int] = range(first, first + count)
    if draw(st.booleans()):
        positions = draw(st.lists(u64, min_size=count, max_size=count))
    hashes = draw(st.lists(u64, min_size=count, max_size=count)) if draw(st.booleans()) else None
    return Segment(
        origin=draw(u64),
        positions=positions,
        hash_=draw(u64),
        hashes=hashes,
        route=draw(st.integers(0, 65_535)),
        hops=draw(st.integers(0, HOPS_MAX)),
        time_us=draw(u64),
    )


def blobs(values: Sequence[object]) -> list[bytes]:
    pack = packer()
    return [pack(value) for value in values]


def chunk(numbers: Sequence[int], parent: Parent | None = None, *, size: int = 0) -> Chunk:
    """Messages whose positions are these numbers, packed as the number, or as so many bytes; records without parent."""
    packed = blobs([bytes(size) if size else number for number in numbers])
    indexes = range(len(numbers)) if parent else ()
    return Chunk(packed, segment(numbers), parent, indexes, sum(map(len, packed)), again=parent is None)


def data(sequence: int, values: Sequence[object]) -> Data:
    """A frame as a consumer gets it."""
    return Data(sequence, [segment(range(len(values)))], len(values), join(blobs(values)), False)


def numbers_of(parts: list[bytes]) -> list[int]:
    """The positions of the messages of an encoded data frame."""
    return [position for s in decode_data(parts).segments for position in s.positions]
