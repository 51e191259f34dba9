"""The topics of the control log on a Kafka cluster: made as their policies say, and looked at before they are used.

A topic that was made by hand, or by a broker that makes what is asked for, keeps its records for a week whatever they
are, and a state that is gone after a week is found out after a week. So what is there is compared with what is needed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import NodeNotReadyError

from streamer.errors import LogError, StateError
from streamer.kafka.settings import KafkaSettings
from streamer.limits import CONTROL_LOG_TOMBSTONE_S, CONTROL_LOG_VALUE_BYTES_MAX, KAFKA_REPLICAS, KIB
from streamer.log.topics import POLICIES, Policy, Topic

_EXISTS = 36
"""Kafka's code for a topic that is there already: another process has made it at the same time."""
_LOOK_S = 0.02
_MESSAGE_BYTES_MAX = CONTROL_LOG_VALUE_BYTES_MAX + 64 * KIB


def name_of(settings: KafkaSettings, topic: Topic) -> str:
    return f"{settings.prefix}.{topic}"


def configuration(policy: Policy) -> dict[str, str]:
    """What Kafka is to do for this policy."""
    kept = (
        {"cleanup.policy": "compact", "delete.retention.ms": _ms(CONTROL_LOG_TOMBSTONE_S)}
        if policy.kept_s is None
        else {"cleanup.policy": "delete", "retention.ms": _ms(policy.kept_s)}
    )
    return {**kept, "max.message.bytes": str(_MESSAGE_BYTES_MAX)}


@dataclass(frozen=True, slots=True)
class Layout:
    """`partitions` by topic; each of them is kept by so many `replicas`."""

    partitions: Mapping[Topic, int]
    replicas: int


async def prepare(settings: KafkaSettings) -> Layout:
    """Make the topics that are missing, and look at all. Raises LogError, StateError.

    A broker that has just died is named by the others for a moment, and may be the one that is asked: so they are asked
    again, for as long as the caller waits.
    """
    admin = AIOKafkaAdminClient(**settings.client())
    await admin.start()
    try:
        while True:
            with suppress(NodeNotReadyError):
                return await _prepared(admin, settings)
            await asyncio.sleep(_LOOK_S)
    finally:
        await admin.close()


async def _prepared(admin: AIOKafkaAdminClient, settings: KafkaSettings) -> Layout:
    there = set(await admin.list_topics())
    missing = [topic for topic in Topic if name_of(settings, topic) not in there]
    await _look(admin, settings, [topic for topic in Topic if topic not in missing])
    if missing:
        await _make(admin, settings, missing)
    layout = await _layout(admin, settings)
    await _look(admin, settings, missing)  # another may have made them meanwhile
    _check_partitions(settings, layout)
    return layout


def _check_partitions(settings: KafkaSettings, layout: Layout) -> None:
    """Whoever is given the commands of a job has to be given its reports."""
    commands, reports = (layout.partitions[topic] for topic in (Topic.COMMANDS, Topic.REPORTS))
    if commands != reports:
        raise StateError(
            f"Kafka at {settings.bootstrap} has {commands} partitions of {name_of(settings, Topic.COMMANDS)}, and "
            f"{reports} of {name_of(settings, Topic.REPORTS)}: they must be as many",
            remedy="Make both topics with one number of partitions, or use another prefix (KAFKA_TOPIC_PREFIX).",
        )


async def _make(admin: AIOKafkaAdminClient, settings: KafkaSettings, topics: list[Topic]) -> None:
    brokers = len((await admin.describe_cluster())["brokers"])
    replicas = min(KAFKA_REPLICAS, brokers)
    safe = {"min.insync.replicas": str(KAFKA_REPLICAS - 1)} if replicas == KAFKA_REPLICAS else {}
    wanted = [
        NewTopic(
            name_of(settings, topic),
            settings.partitions,
            replicas,
            topic_configs={**configuration(POLICIES[topic]), **safe},
        )
        for topic in topics
    ]
    answer = await admin.create_topics(wanted)
    refused = [f"{name}: {words}" for name, code, words in answer.topic_errors if code not in (0, _EXISTS)]
    if refused:
        raise LogError(
            f"topics of the control log cannot be made in Kafka at {settings.bootstrap}: {'; '.join(refused)}",
            remedy="Let this user make topics that begin with the prefix, "
            "or let somebody make them who may: docs/testing.md has their settings.",
        )


async def _layout(admin: AIOKafkaAdminClient, settings: KafkaSettings) -> Layout:
    """As soon as the broker that is asked knows all topics, and who leads each partition of them."""
    names = {name_of(settings, topic): topic for topic in Topic}
    while True:
        found = await admin.describe_topics(list(names))
        counts = {names[one["topic"]]: len(one["partitions"]) for one in found if _is_led(one["partitions"])}
        if len(counts) == len(names):
            return Layout(counts, min(len(part["replicas"]) for one in found for part in one["partitions"]))
        await asyncio.sleep(_LOOK_S)


def _is_led(partitions: list[dict[str, int]]) -> bool:
    return bool(partitions) and all(part["leader"] >= 0 for part in partitions)


async def _look(admin: AIOKafkaAdminClient, settings: KafkaSettings, topics: Sequence[Topic]) -> None:
    if not topics:
        return
    asked = [ConfigResource(ConfigResourceType.TOPIC, name_of(settings, topic)) for topic in topics]
    found = [_values(answer) for answer in await admin.describe_configs(asked)]
    wrong = []
    for topic in topics:
        name = name_of(settings, topic)
        values: dict[str, str] = next((here[name] for here in found if name in here), {})
        for setting, needed in configuration(POLICIES[topic]).items():
            is_there = values.get(setting)
            if is_there is not None and not _keeps(setting, is_there, needed):
                wrong.append(f"{name} has {setting}={is_there}, and needs {needed}")
    if wrong:
        raise StateError(
            f"Kafka at {settings.bootstrap} has topics of this name that keep something else: {'; '.join(wrong)}",
            remedy="Change these settings of the topics, or use another prefix (KAFKA_TOPIC_PREFIX).",
        )


def _values(answer: Any) -> dict[str, dict[str, str]]:
    """Settings by topic, of one answer."""
    return {
        name: {entry[0]: str(entry[1]) for entry in entries} for _code, _words, _kind, name, entries in answer.resources
    }


def _keeps(setting: str, there: str, needed: str) -> bool:
    """Whether what is there is enough: longer and larger is no fault; -1 is without end."""
    if setting == "cleanup.policy":
        return there == needed
    return int(there) >= int(needed) or int(there) == -1


def _ms(seconds: float) -> str:
    return str(round(seconds * 1000))
