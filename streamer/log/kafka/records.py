"""Records of the control log as messages of Kafka, and back.

The key of a message in a claimed topic has the epoch behind it. Compaction keeps the last message of each key, and a
controller that was replaced can still write one: under the bare key its record, which every reader ignores, would be
the one that is kept, and the one that counts would be gone. So each epoch has keys of its own, and what an older one
has left is deleted by `compact`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from streamer.errors import LogError
from streamer.log.base import Record, check_key, claim_key, scope_of
from streamer.log.topics import CLAIMS, POLICIES, Topic

_SEPARATOR = "\n"
"""Between a key and an epoch: no key has one."""


class Message(Protocol):
    """What aiokafka gives."""

    key: bytes | None
    value: bytes | None
    offset: int
    partition: int
    timestamp: int


def kafka_key(key: str, epoch: int | None) -> bytes:
    """`epoch` is None where nothing is claimed, and for the claim that takes its epoch from its own offset."""
    return (key if epoch is None else f"{key}{_SEPARATOR}{epoch}").encode()


def record_of(topic: Topic, message: Message) -> Record | None:
    """The record of a message; None if it is none of ours: others may write to a topic, and harm nothing by it."""
    try:
        key, separator, epoch_text = (message.key or b"").decode().partition(_SEPARATOR)
        check_stored_key(key)
        epoch = int(epoch_text) if separator else None
    except (ValueError, LogError):
        return None
    if POLICIES[topic].claimed:
        if epoch is None and topic is CLAIMS and key == claim_key(scope_of(key)):
            epoch = message.offset
        if epoch is None:
            return None
    elif epoch is not None:
        return None
    return Record(topic, message.partition, message.offset, key, message.value, epoch, message.timestamp / 1000)


def check_stored_key(key: str) -> None:
    """Raises LogError for what is neither a key nor that of a claim."""
    if key != claim_key(scope_of(key)):
        check_key(key)


def outlived(records: Sequence[Record]) -> list[Record]:
    """Of all records of a partition, in order: those whose key has a newer epoch, the last of each epoch.

    Claims in `CLAIMS` are not among them: they have one key, so that compaction keeps the last.
    """
    last = {(record.key, record.epoch): record for record in records}
    newest: dict[str, int] = {}
    for key, epoch in last:
        newest[key] = max(newest.get(key, -1), -1 if epoch is None else epoch)
    return [
        record
        for (key, epoch), record in last.items()
        if epoch is not None
        and epoch < newest[key]
        and record.value is not None
        and not (record.topic is CLAIMS and record.is_claim)
    ]
