"""Roots in an entry log come back as they were: ids, time, headers, position, version, and every byte of them."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from streamer.limits import FRAME_MESSAGES_MAX, LARGE_BYTES
from streamer.protocol.codec import Joined, join, pack_large, packer, unpack_one
from streamer.protocol.entry import LoggedRoots, decode_roots, encode_roots
from streamer.protocol.segment import Segment
from tests.protocol.messages import blobs, segments


def again(*entries: LoggedRoots) -> list[LoggedRoots]:
    return list(decode_roots(b"".join(part for entry in entries for part in encode_roots(*entry))))


def messages(entries: Sequence[LoggedRoots]) -> list[object]:
    return [unpack_one(blob) for entry in entries for blob in entry.blobs]


@given(st.lists(st.tuples(st.integers(1, 2**32 - 1), segments()), max_size=4), st.booleans())
def test_what_was_logged_is_read_again(facts: list[tuple[int, Segment]], joined: bool) -> None:
    entries = []
    for version, segment in facts:
        packed = blobs([f"message {n}" for n in range(len(segment))])
        entries.append(LoggedRoots(version, segment, Joined(join(packed), len(packed)) if joined else packed))

    read = again(*entries)

    assert [(one.version, one.segment) for one in read] == [(one.version, one.segment) for one in entries]
    assert messages(read) == messages(entries)


def test_headers_are_kept() -> None:
    segment = Segment(9, range(3), 1, None, 0, 0, 5, headers=[None, packer()({"trace": 7}), None])

    (read,) = again(LoggedRoots(1, segment, blobs([1, 2, 3])))

    assert read.segment == segment


def test_large_buffers_are_beside_their_message_again() -> None:
    values = [b"small", {"data": b"x" * LARGE_BYTES}, "behind"]
    packed = [pack_large(packer(), value) for value in values]

    read = again(LoggedRoots(1, Segment(9, range(3), 1, None, 0, 0, 5), packed))

    assert messages(read) == values
    assert [list(one.segment.positions) for one in read] == [[0], [1], [2]]


def test_more_messages_than_a_frame_holds_are_several_entries() -> None:
    count = 2 * FRAME_MESSAGES_MAX + 1

    read = again(LoggedRoots(1, Segment(9, range(count), 1, None, 0, 0, 5), blobs(list(range(count)))))

    assert [len(one.blobs) for one in read] == [FRAME_MESSAGES_MAX, FRAME_MESSAGES_MAX, 1]
    assert messages(read) == list(range(count))
