"""Large buffers travel beside their message, uncopied where nobody can change them, and arrays keep type and shape."""

from __future__ import annotations

from array import array
from typing import Any

import msgpack
import pytest

from streamer.errors import MessageError, PeerError
from streamer.limits import BUFFERS_MAX, FRAME_MESSAGES_MAX, LARGE_BYTES
from streamer.protocol.account import EdgeCounts
from streamer.protocol.buffers import ARRAY, BUFFER, Bulky
from streamer.protocol.chunk import Chunk
from streamer.protocol.codec import careful, join, pack_message, packer, payload_bytes, unpack, unpack_one
from streamer.protocol.edge import Edge
from streamer.protocol.frames import decode_data
from streamer.protocol.input_frame import InputFrame
from streamer.protocol.session import ReceivingSession
from tests.protocol.messages import segment

LARGE = bytes(range(256)) * (LARGE_BYTES // 256)


def sent(value: object) -> tuple[bytes, list[Any], list[Any]]:
    """The packed message, the parts of its frame, and the messages that a consumer finds in them."""
    blob = pack_message(packer(), value)
    edge = Edge(EdgeCounts("b"))
    edge.append(Chunk([blob], segment(range(1)), None, (), len(blob)))
    frame = edge.cut(10)
    assert frame is not None
    parts = frame.encode()
    data = decode_data(parts)
    received = InputFrame(ReceivingSession(1, "a", False, lambda _count: None), data, 0.0)
    assert received.size == frame.size == len(blob)
    return blob, parts, unpack(received.body, received.buffers)


@pytest.mark.parametrize(
    "wrap",
    [lambda b: b, lambda b: {"data": b}, lambda b: [1, (b, {"x": [b]}), "text"], lambda b: {"a": b, "b": b[:-1]}],
    ids=["alone", "in-a-map", "nested-twice", "beside-a-small-one"],
)
def test_large_bytes_come_back_as_they_were(wrap: Any) -> None:
    value = wrap(LARGE)
    blob, parts, [found] = sent(value)

    assert isinstance(blob, Bulky)
    assert found == msgpack.unpackb(msgpack.packb(value))
    assert unpack_one(blob) == found
    assert any(part is LARGE for part in parts)
    assert len(parts[1]) < len(LARGE) + 100


def test_a_careful_packer_packs_nothing_in_vain_to_find_that_a_message_is_large_or_too_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("streamer.protocol.codec.MESSAGE_BYTES_MAX", 3 * LARGE_BYTES)
    pack, sizes = packer(), []

    def watched(value: object) -> bytes:
        sizes.append(len(blob := pack(value)))
        return blob

    assert len(careful(watched)({"data": LARGE})) > LARGE_BYTES
    with pytest.raises(MessageError, match="larger than the limit"):
        careful(watched)({"data": [LARGE, LARGE, LARGE]})

    assert max(sizes) < 100


def test_small_bytes_stay_inside_their_message() -> None:
    blob, parts, [found] = sent({"data": LARGE[:-1], "more": "x" * LARGE_BYTES})

    assert len(parts) == 2
    assert len(parts[1]) > len(blob)
    assert found["data"] == LARGE[:-1]


@pytest.mark.parametrize("kind", [bytearray, lambda b: memoryview(bytearray(b))], ids=["bytearray", "memoryview"])
def test_what_its_owner_can_change_is_as_it_was_when_it_was_sent(kind: Any) -> None:
    value = kind(LARGE)
    blob = pack_message(packer(), value)
    value[0] = 255

    assert unpack_one(blob) == LARGE


@pytest.mark.parametrize("count", [3, LARGE_BYTES], ids=["small", "large"])
def test_arrays_keep_their_type(count: int) -> None:
    numbers = array("d", range(count))
    _, parts, [found] = sent({"numbers": numbers, "n": count})

    assert found["numbers"].tolist() == numbers.tolist()
    assert found["n"] == count
    assert (len(parts) > 2) == (count > 3)


@pytest.mark.parametrize("count", [10, LARGE_BYTES])
def test_arrays_that_arrive_cannot_be_written_to_whatever_their_size(count: int) -> None:
    import numpy

    _, _, [found] = sent(numpy.zeros(count))

    with pytest.raises(ValueError, match="read-only"):
        found[0] = 7


@pytest.mark.parametrize("count", [1, LARGE_BYTES])
def test_an_array_of_records_is_refused_because_its_fields_would_be_lost(count: int) -> None:
    import numpy

    with pytest.raises(MessageError, match="an array of records"):
        pack_message(packer(), numpy.zeros(count, dtype=[("a", "i4"), ("b", "f8")]))


@pytest.mark.parametrize(
    ("value", "why"),
    [(1 << 64, "an integer of more than 64 bits"), (object(), "a value of type object, which msgpack has no form for")],
)
def test_what_cannot_be_packed_is_told(value: object, why: str) -> None:
    with pytest.raises(MessageError, match=why):
        pack_message(packer(), {"a": [value]})


def test_arrays_keep_their_shape() -> None:
    grid = memoryview(array("i", range(6))).cast("B").cast("i", [2, 3])
    packed = packer()([1, array("i")])

    assert unpack_one(packer()(msgpack.ExtType(ARRAY, msgpack.packb(["<i4", [2, 3], grid.tobytes()])))).tolist() == [
        [0, 1, 2],
        [3, 4, 5],
    ]
    assert len(unpack_one(packed)[1]) == 0


def test_beyond_so_many_buffers_they_are_packed() -> None:
    value = [LARGE] * (BUFFERS_MAX + 2)
    _, parts, [found] = sent(value)

    assert found == value
    assert len(parts) == 2 + BUFFERS_MAX + 1


def test_a_message_over_the_limit_is_told_with_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamer.protocol.codec.MESSAGE_BYTES_MAX", 10 * LARGE_BYTES)
    pack = packer()

    assert len(pack_message(pack, [LARGE] * 9)) < 10 * LARGE_BYTES
    with pytest.raises(MessageError, match=r"larger than the limit of \d+ \(MESSAGE_BYTES_MAX\)"):
        pack_message(pack, [LARGE] * 10)


def test_extensions_of_the_user_stay_what_they_are() -> None:
    mine = msgpack.ExtType(5, b"x" * LARGE_BYTES)
    foreign = [msgpack.ExtType(code, data) for code in (ARRAY, BUFFER) for data in (b"", b"\x05", b"\xc1")]

    assert sent([mine, *foreign])[2] == [[mine, *foreign]]


@pytest.mark.parametrize("spoil", [lambda p: p[:-1], lambda p: [*p[:-1], b"\x09\x00"], lambda p: [*p[:-1], b""]])
def test_a_frame_that_announces_other_buffers_is_refused(spoil: Any) -> None:
    _, parts, _ = sent(LARGE)

    with pytest.raises(PeerError):
        decode_data(spoil(parts))


def test_a_large_message_travels_alone_where_a_frame_would_have_room_for_others() -> None:
    pack = packer()
    messages = [1, {"data": LARGE}, 2, {"data": LARGE}, {"data": LARGE}, 3]
    blobs = [pack_message(pack, message) for message in messages]
    edge = Edge(EdgeCounts("save"))
    for first, last in ((0, 3), (3, 4), (4, 6)):
        own = blobs[first:last]
        edge.append(Chunk(own, segment(range(first, last)), None, (), sum(map(len, own))))

    frames = []
    while (frame := edge.cut(FRAME_MESSAGES_MAX)) is not None:
        data = decode_data(frame.encode())
        frames.append(unpack(data.body, data.buffers))

    assert frames == [[message] for message in messages]


def test_a_redelivered_large_message_is_whole_again() -> None:
    blob = pack_message(packer(), {"data": LARGE})
    chunk = Chunk([blob, packer()(1)], segment(range(2)), None, (), len(blob) + 1)

    piece = chunk.cut(0, 1)

    assert piece.size == len(blob) > LARGE_BYTES
    assert unpack_one(piece.blobs[0]) == {"data": LARGE}
    assert payload_bytes(join(piece.blobs), 1) < 100
