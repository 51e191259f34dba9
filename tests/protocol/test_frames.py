"""Frames and bytes: what was encoded comes back, and nothing that a peer may send raises anything but PeerError."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.errors import PeerError
from streamer.limits import CONTROL_FRAME_BYTES_MAX, FRAME_MESSAGES_MAX, PARTS_MAX
from streamer.protocol.codec import join
from streamer.protocol.floors import decode_floors, encode_floors
from streamer.protocol.frames import (
    WIRE_VERSION,
    InHand,
    Kind,
    Open,
    Status,
    decode_data,
    decode_open,
    decode_short,
    decode_status,
    encode_data,
    encode_open,
    encode_short,
    encode_status,
    kind_of,
)
from streamer.protocol.segment import Segment
from streamer.protocol.tapping import Tap, decode_tap, encode_tap
from tests.protocol.messages import U64_MAX, segment, segments, u64

Parts = list[bytes]

runs_of_segments = st.lists(segments(), min_size=1, max_size=6)

openings = st.builds(
    Open,
    token=st.text(max_size=8),
    node=st.text(max_size=8),
    instance=st.text(max_size=8),
    epoch=u64,
    session=u64,
    ownership=u64,
    crashed=st.lists(st.builds(InHand, u64, u64, u64, st.integers(0, FRAME_MESSAGES_MAX - 1)), max_size=3).map(tuple),
)

ranges = st.lists(u64, max_size=6).map(lambda bounds: bounds[: len(bounds) // 2 * 2])
statuses = st.builds(
    Status,
    session=u64,
    granted_messages=u64,
    granted_bytes=u64,
    received=u64,
    floor=u64,
    settled=u64,
    dead=u64,
    dropped=u64,
    ranges=ranges,
    partials=st.lists(st.tuples(u64, st.lists(u64, max_size=4).map(tuple)), max_size=3).map(tuple),
    end_seen=st.booleans(),
    wide=st.booleans(),
)

taps = st.builds(
    Tap,
    token=st.text(max_size=8),
    node=st.text(max_size=8),
    number=u64,
    taken_messages=u64,
    taken_bytes=u64,
    over=st.booleans(),
)


def body_of(count: int) -> bytes:
    return join([b"\x01"] * count)


def encoded(of: list[Segment], sequence: int = 1, redelivered: bool = False) -> Parts:
    count = sum(map(len, of))
    return encode_data(sequence, of, count, body_of(count), redelivered)


@given(runs_of_segments, u64, st.booleans())
def test_a_data_frame_comes_back_as_it_was(of: list[Segment], sequence: int, redelivered: bool) -> None:
    parts = encoded(of, sequence, redelivered)
    found = decode_data(parts)
    assert kind_of(parts) is Kind.DATA
    assert found.segments == of
    assert (found.sequence, found.redelivered, found.body) == (sequence, redelivered, parts[1])
    assert found.count == sum(map(len, of))
    assert len(parts) <= PARTS_MAX


def test_positions_with_holes_may_lie_anywhere() -> None:
    far = segment([U64_MAX, 3, U64_MAX - 1])
    assert decode_data(encoded([far])).segments == [far]


def test_a_frame_of_one_run_is_a_header_of_48_bytes_and_a_body() -> None:
    parts = encoded([segment(range(5, 5 + FRAME_MESSAGES_MAX))])
    assert [len(part) for part in parts] == [48, len(body_of(FRAME_MESSAGES_MAX))]


@given(openings)
def test_an_opening_comes_back_as_it_was(opening: Open) -> None:
    parts = encode_open(opening)
    assert kind_of(parts) is Kind.OPEN
    assert decode_open(parts) == opening


@given(statuses)
def test_a_status_comes_back_as_it_was(status: Status) -> None:
    parts = encode_status(status)
    assert kind_of(parts) is Kind.STATUS
    assert decode_status(parts) == status


@given(taps)
def test_a_tap_comes_back_as_it_was(tap: Tap) -> None:
    parts = encode_tap(tap)
    assert kind_of(parts) is Kind.TAP
    assert decode_tap(parts) == tap


@pytest.mark.parametrize("kind", [Kind.PULSE, Kind.CLOSE, Kind.REFUSED, Kind.END])
def test_a_short_frame_carries_one_number(kind: Kind) -> None:
    parts = encode_short(kind, U64_MAX)
    assert kind_of(parts) is kind
    assert decode_short(parts) == U64_MAX


# -- bytes that no instance of ours has sent --------------------------------------------------------------------------

DECODERS: dict[Kind, Callable[[Parts], Any]] = {
    Kind.OPEN: decode_open,
    Kind.STATUS: decode_status,
    Kind.DATA: decode_data,
    Kind.PULSE: decode_short,
    Kind.CLOSE: decode_short,
    Kind.REFUSED: decode_short,
    Kind.END: decode_short,
    Kind.TAP: decode_tap,
    Kind.FLOORS: decode_floors,
}


def read(parts: Parts) -> Any:
    """Read a frame as an instance does; None if it is refused in the proper way."""
    try:
        return DECODERS[kind_of(parts)](parts)
    except PeerError:
        return None


def check(found: Any) -> None:
    """What was read can be sent on by whoever read it."""
    match found:
        case Open():
            assert decode_open(encode_open(found)) == found
            encode_short(Kind.REFUSED, found.session)
        case Status():
            assert decode_status(encode_status(found)) == found
        case Tap():
            assert decode_tap(encode_tap(found)) == found
            encode_short(Kind.REFUSED, found.number)
        case dict():
            assert decode_floors(encode_floors(found)) == found
        case int():
            encode_short(Kind.END, found)
        case None:
            pass
        case _:
            assert sum(map(len, found.segments)) == found.count <= FRAME_MESSAGES_MAX
            encode_data(found.sequence, found.segments, found.count, found.body, found.redelivered)


frames = st.one_of(
    runs_of_segments.map(encoded),
    openings.map(encode_open),
    statuses.map(encode_status),
    taps.map(encode_tap),
    st.sampled_from([Kind.PULSE, Kind.CLOSE, Kind.REFUSED, Kind.END]).map(lambda kind: encode_short(kind, 7)),
)


@given(frames, st.data())
def test_a_frame_that_is_cut_anywhere_is_refused_or_valid(parts: Parts, data: st.DataObject) -> None:
    which = data.draw(st.integers(0, len(parts) - 1))
    end = data.draw(st.integers(0, len(parts[which])))
    check(read([*parts[:which], parts[which][:end], *parts[which + 1 :]]))
    check(read(parts[:which]))


@given(frames, st.data())
def test_a_frame_with_any_bytes_changed_is_refused_or_valid(parts: Parts, data: st.DataObject) -> None:
    which = data.draw(st.integers(0, len(parts) - 1))
    changed = bytearray(parts[which])
    for _ in range(data.draw(st.integers(1, 4))):
        if changed:
            changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    check(read([*parts[:which], bytes(changed), *parts[which + 1 :]]))


@given(st.sampled_from(Kind), st.lists(st.binary(max_size=80), max_size=5))
def test_any_bytes_behind_a_header_are_refused_or_valid(kind: Kind, tail: Parts) -> None:
    head, *rest = tail or [b""]
    check(read([bytes((1, kind)) + head, *rest]))


strange = st.recursive(
    st.one_of(st.none(), st.integers(-(1 << 63), U64_MAX), st.floats(), st.text(max_size=3), st.booleans()),
    lambda inner: st.one_of(st.lists(inner, max_size=6), st.dictionaries(st.text(max_size=2), inner, max_size=3)),
    max_leaves=12,
)


@given(st.one_of(strange, st.lists(strange, min_size=6, max_size=6)))
def test_an_opening_of_any_values_is_refused_or_valid(facts: object) -> None:
    check(read([bytes((1, Kind.OPEN)), msgpack.packb(facts)]))


@given(st.one_of(strange, st.lists(strange, min_size=6, max_size=6)))
def test_a_tap_of_any_values_is_refused_or_valid(facts: object) -> None:
    check(read([bytes((1, Kind.TAP)), msgpack.packb(facts)]))


@given(strange, st.lists(st.tuples(strange, st.lists(strange, max_size=3)), max_size=3))
def test_partials_of_any_values_are_refused_or_valid(partials: object, pairs: object) -> None:
    head = encode_status(Status(1, 2, 3, 4, 5, 6, 7))[0]
    check(read([head, msgpack.packb(partials)]))
    check(read([head, msgpack.packb(pairs)]))


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([], id="no part"),
        pytest.param([b""], id="an empty part"),
        pytest.param([bytes((WIRE_VERSION + 1, 6))], id="another version"),
        pytest.param([bytes((WIRE_VERSION, 0x63))], id="an unknown kind"),
    ],
)
def test_what_is_no_frame_of_this_version_is_refused(parts: Parts) -> None:
    with pytest.raises(PeerError):
        kind_of(parts)


def test_an_opening_with_a_negative_session_is_refused() -> None:
    # It could not even be answered: numbers of sessions travel unsigned.
    with pytest.raises(PeerError):
        decode_open([b"\x01\x01", msgpack.packb(["token", "node", "node-0", 1, -1, None])])


@pytest.mark.parametrize("partials", [[[math.inf, [0, 1]]], [[1, [math.nan]]], [[1, [-1, 0]]], [[1, 2]], [["1", "23"]]])
def test_partials_that_are_no_numbers_are_refused(partials: object) -> None:
    head = encode_status(Status(1, 2, 3, 4, 5, 6, 7))[0]
    with pytest.raises(PeerError):
        decode_status([head, msgpack.packb(partials)])


def test_a_body_of_another_count_than_the_header_says_is_refused() -> None:
    head, _ = encoded([segment(range(3))])
    with pytest.raises(PeerError):
        decode_data([head, body_of(2)])


def test_positions_beyond_64_bits_are_refused() -> None:
    head, body = encode_data(1, [segment(range(U64_MAX, U64_MAX + 1))], 2, body_of(2), False)
    with pytest.raises(PeerError):
        decode_data([head, body])


def test_a_control_frame_over_its_limit_is_refused_unread() -> None:
    with pytest.raises(PeerError, match="over the limit"):
        decode_open([b"\x01\x01", bytes(CONTROL_FRAME_BYTES_MAX + 1)])
