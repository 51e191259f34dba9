"""Reading a Kafka log as it grows: what was fetched, what there is to fetch, and how far that is.

A follower has partitions and a client of its own, so that its place in them is nobody else's; which records count is
judged by its log, which all of its followers share.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streamer.errors import LogError
from streamer.limits import CONTROL_LOG_READ_RECORDS_MAX, KAFKA_ANSWER_S, KAFKA_FETCH_S, KAFKA_LOOK_S
from streamer.log.base import Position, Record
from streamer.log.topics import Topic

_Found = TypeVar("_Found")
_MS = 1000


class Reading(Protocol):
    """The log that a follower belongs to."""

    def run(self, work: Coroutine[Any, Any, _Found], timeout_s: float) -> _Found:
        """Wait for work of its loop. Raises LogError."""

    def topic_of(self, place: TopicPartition) -> Topic: ...

    def record(self, message: Any) -> Record | None:
        """The record of a message, if it counts."""

    async def forget(self, consumer: AIOKafkaConsumer) -> None:
        """End a client that is not needed any more."""


class KafkaFollower:
    """Reads partitions of its own with a client of its own, as long as its log is open."""

    def __init__(
        self,
        log: Reading,
        consumer: AIOKafkaConsumer,
        topics: Sequence[Topic],
        places: Sequence[TopicPartition],
        after: Position,
        scope: str | None,
    ) -> None:
        self.position = after
        self._log = log
        self._consumer = consumer
        self._by_topic = [[place for place in places if log.topic_of(place) is topic] for topic in topics]
        self._places = list(places)
        self._scope = scope
        self._begun = False

    def poll(self, timeout_s: float) -> tuple[Record, ...]:
        return self._log.run(self._poll(timeout_s), timeout_s + KAFKA_ANSWER_S)

    async def _poll(self, timeout_s: float) -> tuple[Record, ...]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while not (records := await self._what_came()):
            left_s = deadline - loop.time()
            if left_s <= 0 or not self._begun:
                if not await self._is_behind():
                    self._begun = True
                    if left_s <= 0:
                        return ()
                left_s = max(left_s, KAFKA_FETCH_S)
            fetched = await self._consumer.getmany(*self._places, timeout_ms=max(1, round(left_s * _MS)))
            if records := self._taken(fetched):
                return records
        return records

    async def _what_came(self) -> tuple[Record, ...]:
        """What was fetched, a batch of each topic, so that a flood in one keeps nothing of another back."""
        found: list[Record] = []
        for places in self._by_topic:
            found += self._taken(
                await self._consumer.getmany(*places, timeout_ms=0, max_records=CONTROL_LOG_READ_RECORDS_MAX)
            )
        return tuple(found)

    def _taken(self, fetched: Any) -> tuple[Record, ...]:
        found: list[Record] = []
        for place, messages in fetched.items():
            for message in messages:
                record = self._log.record(message)
                if record is not None and (self._scope is None or record.scope == self._scope):
                    found.append(record)
            topic = self._log.topic_of(place)
            self.position = self.position.at(topic, place.partition, messages[-1].offset)
        return tuple(found)

    async def _is_behind(self) -> bool:
        """Whether there is something that was not fetched yet."""
        try:
            ends = await asyncio.wait_for(self._consumer.end_offsets(self._places), KAFKA_LOOK_S)
        except (KafkaError, TimeoutError):
            return False  # no broker says so
        for place, end in ends.items():
            if await self._consumer.position(place) < end:
                return True
        return False

    def close(self) -> None:
        with suppress(LogError):
            self._log.run(self._log.forget(self._consumer), KAFKA_ANSWER_S)
