"""Between the thread of a Kafka client and the thread of messages: what was fetched and not read yet.

The client puts whole fetches in, the message thread takes frames out, and a pipe tells it that there is something, as a
socket would. How much may lie here is how much is read ahead: while it is full, nothing is fetched.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from threading import Lock

from aiokafka import TopicPartition

from streamer.connectors.kafka.records import Message
from streamer.kafka.limits import READ_AHEAD_BYTES, READ_AHEAD_RECORDS
from streamer.limits import FRAME_BYTES_MAX


class HeldPartition:
    """A share: one partition, as long as this instance has it. Offsets are those of the next record."""

    def __init__(self, place: TopicPartition) -> None:
        self.place = place
        self.partition = f"{place.topic}/{place.partition}"
        self.read_to = 0
        self.settled_to = 0
        self.committed_to = 0
        self.held = True

    def settled(self, position: int) -> None:
        self.settled_to = position

    @property
    def at_rest(self) -> bool:
        """All that was read is settled."""
        return self.settled_to >= self.read_to


class Shelf:
    """`room` is called in the message thread when there is room again."""

    def __init__(self, room: Callable[[], None]) -> None:
        self._tell_room = room
        self._lock = Lock()
        self._pieces: deque[tuple[HeldPartition, Sequence[Message]]] = deque()
        self._records = 0
        self._bytes = 0
        self._was_full = False
        self._readable, self._writable = os.pipe()
        for end in (self._readable, self._writable):
            os.set_blocking(end, False)

    @property
    def room(self) -> int:
        """How many records more may lie here. Asked by the client's thread, which is told when there are more."""
        with self._lock:
            room = READ_AHEAD_RECORDS - self._records if self._bytes < READ_AHEAD_BYTES else 0
            self._was_full = room <= 0
            return max(0, room)

    @property
    def records(self) -> int:
        return self._records

    @property
    def empty(self) -> bool:
        return not self._pieces

    def put(self, share: HeldPartition, messages: Sequence[Message]) -> None:
        with self._lock:
            self._pieces.append((share, messages))
            self._records += len(messages)
            self._bytes += _size(messages)
            first = len(self._pieces) == 1
        if first:
            with suppress(BlockingIOError):  # it is full: then the message thread has been told often enough
                os.write(self._writable, b"\0")

    def take(self, limit: int) -> tuple[HeldPartition, Sequence[Message]] | None:
        """At most `limit` messages of one partition, and about a frame's bytes."""
        with self._lock:
            if not self._pieces:
                with suppress(BlockingIOError):
                    os.read(self._readable, 4096)
                return None
            share, messages = self._pieces.popleft()
            taken = _fitting(messages, limit)
            if len(taken) < len(messages):
                self._pieces.appendleft((share, messages[len(taken) :]))
            self._records -= len(taken)
            self._bytes -= _size(taken)
            share.read_to = taken[-1].offset + 1
            tell = self._was_full and self._records <= READ_AHEAD_RECORDS // 2
            self._was_full = self._was_full and not tell
        if tell:
            self._tell_room()
        return share, taken

    def drop(self, shares: Collection[HeldPartition]) -> None:
        """These partitions are taken away: what was not read of them is read by whoever has them next."""
        with self._lock:
            for share in shares:
                share.held = False
            self._pieces = deque(piece for piece in self._pieces if piece[0] not in shares)
            self._records = sum(len(messages) for _, messages in self._pieces)
            self._bytes = sum(_size(messages) for _, messages in self._pieces)

    def fileno(self) -> int:
        return self._readable

    def close(self) -> None:
        os.close(self._readable)
        os.close(self._writable)


def _fitting(messages: Sequence[Message], limit: int) -> Sequence[Message]:
    taken = messages[:limit]
    if _size(taken) <= FRAME_BYTES_MAX:
        return taken
    room, count = FRAME_BYTES_MAX, 0
    while count < len(taken) and room >= 0:
        room -= len(taken[count].value or b"")
        count += 1
    return taken[: max(1, count - 1)]


def _size(messages: Sequence[Message]) -> int:
    """Bytes of their values, which is what is large if anything is."""
    return sum([len(message.value) for message in messages if message.value])
