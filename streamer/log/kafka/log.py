"""The control log on Kafka, by aiokafka.

A topic of the log is a topic of Kafka, a scope lies in one partition of each, and offsets are Kafka's. Writers are
idempotent, so that a retried append is there once; readers have no group, since each reads for itself, and only the
partitions of the job that it is asked for. No broker refuses the record of a controller that was replaced: `Seen` does,
at every reader. A broker that is away for a while is nobody's end: appends raise LogError, followers wait.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import ExitStack, aclosing, suppress
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from streamer.errors import LogError
from streamer.kafka.loop import LoopThread
from streamer.kafka.settings import KafkaSettings
from streamer.kafka.words import told
from streamer.limits import (
    CONTROL_LOG_READ_BYTES,
    CONTROL_LOG_READ_RECORDS_MAX,
    CONTROL_LOG_VALUE_BYTES_MAX,
    KAFKA_ANSWER_S,
    KAFKA_FAREWELL_S,
    KAFKA_FETCH_S,
    KAFKA_REQUEST_S,
    MIB,
)
from streamer.log.base import (
    BEGINNING,
    Batch,
    Claim,
    Entry,
    Position,
    Record,
    check_entries,
    check_scope,
    claim_key,
    scope_of,
)
from streamer.log.kafka.follower import KafkaFollower
from streamer.log.kafka.reader import KafkaReader
from streamer.log.kafka.records import kafka_key, outlived, record_of
from streamer.log.kafka.seen import Seen
from streamer.log.kafka.topics import Layout, name_of, prepare
from streamer.log.topics import CLAIMED, CLAIMS, POLICIES, Topic

_Found = TypeVar("_Found")
_MS = 1000
_FETCH_WAIT_MS = round(KAFKA_FETCH_S * _MS)


class KafkaLog:
    """One reader's and writer's access to the log of a cluster; topics are made where they are missing.

    Raises LogError if no broker answers, StateError if topics are there that keep something else.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._options = settings.client()
        self._names = {name_of(settings, topic): topic for topic in Topic}
        self._producer: AIOKafkaProducer | None = None
        self._reader: KafkaReader | None = None
        self._consumers: set[AIOKafkaConsumer] = set()
        self._closed = False
        self._seen: dict[TopicPartition, Seen] = {}
        self.layout = Layout({}, 1)
        self._thread = LoopThread("control log")
        with ExitStack() as undo:
            undo.callback(self.close)
            self._run(self._begin())
            undo.pop_all()

    async def _begin(self) -> None:
        self.layout = await prepare(self._settings)
        self._reader = KafkaReader(await self._new_consumer(), self.places(tuple(Topic), None))

    # -- writing -------------------------------------------------------------------------------------------------------

    def append(self, topic: Topic, key: str, value: bytes | None, *, claim: Claim | None = None) -> int:
        (offset,) = self.append_all([Entry(topic, key, value)], claim=claim)
        return offset

    def append_all(self, entries: Sequence[Entry], *, claim: Claim | None = None) -> tuple[int, ...]:
        check_entries(entries, claim)
        if not entries:
            return ()
        epoch = claim.epoch if claim is not None else None
        return self._run(
            self._send([(e.topic, e.key, e.value, epoch if POLICIES[e.topic].claimed else None) for e in entries])
        )

    def claim(self, scope: str, holder: str) -> Claim:
        check_scope(scope)
        return self._run(self._claim(scope, holder))

    async def _claim(self, scope: str, holder: str) -> Claim:
        key, value = claim_key(scope), holder.encode()
        (epoch,) = await self._send([(CLAIMS, key, value, None)])
        await self._send([(topic, key, value, epoch) for topic in CLAIMED if topic is not CLAIMS])
        return Claim(scope, epoch, holder)

    async def _send(self, entries: Sequence[tuple[Topic, str, bytes | None, int | None]]) -> tuple[int, ...]:
        producer = await self._started_producer()
        try:
            sent = [
                await producer.send(
                    name_of(self._settings, topic),
                    value,
                    kafka_key(key, epoch),
                    self.partition_of(topic, scope_of(key)),
                )
                for topic, key, value, epoch in entries
            ]
            return tuple([(await answer).offset for answer in sent])
        except KafkaError:
            self._producer = None  # what an idempotent producer could not send leaves a gap that it cannot close
            await _ended(producer)
            raise

    async def _started_producer(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = AIOKafkaProducer(
                **self._options,
                enable_idempotence=True,
                max_request_size=CONTROL_LOG_VALUE_BYTES_MAX + MIB,
                request_timeout_ms=round(KAFKA_REQUEST_S * _MS),
            )
            await producer.start()
            self._producer = producer
        return self._producer

    def partition_of(self, topic: Topic, scope: str) -> int:
        """Where the records of a scope lie in a topic."""
        return zlib.crc32(scope.encode()) % self.layout.partitions[topic]

    # -- reading -------------------------------------------------------------------------------------------------------

    def claimed(self, scope: str) -> Claim | None:
        check_scope(scope)
        place = self._place(CLAIMS, self.partition_of(CLAIMS, scope))
        self._run(self._see(place, None))
        return self._seen[place].claimed(scope)

    def read(
        self,
        topic: Topic,
        after: Position = BEGINNING,
        *,
        scope: str | None = None,
        limit: int = CONTROL_LOG_READ_RECORDS_MAX,
    ) -> Batch:
        return self._run(self._read(topic, after, scope, limit))

    async def _read(self, topic: Topic, after: Position, scope: str | None, limit: int) -> Batch:
        records: list[Record] = []
        room = CONTROL_LOG_READ_BYTES
        places = self.places([topic], scope)
        ends = await self._opened().ends(places)
        for place in places:
            async with aclosing(self._records(place, after.offset(topic, place.partition) + 1, ends[place])) as found:
                async for record in found:
                    if record is not None and (scope is None or record.scope == scope):
                        room -= len(record.value or b"")
                        if len(records) == limit or (room < 0 and records):
                            return Batch(tuple(records), after)
                        records.append(record)
                        after = after.after(record)
        return Batch(tuple(records), after)

    def follow(
        self, topics: Sequence[Topic], after: Position = BEGINNING, *, scope: str | None = None
    ) -> KafkaFollower:
        return self._run(self._follow(topics, after, scope))

    async def _follow(self, topics: Sequence[Topic], after: Position, scope: str | None) -> KafkaFollower:
        places = self.places(topics, scope)
        for place in places:
            await self._see(place, after.offset(self.topic_of(place), place.partition))
        consumer = await self._new_consumer()
        consumer.assign(places)
        for place in places:
            consumer.seek(place, after.offset(self.topic_of(place), place.partition) + 1)
        return KafkaFollower(self, consumer, topics, places, after, scope)

    def end(self, topics: Sequence[Topic]) -> Position:
        return self._run(self._end(topics))

    async def _end(self, topics: Sequence[Topic]) -> Position:
        ends = await self._opened().ends(self.places(topics, None))
        return Position({f"{self._names[at.topic]}/{at.partition}": end - 1 for at, end in ends.items() if end})

    def compact(self) -> int:
        """Kafka removes what is old by itself, but not what a claim that is over has left under keys of its own."""
        return self._run(self._compact())

    async def _compact(self) -> int:
        removed = 0
        for topic in CLAIMED:
            for place, end in (await self._opened().ends(self.places([topic], None))).items():
                async with aclosing(self._records(place, 0, end, judged=False)) as found:
                    everything = [record async for record in found if record is not None]
                gone = outlived(everything)
                await self._send([(topic, record.key, None, record.epoch) for record in gone])
                removed += len(gone)
        return removed

    # -- partitions ----------------------------------------------------------------------------------------------------

    def places(self, topics: Sequence[Topic], scope: str | None) -> list[TopicPartition]:
        """The partitions that hold these topics of a scope, or of all."""
        return [
            self._place(topic, number)
            for topic in topics
            for number in (range(self.layout.partitions[topic]) if scope is None else [self.partition_of(topic, scope)])
        ]

    def _place(self, topic: Topic, number: int) -> TopicPartition:
        return TopicPartition(name_of(self._settings, topic), number)

    def topic_of(self, place: TopicPartition) -> Topic:
        return self._names[place.topic]

    def record(self, message: Any) -> Record | None:
        """The record of a message, if it counts. Of one partition they are asked about in their order."""
        record = record_of(self._names[message.topic], message)
        if record is None or not POLICIES[record.topic].claimed:
            return record
        seen = self._seen[TopicPartition(message.topic, message.partition)]
        return record if seen.admits(record) else None

    async def _see(self, place: TopicPartition, until: int | None) -> None:
        """Judge all records of a partition up to this offset, or to its end."""
        seen = self._seen.setdefault(place, Seen())
        if POLICIES[self.topic_of(place)].claimed and (until is None or seen.until < until):
            end = (await self._opened().ends([place]))[place]
            async with aclosing(self._records(place, seen.until + 1, end)) as found:
                async for _ in found:
                    pass

    async def _records(
        self, place: TopicPartition, offset: int, end: int, *, judged: bool = True
    ) -> AsyncGenerator[Record | None, None]:
        """Those of a partition from `offset` to its end as it was; None for what does not count."""
        topic = self.topic_of(place)
        first = offset
        if judged and POLICIES[topic].claimed:
            first = min(offset, self._seen.setdefault(place, Seen()).until + 1)
        async with aclosing(self._opened().messages(place, first, end)) as messages:
            async for message in messages:
                record = self.record(message) if judged else record_of(topic, message)
                if message.offset >= offset:
                    yield record

    def _opened(self) -> KafkaReader:
        assert self._reader is not None
        return self._reader

    async def _new_consumer(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            **self._options,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=_FETCH_WAIT_MS,
            request_timeout_ms=round(KAFKA_REQUEST_S * _MS),
        )
        self._consumers.add(consumer)  # also one that cannot start has to be ended
        await consumer.start()
        return consumer

    async def forget(self, consumer: AIOKafkaConsumer) -> None:
        """A follower has done with it."""
        self._consumers.discard(consumer)
        await consumer.stop()

    # -- the loop ------------------------------------------------------------------------------------------------------

    def _run(self, work: Coroutine[Any, Any, _Found]) -> _Found:
        return self.run(work, KAFKA_ANSWER_S)

    def run(self, work: Coroutine[Any, Any, _Found], timeout_s: float) -> _Found:
        """Wait for it. Raises LogError."""
        try:
            return self._thread.run(work, timeout_s)
        except (KafkaError, TimeoutError, OSError) as error:
            raise LogError(
                f"Kafka at {self._settings.bootstrap} ({self._settings.protocol}) cannot be used now: "
                f"{told(error, timeout_s, self._thread.said())}",
                remedy="See that a broker of Kafka 2.1 or later listens at this address, that it can be reached from "
                "here, and that the KAFKA_* variables say how it lets users in. It is tried again wherever something "
                "runs that needs it.",
            ) from error

    def close(self) -> None:
        """With all followers. Nothing is left to be sent: an append that has returned is there."""
        if not self._closed:
            self._closed = True
            with suppress(TimeoutError):
                self._thread.run(self._stop(), KAFKA_ANSWER_S)
            self._thread.close()

    async def _stop(self) -> None:
        for client in (self._producer, *self._consumers):
            if client is not None:
                await _ended(client)


async def _ended(client: AIOKafkaProducer | AIOKafkaConsumer) -> None:
    """In order if that is possible at once: without a broker a client would wait for it."""
    task = asyncio.current_task()
    try:
        await asyncio.wait_for(client.stop(), KAFKA_FAREWELL_S)
    except (KafkaError, TimeoutError):
        pass
    except asyncio.CancelledError:
        if task is not None and task.cancelling():
            raise  # else the client awaits what it has cancelled itself
