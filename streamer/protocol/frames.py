"""Frames and bytes: everything that travels on an edge, bounded and checked before it is believed.

A data frame is a ZeroMQ multipart: a header of 48 bytes with all that one segment needs, the body (one flat msgpack
array), and only where present a segment table, explicit positions, explicit hashes and headers of messages. The other
kinds are rare or small: OPEN (session facts, once), STATUS (grants and acknowledgements, absolute totals, about once
per quarter window), PULSE (the process lives), CLOSE, REFUSED, END, FLOORS (what origins say is settled), and TAP of
whoever only watches. Bytes of a peer never raise anything but PeerError here.

    data header   version u8 | kind u8 | flags u8 | hops u8 | count u16 | route u16 | sequence u64
                  | origin u64 | position u64 | hash u64 | time_us u64
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import msgpack

from streamer.errors import PeerError
from streamer.limits import BUFFERS_MAX, CONCURRENCY_MAX, CONTROL_FRAME_BYTES_MAX, FRAME_MESSAGES_MAX, HEADERS_BYTES_MAX
from streamer.protocol.codec import announces
from streamer.protocol.segment import Segment

WIRE_VERSION = 2


class Kind(IntEnum):
    """Consumer to producer: OPEN, STATUS, PULSE, CLOSE. Producer to consumer: REFUSED, DATA, END, FLOORS.

    Tap to producer: TAP. Producer to tap: REFUSED, and copies of DATA.
    """

    OPEN = 1
    STATUS = 2
    PULSE = 3
    CLOSE = 4
    REFUSED = 5
    DATA = 6
    END = 7
    TAP = 8
    FLOORS = 9


_KINDS = {int(kind): kind for kind in Kind}
_DATA = struct.Struct("<BBBBHHQQQQQ")
_SEGMENT = struct.Struct("<HBBHHQQQQ")
_STATUS = struct.Struct("<BBHIQQQQQQQQ")
_SHORT = struct.Struct("<BBHIQ")
assert _DATA.size == 48

_REDELIVERED = 1
_TABLE = 2
_POSITIONS = 4
_HASHES = 8
_HEADERS = 16
_BUFFERS = 32
_END_SEEN, _WIDE = 1, 2
_POSITIONS_END = 1 << 64

Parts = list[bytes]
Received = Sequence[bytes | memoryview]
"""Parts as a transport gives them: what is large may be a view of the memory in which it was received."""


class Data:
    """A data frame, its body still packed."""

    __slots__ = ("body", "buffers", "count", "redelivered", "segments", "sequence")

    def __init__(
        self, sequence: int, segments: list[Segment], count: int, body: bytes | memoryview, redelivered: bool
    ) -> None:
        self.sequence = sequence
        self.segments = segments
        self.count = count
        self.body = body
        self.redelivered = redelivered
        self.buffers: Received = ()


class InHand(NamedTuple):
    """Messages that one handler call had: the `first` by its index in the frame, and so many `more` behind it."""

    session: int
    sequence: int
    first: int
    more: int = 0


@dataclass(frozen=True, slots=True)
class Open:
    """A consumer asks for a session.

    `crashed` names what was in hand when the consumer's predecessor died. `ownership` is the epoch of the owners by
    which a partitioned consumer goes, else 0.
    """

    token: str
    node: str
    instance: str
    epoch: int
    session: int
    crashed: tuple[InHand, ...] = ()
    ownership: int = 0


class Status(NamedTuple):
    """Grants and acknowledgements of a session, all totals since its beginning.

    `received`: last sequence received without a gap. Sequences below `floor` and in `ranges` (flat start, end pairs)
    are settled; of frames in `partials` (sequence, flat index ranges) only these messages. `settled` + `dead` +
    `dropped` messages have been settled so far, those told here among them: `dead` of them in the dead-letter store,
    `dropped` because their handler failed and its node says so. `wide`: while any credit is left, a whole frame may be
    sent.
    """

    session: int
    granted_messages: int
    granted_bytes: int
    received: int
    floor: int
    settled: int
    dead: int
    dropped: int = 0
    ranges: Sequence[int] = ()
    partials: tuple[tuple[int, tuple[int, ...]], ...] = ()
    end_seen: bool = False
    wide: bool = False


def encode_data(
    sequence: int,
    segments: list[Segment],
    count: int,
    body: bytes,
    redelivered: bool,
    buffers: Sequence[bytes] = (),
) -> Parts:
    """Parts of a data frame; `count` messages in `segments`, packed in `body`, the `buffers` of a large one beside."""
    first = segments[0]
    flags = _REDELIVERED if redelivered else 0
    tail: Parts = []
    if len(segments) == 1 and first.hashes is None and type(first.positions) is range:
        position = first.positions.start
    else:
        flags, position, tail = _encode_columns(flags, segments)
    if any(s.headers is not None for s in segments):
        flags |= _HEADERS
        tail.append(msgpack.packb([h for s in segments for h in s.headers or [None] * len(s)]))
    if buffers:
        flags |= _BUFFERS
        tail += [*buffers, len(buffers).to_bytes(2, "little")]
    header = _DATA.pack(
        WIRE_VERSION, Kind.DATA, flags, first.hops, count, first.route, sequence,
        first.origin, position, first.hash, first.time_us,
    )  # fmt: skip
    return [header, body, *tail]


def _encode_columns(flags: int, segments: list[Segment]) -> tuple[int, int, Parts]:
    table: Parts = []
    positions, hashes = array("Q"), array("Q")
    for s in segments:
        own = 0
        if type(s.positions) is not range:
            own |= _POSITIONS
            positions.extend(s.positions)
        if s.hashes is not None:
            own |= _HASHES
            hashes.extend(s.hashes)
        table.append(_SEGMENT.pack(len(s), own, s.hops, s.route, 0, s.origin, s.positions[0], s.hash, s.time_us))
    parts: Parts = [b"".join(table)]
    if positions:
        flags |= _POSITIONS
        parts.append(positions.tobytes())
    if hashes:
        flags |= _HASHES
        parts.append(hashes.tobytes())
    return flags | _TABLE, segments[0].positions[0], parts


def decode_data(parts: Received) -> Data:
    """Read a data frame whose kind is known to be DATA. Raises PeerError."""
    try:
        (_, _, flags, hops, count, route, sequence, origin, position, hash_, time_us) = _DATA.unpack(parts[0])
        if not 0 < count <= FRAME_MESSAGES_MAX:
            raise PeerError(f"a data frame of {count} messages")
        buffers: Received = ()
        if flags & _BUFFERS:
            parts, buffers = _without_buffers(parts, count)
        headers: bytes | memoryview | None = None
        if flags & _HEADERS:
            *parts, headers = parts
        if flags & _TABLE:
            segments = _decode_columns(flags, count, parts)
        else:
            if len(parts) != 2:
                raise PeerError(f"a plain data frame of {len(parts)} parts")
            segments = [Segment(origin, _run(position, count), hash_, None, route, hops, time_us)]
        if not announces(parts[1], count):
            raise PeerError(f"a data frame of {count} messages with a body of another count")
        if headers is not None:
            _give_headers(segments, headers, count)
        data = Data(sequence, segments, count, parts[1], bool(flags & _REDELIVERED))
        data.buffers = buffers
        return data
    except (struct.error, IndexError, ValueError, TypeError, msgpack.UnpackException) as error:
        raise PeerError(f"a data frame cannot be read: {error}") from error


def _without_buffers(parts: Received, count: int) -> tuple[Received, Received]:
    """The other parts, and the buffers behind them."""
    wanted = int.from_bytes(parts[-1], "little") if len(parts[-1]) == 2 else 0
    first = len(parts) - 1 - wanted
    if count != 1 or not 0 < wanted <= BUFFERS_MAX or first < 2:
        raise PeerError(f"a data frame of {count} messages and {len(parts)} parts that announces {wanted} buffers")
    return parts[:first], parts[first:-1]


def _give_headers(segments: list[Segment], part: bytes | memoryview, count: int) -> None:
    """Hand each segment its part of the headers, if one of its messages has any."""
    if len(part) > count * (HEADERS_BYTES_MAX + 8) + 8:
        raise PeerError("a data frame whose headers are over the limit")
    headers = msgpack.unpackb(part)
    if not isinstance(headers, list) or len(headers) != count:
        raise PeerError("a data frame with headers of another count")
    if any(h is not None and not isinstance(h, bytes) for h in headers):
        raise PeerError("a data frame with headers of another type")
    at = 0
    for segment in segments:
        own = headers[at : at + len(segment)]
        at += len(segment)
        if any(own):
            segment.headers = own


def _decode_columns(flags: int, count: int, parts: Received) -> list[Segment]:
    wanted = 3 + bool(flags & _POSITIONS) + bool(flags & _HASHES)
    if len(parts) != wanted or len(parts[2]) > FRAME_MESSAGES_MAX * _SEGMENT.size:
        raise PeerError(f"a data frame of {len(parts)} parts; its flags want {wanted}")
    positions, hashes = array("Q"), array("Q")
    if flags & _POSITIONS:
        positions.frombytes(parts[3])
    if flags & _HASHES:
        hashes.frombytes(parts[-1])
    segments: list[Segment] = []
    p = h = 0
    for n, own, hops, route, _, origin, position, hash_, time_us in _SEGMENT.iter_unpack(parts[2]):
        where: Sequence[int]
        chain: Sequence[int] | None = None
        if own & _POSITIONS:
            where, p = positions[p : p + n].tolist(), p + n
        else:
            where = _run(position, n)
        if own & _HASHES:
            chain, h = hashes[h : h + n].tolist(), h + n
        if n == 0 or len(where) != n or (chain is not None and len(chain) != n):
            raise PeerError("a data frame whose columns are shorter than its segments")
        segments.append(Segment(origin, where, hash_, chain, route, hops, time_us))
    if sum(map(len, segments)) != count or p != len(positions) or h != len(hashes):
        raise PeerError("a data frame whose columns do not add up to its count")
    return segments


def _run(position: int, count: int) -> range:
    if position + count > _POSITIONS_END:
        raise PeerError("a data frame with positions that no frame can carry on")
    return range(position, position + count)


def kind_of(parts: Received) -> Kind:
    """The kind of any frame. Raises PeerError if it is no frame of this version."""
    if not parts or len(parts[0]) < 2:
        raise PeerError("a frame without a header")
    if parts[0][0] != WIRE_VERSION:
        raise PeerError(f"a frame of wire version {parts[0][0]}; this is version {WIRE_VERSION}")
    try:
        return _KINDS[parts[0][1]]
    except KeyError as error:
        raise PeerError(f"a frame of unknown kind {parts[0][1]}") from error


def encode_open(opening: Open) -> Parts:
    o = opening
    facts = [o.token, o.node, o.instance, o.epoch, o.session, o.crashed, o.ownership]
    return [bytes((WIRE_VERSION, Kind.OPEN)), msgpack.packb(facts)]


def decode_open(parts: Received) -> Open:
    """Read an OPEN. Raises PeerError."""
    try:
        token, node, instance, epoch, session, crashed, ownership = msgpack.unpackb(bounded(parts[1]))
        texts = all(isinstance(t, str) for t in (token, node, instance))
        if not texts or len(crashed) > CONCURRENCY_MAX:
            raise PeerError("an opening with fields of other types")
        epoch, session, ownership = unsigned((epoch, session, ownership))
        hands = tuple(InHand(*unsigned(hand)) for hand in crashed)
        if any(hand.more >= FRAME_MESSAGES_MAX for hand in hands):
            raise PeerError("an opening with more messages in hand than a frame has")
        return Open(token, node, instance, epoch, session, hands, ownership)
    except (ValueError, TypeError, IndexError, msgpack.UnpackException) as error:
        raise PeerError(f"an opening cannot be read: {error}") from error


def encode_status(s: Status) -> Parts:
    head = _STATUS.pack(
        WIRE_VERSION, Kind.STATUS, _END_SEEN * s.end_seen | _WIDE * s.wide, len(s.ranges), s.session,
        s.granted_messages, s.granted_bytes, s.received, s.floor, s.settled, s.dead, s.dropped,
    )  # fmt: skip
    if s.ranges:
        head += array("Q", s.ranges).tobytes()
    return [head, msgpack.packb(s.partials)] if s.partials else [head]


def decode_status(parts: Received) -> Status:
    """Read a STATUS. Raises PeerError."""
    try:
        head = bounded(parts[0])
        _, _, flags, count, session, messages, size, received, floor, settled, dead, dropped = _STATUS.unpack_from(head)
        ranges = array("Q")
        ranges.frombytes(head[_STATUS.size :])
        if len(ranges) != count or count % 2:
            raise PeerError(f"a status of {len(ranges)} range bounds that announces {count}")
        partials = (
            tuple((unsigned((seq,))[0], unsigned(flat)) for seq, flat in msgpack.unpackb(bounded(parts[1])))
            if len(parts) > 1
            else ()
        )
        return Status(
            session, messages, size, received, floor, settled, dead, dropped, ranges.tolist(), partials,
            bool(flags & _END_SEEN), bool(flags & _WIDE),
        )  # fmt: skip
    except (struct.error, ValueError, TypeError, msgpack.UnpackException) as error:
        raise PeerError(f"a status cannot be read: {error}") from error


def encode_short(kind: Kind, session: int) -> Parts:
    """CLOSE, REFUSED, END (of which `session` is its sequence number), or a PULSE of one session."""
    return [_SHORT.pack(WIRE_VERSION, kind, 0, 0, session)]


def decode_short(parts: Received) -> int:
    """The number in a short frame. Raises PeerError."""
    try:
        return int(_SHORT.unpack(parts[0])[4])
    except struct.error as error:
        raise PeerError(f"a short frame cannot be read: {error}") from error


def unsigned(values: Collection[object]) -> tuple[int, ...]:
    """Numbers of a peer, of which none may be negative: they could neither be sent on nor counted with.

    Raises PeerError.
    """
    numbers = tuple(n for n in values if isinstance(n, int) and n >= 0)
    if len(numbers) != len(values):
        raise PeerError("a frame with values in the place of numbers")
    return numbers


def bounded(part: bytes | memoryview) -> bytes | memoryview:
    """A part of a control frame. Raises PeerError if it is too large to be one."""
    if len(part) > CONTROL_FRAME_BYTES_MAX:
        raise PeerError(f"a control frame of {len(part)} bytes is over the limit of {CONTROL_FRAME_BYTES_MAX}")
    return part
