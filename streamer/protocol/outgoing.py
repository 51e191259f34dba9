"""Messages on disk: what a node sends, written down before it leaves, so that its next life can send it again.

Their ids are the business of whoever numbers them, so a record holds the rest: the position from which they are sent,
hops, the time of their roots, headers, and the packed messages, large buffers behind the message that they belong to.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgpack

from streamer.errors import StateError
from streamer.protocol.buffers import Bulky
from streamer.protocol.codec import Joined, announces
from streamer.protocol.segment import Segment


def encode_outgoing(segment: Segment, blobs: Sequence[bytes]) -> bytes:
    """One record. Messages that lie in one body are written as that."""
    messages: object
    if isinstance(blobs, Joined):
        messages = blobs.body
    else:
        messages = [
            [bytes(blob), [bytes(part) for part in blob.buffers]] if isinstance(blob, Bulky) else blob for blob in blobs
        ]
    headers = None if segment.headers is None else list(segment.headers)
    packed: bytes = msgpack.packb([segment.route, segment.hops, segment.time_us, len(blobs), headers, messages])
    return packed


def decode_outgoing(record: bytes) -> tuple[Segment, Sequence[bytes]]:
    """The messages of a record; of its segment, origin and hash are 0 and positions count from 0. Raises StateError."""
    try:
        route, hops, time_us, count, headers, messages = msgpack.unpackb(record)
        blobs: Sequence[bytes]
        if isinstance(messages, bytes):
            if not announces(messages, count):
                raise ValueError(f"a body of another count than {count}")
            blobs = Joined(messages, count)
        else:
            blobs = [_bulky(*blob) if isinstance(blob, list) else blob for blob in messages]
        return Segment(0, range(count), 0, None, route, hops, time_us, headers), blobs
    except (ValueError, TypeError, IndexError, msgpack.UnpackException) as error:
        raise StateError(f"messages that were kept cannot be read: {error}") from error


def _bulky(blob: bytes, buffers: list[bytes]) -> Bulky:
    bulky = Bulky(blob)
    bulky.buffers = buffers
    return bulky
