"""The topics that a node names: whether they are there, what they take, and the one of our own for repeat marks.

A client that asks for a topic that is not there asks again for ever, and says so each time; so they are looked for
before anything is read or written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import IncompatibleBrokerVersion, KafkaError, for_code
from aiokafka.protocol.transaction import InitProducerIdRequest

from streamer.errors import ConnectorError
from streamer.kafka.limits import MARKS_PARTITIONS, MARKS_SEGMENT_BYTES
from streamer.limits import KAFKA_REPLICAS, MIB

_EXISTS = 36
"""Kafka's code for a topic that another instance has made at the same time."""
_MESSAGE_BYTES_DEFAULT = MIB + 12
"""What a topic takes where its settings may not be read: Kafka's default of `max.message.bytes`."""


async def partitions_of(options: Mapping[str, Any], topics: Sequence[str]) -> dict[str, int]:
    """How many partitions each has. Raises ConnectorError that names all that are missing, and KafkaError."""
    client = AIOKafkaClient(**options)
    try:
        await client.bootstrap()
        found = await client.fetch_all_metadata()
        _see_age(client)
    finally:
        await client.close()
    counts = {topic: len(found.partitions_for_topic(topic) or ()) for topic in topics}
    if missing := [topic for topic, count in counts.items() if not count]:
        raise ConnectorError(
            f"there is no topic {', '.join(map(repr, missing))} that this user may see",
            remedy=f"{_nearest(missing, sorted(found.topics()))}Make it first, or correct the spec.",
        )
    return counts


def _see_age(client: AIOKafkaClient) -> None:
    """Raises IncompatibleBrokerVersion for brokers of before 0.11: no headers, no idempotent producers.

    Each connection was told at its beginning which requests the broker knows: nobody has to be asked again.
    """
    for connection in client._conns.values():
        if InitProducerIdRequest.API_KEY not in connection._versions:
            raise IncompatibleBrokerVersion("they know no idempotent producers")


def _nearest(missing: Sequence[str], known: Sequence[str]) -> str:
    near = [name for topic in missing for name in get_close_matches(topic, known, n=1)]
    return f"Did you mean {', '.join(near)}? " if near else ""


async def message_bytes_of(options: Mapping[str, Any], topic: str) -> int:
    """What one batch of this topic may hold. Raises KafkaError where it is not known because nobody answers."""
    admin = AIOKafkaAdminClient(**options)
    await admin.start()
    try:
        return int((await _settings_of(admin, topic)).get("max.message.bytes", _MESSAGE_BYTES_DEFAULT))
    finally:
        await admin.close()


async def _settings_of(admin: AIOKafkaAdminClient, topic: str) -> dict[str, str]:
    """Empty where this user may not know them."""
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    return {
        entry[0]: str(entry[1])
        for answer in answers
        for _code, _words, _kind, _name, entries in answer.resources
        for entry in entries
    }


async def make_marks_topic(options: Mapping[str, Any], topic: str) -> None:
    """Unless it is there: one that keeps the last note of each sink. Raises ConnectorError, KafkaError."""
    admin = AIOKafkaAdminClient(**options)
    await admin.start()
    try:
        if topic in await admin.list_topics():
            if (policy := (await _settings_of(admin, topic)).get("cleanup.policy", "compact")) != "compact":
                raise ConnectorError(
                    f"the topic {topic!r} has cleanup.policy={policy}, and would forget repeat marks",
                    remedy="Set cleanup.policy=compact, or name another topic by marksTopic.",
                )
            return
        copies = min(KAFKA_REPLICAS, len((await admin.describe_cluster())["brokers"]))
        kept = {
            "cleanup.policy": "compact",
            "segment.bytes": str(MARKS_SEGMENT_BYTES),
            "min.cleanable.dirty.ratio": "0.1",
            "min.insync.replicas": str(max(1, copies - 1)),
        }
        answer = await admin.create_topics([NewTopic(topic, MARKS_PARTITIONS, copies, topic_configs=kept)])
        refused = [(code, words) for _, code, words in answer.topic_errors if code not in (0, _EXISTS)]
        for code, words in refused:
            raise ConnectorError(
                f"the topic {topic!r} for repeat marks cannot be made: {words or for_code(code).__name__}",
                remedy="Let this user make it, or let somebody else make a compacted topic, and name it by marksTopic.",
            )
    finally:
        await admin.close()


KAFKA_ERRORS = (KafkaError, OSError, TimeoutError)
"""What a client raises when its cluster cannot be used now."""
