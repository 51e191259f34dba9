"""The last note of an exact sink: what it had written, kept in a compacted topic beside the records themselves.

A note is written in the transaction of the records that it speaks of, so it is there if they are. It has the epoch of
its writer: a life that was paused and replaced finds a newer one there, and goes. Other sinks have their notes in the
same partition, and a transaction of theirs that is open hides what is behind it; so a reader waits for whatever was
there when it began, which is as long as a transaction may stay open.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgpack
from aiokafka import AIOKafkaConsumer, TopicPartition

from streamer.errors import StateError
from streamer.kafka.limits import MARKS_PARTITIONS
from streamer.limits import KAFKA_FETCH_S

_MS = 1000


@dataclass(frozen=True, slots=True)
class Note:
    """Number `number` of the life `epoch`; `marks` are what the runtime wants to know again."""

    epoch: int
    number: int
    marks: bytes

    def packed(self) -> bytes:
        return msgpack.packb([self.epoch, self.number, self.marks])  # type: ignore[no-any-return]  # msgpack ships no types


def partition_of(sink: str, partitions: int = MARKS_PARTITIONS) -> int:
    return zlib.crc32(sink.encode()) % partitions


async def last_note(options: Mapping[str, Any], topic: str, sink: str, partition: int) -> Note | None:
    """The note that is in force, none before the first. Raises KafkaError, StateError."""
    place = TopicPartition(topic, partition)
    written = await _end(options, place)
    consumer = AIOKafkaConsumer(
        **options,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        fetch_max_wait_ms=round(KAFKA_FETCH_S * _MS),
    )
    await consumer.start()
    try:
        consumer.assign([place])
        await consumer.seek_to_beginning(place)
        found: bytes | None = None
        while await consumer.position(place) < written:
            fetched = await consumer.getmany(place, timeout_ms=round(KAFKA_FETCH_S * _MS))
            for message in fetched.get(place, ()):
                if message.key == sink.encode():
                    found = message.value
    finally:
        await consumer.stop()
    return None if found is None else _unpacked(found, topic)


async def _end(options: Mapping[str, Any], place: TopicPartition) -> int:
    """Behind all that was written there, be it in force or not."""
    consumer = AIOKafkaConsumer(**options, group_id=None, enable_auto_commit=False)
    await consumer.start()
    try:
        return int((await consumer.end_offsets([place]))[place])
    finally:
        await consumer.stop()


def _unpacked(packed: bytes, topic: str) -> Note:
    try:
        epoch, number, marks = msgpack.unpackb(packed)
        return Note(int(epoch), int(number), bytes(marks))
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise StateError(
            f"a note in the topic {topic!r} cannot be read: {error}",
            remedy="Let nobody else write to this topic, or name another one by marksTopic.",
        ) from error
