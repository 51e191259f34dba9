"""The producing end of an edge: messages waiting for credit, messages waiting for settlement, and nothing in between.

A message is appended once, travels in frames that are cut at send time to what the receiver granted, and stays here
until it is settled; when a session ends, what it still held goes back to the head of the queue, flagged, for whoever
has credit. A message that was in hand when an instance died becomes a suspect: it travels alone, and after its third
death it is taken out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from streamer.limits import (
    FRAME_BYTES_MAX,
    FRAME_MESSAGES_MAX,
    MESSAGE_OVERHEAD_BYTES,
)
from streamer.protocol.account import DROP_REASONS, EdgeCounts
from streamer.protocol.buffers import Bulky
from streamer.protocol.chunk import Chunk, OutFrame, Parent
from streamer.protocol.identity import MessageId
from streamer.protocol.segment import Segment
from streamer.protocol.settlement import Barrier, RangeSet, intervals
from streamer.protocol.suspects import Suspects

_FULL_ENOUGH_BYTES, _FULL_ENOUGH_MESSAGES = FRAME_BYTES_MAX // 4, FRAME_MESSAGES_MAX // 4
"""Chunks are cut to fill a frame up to here and not beyond: a piece costs its receiver as much as a whole chunk, and
once one is cut to fill a frame, so are all that follow it."""


class Edge:
    """Queue, window and account of one edge at one producing instance."""

    def __init__(self, counts: EdgeCounts, suspects: Suspects | None = None) -> None:
        """Of several queues into one node, all share their counts and their suspects."""
        self.counts = counts
        self.target = counts.target
        self._pending: deque[Chunk] = deque()
        self._frames: set[OutFrame] = set()
        self.pending_messages = 0
        self.pending_bytes = 0
        self.flying_messages = 0
        self.flying_bytes = 0
        self._suspects = Suspects() if suspects is None else suspects

    @property
    def held_bytes(self) -> int:
        """Real memory of what waits for credit and of what waits for settlement."""
        messages = self.pending_messages + self.flying_messages
        return self.pending_bytes + self.flying_bytes + MESSAGE_OVERHEAD_BYTES * messages

    @property
    def queued_bytes(self) -> int:
        """Real memory of what waits for credit."""
        return self.pending_bytes + MESSAGE_OVERHEAD_BYTES * self.pending_messages

    @property
    def idle(self) -> bool:
        """Nothing waits, and all that was sent is settled."""
        return not self.pending_messages and not self.flying_messages

    # -- in ------------------------------------------------------------------------------------------------------------

    def append(self, chunk: Chunk) -> None:
        """Take messages over; the parent (if any) has already been told how many it must wait for."""
        n = len(chunk.blobs)
        self.counts.sent += n
        self.counts.in_flight += n
        self.put(chunk)

    def put(self, chunk: Chunk) -> None:
        """Take over messages that are counted already."""
        self._pending.append(chunk)
        self.pending_messages += len(chunk.blobs)
        self.pending_bytes += chunk.size

    def surrender(self) -> Iterable[Chunk]:
        """Give all that waits to another queue; it stays counted."""
        pending, self._pending = self._pending, deque()
        self.pending_messages = self.pending_bytes = 0
        return pending

    def withdraw(self, chunk: Chunk) -> None:
        """Take the chunk that was appended last out of the queue again: it is to be buried."""
        self._pending.pop()
        self.pending_messages -= len(chunk.blobs)
        self.pending_bytes -= chunk.size

    # -- out -----------------------------------------------------------------------------------------------------------

    def cut(self, messages: int) -> OutFrame | None:
        """Take the next frame of at most `messages` messages; one message is admitted whatever its size."""
        messages = min(messages, FRAME_MESSAGES_MAX)
        chunks: list[Chunk] = []
        count = size = 0
        while self._pending and count < messages:
            chunk = self._pending[0]
            if chunks and chunk.redelivered != chunks[0].redelivered:
                break
            full = size >= _FULL_ENOUGH_BYTES or count >= _FULL_ENOUGH_MESSAGES
            fit = self._fit(chunk, messages - count, FRAME_BYTES_MAX - size, only_whole=full)
            if fit == 0:
                if chunks:
                    break
                fit = 1
            whole = fit == len(chunk.blobs)
            if whole:
                self._pending.popleft()
            else:
                self._pending[0] = chunk.cut(fit, len(chunk.blobs))
                chunk = chunk.cut(0, fit)
            chunks.append(chunk)
            count += fit
            size += chunk.size
            if not whole or chunk.bulky or (self._suspects and self._suspects.first_in(chunk.segment) == 0):
                break
        if not chunks:
            return None
        self.pending_messages -= count
        self.pending_bytes -= size
        return OutFrame(chunks, count, size)

    def _fit(self, chunk: Chunk, messages: int, room: int, *, only_whole: bool) -> int:
        """How many of the chunk's first messages go into this frame: 0 if the next one must not, or not all of them."""
        if self._suspects and chunk.redelivered:
            suspect = self._suspects.first_in(chunk.segment)
            if suspect == 0:
                return 1 if messages and room == FRAME_BYTES_MAX else 0
            if suspect is not None:
                messages = min(messages, suspect)
        if len(chunk.blobs) <= messages and chunk.size <= room and not chunk.bulky:
            return len(chunk.blobs)
        if only_whole:
            return 0
        n = 0
        for blob in chunk.blobs[:messages]:
            room -= len(blob)
            if room < 0 or type(blob) is Bulky:
                break
            n += 1
        return n

    def fly(self, frame: OutFrame) -> None:
        """The frame has been given to a session."""
        if frame.chunks[0].redelivered:
            self.counts.redelivered += frame.count
        self._frames.add(frame)
        self.flying_messages += frame.count
        self.flying_bytes += frame.size

    def forget(self, frame: OutFrame) -> None:
        """The frame was sent at most once: nobody will acknowledge it, so it counts as settled."""
        self.counts.settled += frame.count
        self.counts.in_flight -= frame.count
        for chunk in frame.chunks:
            self._release(chunk, 0, len(chunk.blobs))

    # -- settlement ----------------------------------------------------------------------------------------------------

    def settle(self, frame: OutFrame) -> int:
        """All of a flying frame is settled; gives the number of messages that were not before."""
        if frame.done is None:
            n = frame.count
            for chunk in frame.chunks:
                self._release(chunk, 0, len(chunk.blobs))
            self._settled(n)
        else:
            n = frame.open
            self._settle_part(frame, frame.done, 0, frame.count)
        self._frames.discard(frame)
        self.flying_bytes -= frame.size
        return n

    def settle_partly(self, frame: OutFrame, flat: Sequence[int]) -> int:
        """Messages of a flying frame in these flat index ranges are settled; gives how many were not before."""
        done = frame.done = frame.done or RangeSet()
        return sum(
            self._settle_part(frame, done, start, min(end, frame.count))
            for start, end in zip(flat[::2], flat[1::2], strict=False)
        )

    def _settle_part(self, frame: OutFrame, done: RangeSet, start: int, end: int) -> int:
        n = 0
        for low, high in list(done.missing(start, end)):
            for chunk, first, last in frame.pieces(low, high):
                self._release(chunk, first, last)
            n += high - low
            done.add(low, high)
        self._settled(n)
        return n

    def _settled(self, messages: int) -> None:
        self.flying_messages -= messages
        self.counts.in_flight -= messages

    def _release(self, chunk: Chunk, start: int, end: int) -> None:
        if chunk.parent is not None:
            chunk.parent.settle(end - start)
        if chunk.again:
            for low, high in intervals(chunk.segment.positions[start:end]):
                self.counts.roots.add(low, high)

    # -- the end of a session ------------------------------------------------------------------------------------------

    def requeue(self, session: int, frames: Iterable[OutFrame]) -> None:
        """A session has ended: what it held and was not settled goes first, flagged, to whoever has credit."""
        kept: dict[int, list[Segment]] = {}
        back: list[Chunk] = []
        for frame in frames:
            self._frames.discard(frame)
            self.flying_bytes -= frame.size
            self.flying_messages -= frame.open
            kept[frame.sequence] = [chunk.segment for chunk in frame.chunks]
            for chunk, first, last in frame.unsettled():
                piece = chunk.cut(first, last)
                piece.redelivered = True
                back.append(piece)
        self.pending_messages += sum(len(chunk.blobs) for chunk in back)
        self.pending_bytes += sum(chunk.size for chunk in back)
        self._pending.extendleft(reversed(back))
        self._suspects.remember(session, kept)

    def accuse(self, session: int, sequence: int, index: int, now: float) -> bool:
        """An instance died with this message of an ended session in hand: it gains an attempt. False if unknown."""
        return self._suspects.accuse(session, sequence, index, now)

    def accused_at(self, who: MessageId) -> float | None:
        """When this message was accused first; None if it never was."""
        return self._suspects.accused_at(who)

    def take_poison(self) -> list[Chunk]:
        """Remove from the queue, as chunks of one message, what was in hand at too many deaths."""
        taken: list[Chunk] = []
        for _ in range(len(self._pending) if self._suspects.any_guilty else 0):
            chunk = self._pending.popleft()
            self._pending += self._without_poison(chunk, taken)
        return taken

    def take_repeat(self) -> list[Chunk]:
        """The same for the chunk that was appended last: a message that was taken out may be made again."""
        taken: list[Chunk] = []
        if self._suspects.any_guilty and self._pending:
            self._pending += self._without_poison(self._pending.pop(), taken)
        return taken

    def _without_poison(self, chunk: Chunk, taken: list[Chunk]) -> list[Chunk]:
        guilty = self._suspects.guilty_in(chunk.segment)
        if not guilty:
            return [chunk]
        left: list[Chunk] = []
        start = 0
        for i in guilty:
            if start < i:
                left.append(chunk.cut(start, i))
            taken.append(chunk.cut(i, i + 1))
            self.pending_messages -= 1
            self.pending_bytes -= taken[-1].size
            start = i + 1
        if start < len(chunk.blobs):
            left.append(chunk.cut(start, len(chunk.blobs)))
        return left

    def bury(self, chunk: Chunk) -> None:
        """A chunk that is in no queue (any more) has been dead-lettered by this producer."""
        n = len(chunk.blobs)
        self.counts.dead_lettered += n
        self.counts.in_flight -= n
        self._release(chunk, 0, n)

    def drop_oldest(self, messages: int, reason: str) -> int:
        """Drop at most this many of the messages that wait for credit; gives how many were dropped."""
        dropped = 0
        while self._pending and dropped < messages:
            chunk = self._pending.popleft()
            n = min(len(chunk.blobs), messages - dropped)
            if n < len(chunk.blobs):
                self._pending.appendleft(chunk.cut(n, len(chunk.blobs)))
                chunk = chunk.cut(0, n)
            self._release(chunk, 0, n)
            dropped += n
            self.pending_bytes -= chunk.size
        self.pending_messages -= dropped
        self.counts.in_flight -= dropped
        self.counts.drops[DROP_REASONS.index(reason)] += dropped
        return dropped

    def drop_to(self, bytes_max: int, reason: str) -> None:
        """Drop the oldest chunks that wait for credit until the rest fits into so much memory; the newest one stays."""
        while self.queued_bytes > bytes_max and len(self._pending) > 1:
            self.drop_oldest(len(self._pending[0].blobs), reason)

    def drop_newest(self, chunk: Chunk, reason: str) -> None:
        """Drop the chunk that was appended last."""
        self.withdraw(chunk)
        n = len(chunk.blobs)
        self.counts.in_flight -= n
        self.counts.drops[DROP_REASONS.index(reason)] += n
        self._release(chunk, 0, n)

    def unsettled_of(self, parents: set[Parent]) -> Iterator[tuple[Parent, int]]:
        """(parent, index of its message) for every message here whose parent is one of these. Scans all held."""
        for chunk, first, last in self.held():
            if chunk.parent in parents:
                yield from ((chunk.parent, i) for i in chunk.indexes[first:last])

    def wait_for_roots(self, barrier: Barrier) -> None:
        """All held messages that nobody waits for are waited for by `barrier`. Scans all held."""
        for chunk, first, last in self.held():
            if chunk.parent is None or chunk.parent is barrier:
                chunk.parent = barrier
                barrier.open += last - first

    def held(self) -> Iterator[tuple[Chunk, int, int]]:
        for chunk in self._pending:
            yield chunk, 0, len(chunk.blobs)
        for frame in self._frames:
            yield from frame.unsettled()
