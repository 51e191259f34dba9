"""Repeat marks: which messages a node has handled, so that one that comes again is known.

Delivery at least once means that a message may come again when an instance dies or a session ends. A node whose effects
are to count once keeps the ids of what it has handled, and keeps them with those effects, in one transaction. Ids that
differ only in their position share a set of ranges, so that a steady stream costs one number; holes, which filters
leave, cost two each until the origin says that all below its floor is settled: what comes from there is a repeat
whatever its way, since nothing that is settled is sent again but by somebody who has slept through it.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Sequence

import msgpack

from streamer.errors import StateError
from streamer.protocol.segment import Segment
from streamer.protocol.settlement import RangeSet, intervals

_REWRITE_BYTES = 64 * 1024
"""Changes are appended to what was kept; once they are several times larger than the whole, it is kept anew."""
_REWRITE_RATIO = 4
_RANGE_BYTES = 16

Runs = list[int]
"""Flat half-open ranges of positions, in the order in which they were added."""


class Marks:
    """The marks of one instance. `take` gives what has changed since it was asked last."""

    def __init__(self) -> None:
        self._sets: dict[int, dict[int, RangeSet]] = {}
        self._floors: dict[int, int] = {}
        self._news: dict[tuple[int, int], Runs] = {}
        self._new_floors: dict[int, int] = {}
        self._appended = 0
        self._anew = False

    # -- what is known -------------------------------------------------------------------------------------------------

    def repeats(self, segment: Segment) -> list[int]:
        """The indexes of those of its messages that were handled before; empty, nearly always."""
        positions = segment.positions
        if segment.hashes is None:
            done = self._set(segment.origin, segment.hash)
            if min(positions[0], positions[-1]) >= (done.ranges[-1] if done.ranges else done.floor):
                return []
            return [index for index, position in enumerate(positions) if position in done]
        return [
            index
            for index, (position, hash_) in enumerate(zip(positions, segment.hashes, strict=True))
            if position in self._set(segment.origin, hash_)
        ]

    def _set(self, origin: int, hash_: int) -> RangeSet:
        sets = self._sets.setdefault(origin, {})
        found = sets.get(hash_)
        if found is None:
            found = sets[hash_] = RangeSet(self._floors.get(origin, 0))
        return found

    # -- what happens --------------------------------------------------------------------------------------------------

    def add(self, segment: Segment, without: Collection[int] = ()) -> None:
        """Its messages are handled, other than those of these indexes."""
        if without:
            for start, end in intervals([index for index in range(len(segment)) if index not in without]):
                self.add(segment.cut(start, end))
        elif segment.hashes is None:
            self._add(segment.origin, segment.hash, segment.positions)
        else:
            for position, hash_ in zip(segment.positions, segment.hashes, strict=True):
                self._add(segment.origin, hash_, (position,))

    def _add(self, origin: int, hash_: int, positions: Sequence[int]) -> None:
        done = self._set(origin, hash_)
        news = self._news.setdefault((origin, hash_), [])
        for start, end in intervals(positions):
            done.add(start, end)
            if news and news[-1] == start:
                news[-1] = end
            else:
                news += (start, end)

    def settled_below(self, origin: int, floor: int) -> None:
        """All messages of this origin below this position are settled, wherever they went."""
        if floor <= self._floors.get(origin, 0):
            return
        self._floors[origin] = self._new_floors[origin] = floor
        sets = self._sets.get(origin, {})
        for hash_, done in list(sets.items()):
            done.add(0, floor)
            if not done.ranges and done.floor <= floor:
                del sets[hash_]

    # -- bytes ---------------------------------------------------------------------------------------------------------

    def take(self) -> tuple[bytes, bool]:
        """What is to be kept now: changes, to be appended to what was kept before, or the whole (True) in its place."""
        if not self._news and not self._new_floors and not self._anew:
            return b"", False
        changes = _encoded(self._news.items(), self._new_floors)
        self._news, self._new_floors = {}, {}
        self._appended += len(changes)
        if not self._anew and self._appended <= max(_REWRITE_BYTES, _REWRITE_RATIO * _RANGE_BYTES * self._ranges()):
            return changes, False
        self._appended, self._anew = 0, False
        return self.whole(), True

    def rewrite(self) -> None:
        """What was taken last was not kept: keep the whole the next time."""
        self._anew = True

    def _ranges(self) -> int:
        return sum(1 + len(done.ranges) // 2 for sets in self._sets.values() for done in sets.values())

    def whole(self) -> bytes:
        """All of it."""
        runs = (
            ((origin, hash_), [0, done.floor, *done.ranges])
            for origin, sets in self._sets.items()
            for hash_, done in sets.items()
        )
        return _encoded(runs, self._floors)

    def restore(self, kept: Iterable[bytes]) -> None:
        """Know what was kept, in this order, beside what is known. Raises StateError."""
        for encoded in kept:
            try:
                sets, floors = msgpack.unpackb(encoded, strict_map_key=False)
                for origin, hash_, packed in sets:
                    flat = array("Q")
                    flat.frombytes(packed)
                    done = self._set(origin, hash_)
                    for start, end in zip(flat[::2], flat[1::2], strict=True):
                        done.add(start, end)
                for origin, floor in floors.items():
                    self.settled_below(origin, floor)
            except (ValueError, TypeError, AttributeError, msgpack.UnpackException) as error:
                raise StateError(f"repeat marks cannot be read: {error}") from error
        self._news, self._new_floors = {}, {}


def _encoded(sets: Iterable[tuple[tuple[int, int], Runs]], floors: dict[int, int]) -> bytes:
    packed: bytes = msgpack.packb(
        [[[origin, hash_, array("Q", runs).tobytes()] for (origin, hash_), runs in sets], floors]
    )
    return packed
