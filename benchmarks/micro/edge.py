"""An edge at its producer: from the append of a chunk to its settlement, with the account kept.

Chunks are as large as frames in the best case; cutting them in four is what a slow consumer's grants do.
"""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.micro.timing import FRAME, PAYLOAD_BYTES, Case
from streamer.protocol.account import EdgeCounts
from streamer.protocol.chunk import Chunk
from streamer.protocol.edge import Edge
from streamer.protocol.segment import Segment


def _passage(cut: int) -> Callable[[], None]:
    edge = Edge(EdgeCounts("sink"))
    blobs = [bytes(PAYLOAD_BYTES)] * FRAME
    size = PAYLOAD_BYTES * FRAME
    begin = 0

    def passage() -> None:
        nonlocal begin
        roots = Segment(7, range(begin, begin + FRAME), 5, None, 1, 0, 0)
        edge.append(Chunk(blobs, roots, None, (), size, again=True))
        begin += FRAME
        flying = []
        while (frame := edge.cut(cut)) is not None:
            edge.fly(frame)
            frame.encode()
            flying.append(frame)
        for frame in flying:
            edge.settle(frame)

    return passage


def cases() -> dict[str, Case]:
    return {
        "append, cut, encode, settle": Case(_passage(FRAME)),
        "the same in four frames": Case(_passage(FRAME // 4), reference="append, cut, encode, settle"),
    }
