"""Topics of a test's own: made, filled and read as any other program would."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

_Found = TypeVar("_Found")
_PATIENCE_S = 60


async def make(admin: AIOKafkaAdminClient, topic: NewTopic) -> None:
    """The broker that was asked may answer before it knows of the topic itself: it is waited for."""
    answer = await admin.create_topics([topic])
    assert [code for _, code, _ in answer.topic_errors] == [0]
    while topic.name not in await admin.list_topics():
        pass


class Topic:
    """One that nobody else has, with so many partitions."""

    def __init__(
        self, bootstrap: str, partitions: int = 2, *, copies: int = 1, configuration: Mapping[str, str] | None = None
    ) -> None:
        self.bootstrap = bootstrap
        self.name = f"test-{uuid.uuid4().hex[:12]}"
        self.partitions = partitions
        self.copies = copies
        _run(self._make(dict(configuration or {})))

    async def _make(self, configuration: Mapping[str, str]) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            await make(admin, NewTopic(self.name, self.partitions, self.copies, topic_configs=configuration))
        finally:
            await admin.close()

    def fill(self, values: Iterable[bytes], keys: Iterable[bytes | None] | None = None) -> None:
        """The n-th value into partition n modulo their number, with the n-th key."""

        async def send() -> None:
            producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, enable_idempotence=True)
            await producer.start()
            try:
                all_keys = iter(keys) if keys is not None else None
                for number, value in enumerate(values):
                    key = None if all_keys is None else next(all_keys)
                    await producer.send(self.name, value, key, number % self.partitions)
            finally:
                await producer.stop()

        _run(send())

    def messages(self) -> list[Any]:
        """All that are committed, by partition."""

        async def read() -> list[Any]:
            options = {"bootstrap_servers": self.bootstrap, "group_id": None, "enable_auto_commit": False}
            async with AIOKafkaConsumer(**options) as plain:
                places = [TopicPartition(self.name, number) for number in range(self.partitions)]
                ends = await plain.end_offsets(places)
            async with AIOKafkaConsumer(
                **options, auto_offset_reset="earliest", isolation_level="read_committed"
            ) as consumer:
                consumer.assign(places)
                found = []
                for place in places:
                    while await consumer.position(place) < ends[place]:
                        found += (await consumer.getmany(place, timeout_ms=100)).get(place, [])
                return found

        return _run(read())

    def values(self) -> list[bytes]:
        return [message.value for message in self.messages()]

    def count(self) -> int:
        """Of messages and marks of transactions, also of those that are not committed."""

        async def ends() -> int:
            async with AIOKafkaConsumer(bootstrap_servers=self.bootstrap, group_id=None) as consumer:
                places = [TopicPartition(self.name, number) for number in range(self.partitions)]
                return sum((await consumer.end_offsets(places)).values())

        return _run(ends())

    def committed(self, group: str) -> list[int]:
        """What a group has committed, by partition; 0 where it has not."""

        async def ask() -> list[int]:
            async with AIOKafkaConsumer(
                bootstrap_servers=self.bootstrap, group_id=group, enable_auto_commit=False
            ) as consumer:
                return [
                    await consumer.committed(TopicPartition(self.name, number)) or 0
                    for number in range(self.partitions)
                ]

        return _run(ask())


def _run(work: Coroutine[Any, Any, _Found]) -> _Found:
    async def bounded() -> _Found:
        async with asyncio.timeout(_PATIENCE_S):
            return await work

    return asyncio.run(bounded())
