"""Kafka as others see it, below the control log: messages, topics and their settings."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from streamer.kafka.settings import KafkaSettings
from streamer.log.kafka.topics import name_of
from streamer.log.topics import Topic
from tests.kafka import topic as topics


def messages(settings: KafkaSettings, topic: Topic) -> list[Any]:
    """All messages of a topic, by partition."""

    async def read() -> list[Any]:
        consumer = AIOKafkaConsumer(**settings.client(), group_id=None, auto_offset_reset="earliest")
        await consumer.start()
        try:
            places = [TopicPartition(name_of(settings, topic), number) for number in range(settings.partitions)]
            consumer.assign(places)
            found = []
            for place, end in (await consumer.end_offsets(places)).items():
                while await consumer.position(place) < end:
                    found += (await consumer.getmany(place, timeout_ms=100)).get(place, [])
            return found
        finally:
            await consumer.stop()

    return asyncio.run(read())


def put(settings: KafkaSettings, topic: Topic, key: bytes | None) -> None:
    """A message as any program may write one."""

    async def send() -> None:
        producer = AIOKafkaProducer(**settings.client())
        await producer.start()
        try:
            await producer.send_and_wait(name_of(settings, topic), b"of another", key)
        finally:
            await producer.stop()

    asyncio.run(send())


def make(settings: KafkaSettings, topic: Topic, configuration: Mapping[str, str]) -> None:
    """A topic with these settings."""

    async def create() -> None:
        admin = AIOKafkaAdminClient(**settings.client())
        await admin.start()
        try:
            name = name_of(settings, topic)
            await topics.make(admin, NewTopic(name, settings.partitions, 1, topic_configs=dict(configuration)))
        finally:
            await admin.close()

    asyncio.run(create())


def configurations(settings: KafkaSettings) -> dict[Topic, dict[str, str]]:
    """Of all topics of the log."""

    async def describe() -> dict[Topic, dict[str, str]]:
        admin = AIOKafkaAdminClient(**settings.client())
        await admin.start()
        try:
            names = {name_of(settings, topic): topic for topic in Topic}
            asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
            return {
                names[resource[3]]: {entry[0]: str(entry[1]) for entry in resource[4]}
                for answer in await admin.describe_configs(asked)
                for resource in answer.resources
            }
        finally:
            await admin.close()

    return asyncio.run(describe())
