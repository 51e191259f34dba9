"""Headers and columns of data frames: what a frame costs beside its body.

A plain frame is one segment; a mixed one has four, two of them with positions and hashes of their own, as behind a
node that filters and a node that sends several messages for one.
"""

from __future__ import annotations

from benchmarks.micro.timing import FRAME, PAYLOAD_BYTES, Case
from streamer.protocol.codec import join
from streamer.protocol.frames import decode_data, encode_data
from streamer.protocol.segment import Segment

_ORIGIN = 7


def _segments() -> list[Segment]:
    quarter = FRAME // 4
    odd = list(range(1, 2 * quarter, 2))
    return [
        Segment(_ORIGIN, range(quarter), 5, None, 1, 0, 0),
        Segment(_ORIGIN, odd, 5, None, 1, 0, 0),
        Segment(_ORIGIN + 1, range(quarter), 0, list(range(quarter)), 1, 0, 0),
        Segment(_ORIGIN + 1, odd, 0, odd, 1, 0, 0),
    ]


def cases() -> dict[str, Case]:
    body = join([bytes(PAYLOAD_BYTES)] * FRAME)
    plain, mixed = [Segment(_ORIGIN, range(FRAME), 5, None, 1, 0, 0)], _segments()
    plain_parts = encode_data(1, plain, FRAME, body, False)
    mixed_parts = encode_data(1, mixed, FRAME, body, False)
    return {
        "encode a plain frame": Case(lambda: encode_data(1, plain, FRAME, body, False)),
        "encode a mixed frame": Case(
            lambda: encode_data(1, mixed, FRAME, body, False), reference="encode a plain frame"
        ),
        "decode a plain frame": Case(lambda: decode_data(plain_parts)),
        "decode a mixed frame": Case(lambda: decode_data(mixed_parts), reference="decode a plain frame"),
    }
