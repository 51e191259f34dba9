"""Packing what a source has read: a whole batch by one call, which costs half of packing its messages one by one.

Nobody changes the values of a batch, unlike what an algorithm sends, so nothing is gained by packing each for itself:
until one of them cannot travel, or is so large that its buffers go beside it. Only then each is looked at. Whoever has
read a record decides what becomes of it if it cannot travel; here it only leaves a hole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from streamer.connectors.base import Records
from streamer.errors import MessageError
from streamer.limits import FRAME_MESSAGES_MAX, LARGE_BYTES
from streamer.protocol.codec import PACK_ERRORS, Joined, pack_large, packer

GiveUp = Callable[[int, object, MessageError], None]
"""Takes position and value of a record that cannot travel, and why."""


class RecordPacking:
    """Of one source: it expects messages of the size of the last ones."""

    def __init__(self) -> None:
        self._pack = packer()
        self._large = False
        self._message_bytes = 0.0

    def packed(self, records: Records, give_up: GiveUp) -> tuple[Sequence[bytes], Sequence[int]]:
        """Packed messages with their positions, without those that were given up."""
        if not self._large:
            try:
                if (packed := self._at_once(records.values)) is not None:
                    return packed, records.positions
            except PACK_ERRORS:
                pass  # which of them it was is found one by one, as are large ones, which are packed another way
        pack = self._pack
        blobs, kept = [], []
        for position, value in zip(records.positions, records.values, strict=True):
            try:
                blobs.append(pack_large(pack, value))
                kept.append(position)
            except MessageError as error:
                give_up(position, value, error)
        self._large = max(map(len, blobs), default=0) >= LARGE_BYTES
        return blobs, kept

    def _at_once(self, values: Sequence[object]) -> Sequence[bytes] | None:
        """Nobody changes these values meanwhile, so one call can pack all of them; None if some are large.

        It cannot be seen of a body of this size whether one of its messages is. Raises one of `PACK_ERRORS`.
        """
        expected = len(values) * self._message_bytes
        if expected < LARGE_BYTES and type(values) is list and 0 < len(values) <= FRAME_MESSAGES_MAX:
            body = self._pack(values)
            self._message_bytes = len(body) / len(values)
            if len(body) < LARGE_BYTES:
                return Joined(body, len(values))
        blobs = list(map(self._pack, values))
        size = sum(map(len, blobs))
        self._message_bytes = size / max(1, len(blobs))
        return blobs if size < LARGE_BYTES or max(map(len, blobs)) < LARGE_BYTES else None
