"""The producing end of an edge into a partitioned node: a queue for each owner of keys, and one account for all.

Each message waits for the one instance that owns the group of its key, so a slow owner holds back what is its own and
nothing else, and what a session held goes back to the head of the queue from which it came: the order of a key is that
of one queue, redeliveries included. When groups change hands, all sessions have ended and all that was on its way waits
again; then the queues are divided anew, group by group, which keeps the order within each. To find a key, a message is
unpacked by its producer, which costs about a microsecond, on such edges only; its group is kept beside it in one byte.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from streamer.errors import NoKeyError
from streamer.limits import KEY_GROUPS
from streamer.protocol.account import EdgeCounts
from streamer.protocol.chunk import Chunk, Parent
from streamer.protocol.codec import UNPACK_ERRORS, BadBody, Joined, unpack, unpack_each, unpack_one
from streamer.protocol.edge import Edge
from streamer.protocol.identity import MessageId
from streamer.protocol.keys import KeyPath, owner_of
from streamer.protocol.segment import Segment
from streamer.protocol.settlement import Barrier
from streamer.protocol.suspects import Suspects


class KeyedChunk(Chunk):
    """`groups[i]` is the key group of the i-th message."""

    __slots__ = ("groups",)

    def __init__(
        self,
        blobs: Sequence[bytes],
        segment: Segment,
        parent: Parent | None,
        indexes: Sequence[int],
        size: int,
        redelivered: bool = False,
        *,
        again: bool = False,
        groups: bytes,
    ) -> None:
        super().__init__(blobs, segment, parent, indexes, size, redelivered, again=again)
        self.groups = groups

    @classmethod
    def of(cls, chunk: Chunk, groups: bytes) -> KeyedChunk:
        c = chunk
        return cls(c.blobs, c.segment, c.parent, c.indexes, c.size, c.redelivered, again=c.again, groups=groups)

    def cut(self, start: int, end: int) -> KeyedChunk:
        return self.of(super().cut(start, end), self.groups[start:end])

    def pick(self, indexes: Sequence[int]) -> KeyedChunk:
        """Those messages of it, ascending."""
        groups = self.groups
        return self.of(picked(self, indexes), bytes([groups[i] for i in indexes]))


def picked(chunk: Chunk, indexes: Sequence[int]) -> Chunk:
    """Those messages of a chunk, ascending."""
    all_blobs = chunk.blobs[:]
    blobs = [all_blobs[i] for i in indexes]
    parents = [chunk.indexes[i] for i in indexes] if chunk.indexes else ()
    size, segment = sum(map(len, blobs)), chunk.segment.pick(indexes)
    return Chunk(blobs, segment, chunk.parent, parents, size, chunk.redelivered, again=chunk.again)


class PartitionedEdge:
    """What an `Edge` is, over several queues: the i-th of `queues` is for the i-th owner of keys.

    A chunk is told its groups (`keyed`) before it is appended.
    """

    def __init__(self, counts: EdgeCounts, path: KeyPath) -> None:
        self.counts = counts
        self.target = counts.target
        self._path = path
        self._suspects = Suspects()
        self.queues = [Edge(counts, self._suspects)]
        self._owner_of = bytes(KEY_GROUPS)
        self._last: list[tuple[Edge, KeyedChunk]] = []

    # -- what is held --------------------------------------------------------------------------------------------------

    @property
    def pending_messages(self) -> int:
        return sum(queue.pending_messages for queue in self.queues)

    @property
    def pending_bytes(self) -> int:
        return sum(queue.pending_bytes for queue in self.queues)

    @property
    def flying_messages(self) -> int:
        return sum(queue.flying_messages for queue in self.queues)

    @property
    def held_bytes(self) -> int:
        return sum(queue.held_bytes for queue in self.queues)

    @property
    def queued_bytes(self) -> int:
        return sum(queue.queued_bytes for queue in self.queues)

    @property
    def idle(self) -> bool:
        return all(queue.idle for queue in self.queues)

    def held(self) -> Iterator[tuple[Chunk, int, int]]:
        for queue in self.queues:
            yield from queue.held()

    def unsettled_of(self, parents: set[Parent]) -> Iterator[tuple[Parent, int]]:
        for queue in self.queues:
            yield from queue.unsettled_of(parents)

    def wait_for_roots(self, barrier: Barrier) -> None:
        for queue in self.queues:
            queue.wait_for_roots(barrier)

    # -- keys ----------------------------------------------------------------------------------------------------------

    def keyed(self, chunk: Chunk) -> tuple[KeyedChunk | None, list[tuple[str, Chunk]]]:
        """The chunk with the groups of its messages (None if there are none left), and those that have no key by why
        not, which are in no queue."""
        bodies = _bodies(chunk.blobs)
        try:
            groups = bytes(self._path.groups(bodies))
        except NoKeyError:
            return self._sorted(chunk, bodies)
        return KeyedChunk.of(chunk, groups), []

    def _sorted(self, chunk: Chunk, bodies: Sequence[object]) -> tuple[KeyedChunk | None, list[tuple[str, Chunk]]]:
        groups: list[int] = []
        kept: list[int] = []
        lost: dict[str, list[int]] = {}
        for index, body in enumerate(bodies):
            try:
                groups.append(self._group(body))
                kept.append(index)
            except NoKeyError as error:
                lost.setdefault(str(error), []).append(index)
        keyed = KeyedChunk.of(picked(chunk, kept), bytes(groups)) if kept else None
        return keyed, [(why, picked(chunk, indexes)) for why, indexes in lost.items()]

    def _group(self, body: object) -> int:
        if isinstance(body, BadBody):
            raise NoKeyError(f"no key at {self._path.text!r}: the message cannot be read: {body.reason}")
        return self._path.group(body)

    def divide(self, owners: int) -> None:
        """Have so many queues, at least one. Nothing may be on its way: all sessions have ended.

        Each group lies in one queue and comes into one, so its messages keep their order; those of others may not.
        """
        waiting = [chunk for queue in self.queues for chunk in queue.surrender() if isinstance(chunk, KeyedChunk)]
        self.queues = [Edge(self.counts, self._suspects) for _ in range(owners)]
        self._last = []
        self._owner_of = bytes(owner_of(group, owners) for group in range(KEY_GROUPS))
        for chunk in waiting:
            for queue, piece in self._pieces(chunk):
                queue.put(piece)

    def _pieces(self, chunk: KeyedChunk) -> list[tuple[Edge, KeyedChunk]]:
        """The chunk by owner, in the order of its messages."""
        owners = chunk.groups.translate(self._owner_of)
        by_owner: dict[int, list[int]] = {owner: [] for owner in dict.fromkeys(owners)}
        if len(by_owner) == 1:
            return [(self.queues[owners[0]], chunk)]
        for index, owner in enumerate(owners):
            by_owner[owner].append(index)
        return [(self.queues[owner], chunk.pick(indexes)) for owner, indexes in by_owner.items()]

    # -- in ------------------------------------------------------------------------------------------------------------

    def append(self, chunk: Chunk) -> None:
        assert isinstance(chunk, KeyedChunk)
        self._last = self._pieces(chunk)
        for queue, piece in self._last:
            queue.append(piece)

    def refuse(self, chunk: Chunk) -> None:
        """Count messages that come into no queue: they are to be buried."""
        n = len(chunk.blobs)
        self.counts.sent += n
        self.counts.in_flight += n

    def withdraw(self, chunk: Chunk) -> None:  # noqa: ARG002  # it is in pieces
        last, self._last = self._last, []
        for queue, piece in last:
            queue.withdraw(piece)

    def bury(self, chunk: Chunk) -> None:
        self.queues[0].bury(chunk)

    # -- suspects ------------------------------------------------------------------------------------------------------

    def accuse(self, session: int, sequence: int, index: int, now: float) -> bool:
        return self._suspects.accuse(session, sequence, index, now)

    def accused_at(self, who: MessageId) -> float | None:
        return self._suspects.accused_at(who)

    def take_poison(self) -> list[Chunk]:
        return [chunk for queue in self.queues for chunk in queue.take_poison()]

    def take_repeat(self) -> list[Chunk]:
        last, self._last = self._last, []
        return [chunk for queue, _ in last for chunk in queue.take_repeat()]

    # -- overload ------------------------------------------------------------------------------------------------------

    def drop_oldest(self, messages: int, reason: str) -> int:
        """Drop at most this many, those of the fullest queue first."""
        dropped = 0
        for queue in sorted(self.queues, key=lambda queue: queue.pending_messages, reverse=True):
            dropped += queue.drop_oldest(messages - dropped, reason)
        return dropped

    def drop_to(self, bytes_max: int, reason: str) -> None:
        """Drop the oldest chunk of the fullest queue until the rest fits: it is that owner who is too slow."""
        while self.queued_bytes > bytes_max:
            fullest = max(self.queues, key=lambda queue: queue.queued_bytes)
            before = fullest.pending_messages
            fullest.drop_to(fullest.queued_bytes - 1, reason)
            if fullest.pending_messages == before:
                return

    def drop_newest(self, chunk: Chunk, reason: str) -> None:  # noqa: ARG002  # it is in pieces
        for queue, piece in self._last:
            queue.drop_newest(piece, reason)


AnyEdge = Edge | PartitionedEdge


def _bodies(blobs: Sequence[bytes]) -> Sequence[object]:
    """The messages; a `BadBody` in the place of each that cannot be read."""
    if isinstance(blobs, Joined):
        try:
            return unpack(blobs.body)
        except UNPACK_ERRORS:
            return unpack_each(blobs.body, len(blobs))
    return [_body(blob) for blob in blobs]


def _body(blob: bytes) -> object:
    try:
        return unpack_one(blob)
    except UNPACK_ERRORS as error:
        return BadBody(blob, f"{type(error).__name__}: {error}")
