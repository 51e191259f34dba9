"""Records as messages of Kafka: keys with epochs, what is not ours, and what a claim that is over has left."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from streamer.log.base import Record
from streamer.log.kafka.records import kafka_key, outlived, record_of
from streamer.log.kafka.seen import Seen
from streamer.log.topics import Topic


@dataclass
class Message:
    key: bytes | None
    value: bytes | None = b"value"
    offset: int = 7
    partition: int = 2
    timestamp: int = 1_500


def record(topic: Topic, key: str, epoch: int | None, offset: int, value: bytes | None = b"value") -> Record:
    return Record(topic, 2, offset, key, value, epoch, 1.5)


@pytest.mark.parametrize(
    ("topic", "key", "epoch"),
    [
        (Topic.COMMANDS, "job", None),
        (Topic.REPORTS, "job/größe-0", None),
        (Topic.JOBS, "job", 3),
        (Topic.ASSIGNMENTS, "job/@claim", 3),
    ],
)
def test_a_record_comes_back_as_it_was(topic: Topic, key: str, epoch: int | None) -> None:
    assert record_of(topic, Message(kafka_key(key, epoch))) == record(topic, key, epoch, 7)


def test_a_claim_takes_its_epoch_from_its_offset() -> None:
    claim = record_of(Topic.JOBS, Message(kafka_key("job/@claim", None), b"me"))

    assert claim is not None
    assert (claim.is_claim, claim.epoch, claim.value) == (True, 7, b"me")


@pytest.mark.parametrize(
    ("topic", "key"),
    [
        (Topic.COMMANDS, None),
        (Topic.COMMANDS, b""),
        (Topic.COMMANDS, b"\xff"),
        (Topic.COMMANDS, b"job/"),
        (Topic.COMMANDS, b"job\n3"),
        (Topic.JOBS, b"job"),
        (Topic.JOBS, b"job\nthree"),
        (Topic.JOBS, b"job/@other\n3"),
        (Topic.ASSIGNMENTS, b"job/@claim"),
    ],
)
def test_what_is_not_ours_is_no_record(topic: Topic, key: bytes | None) -> None:
    assert record_of(topic, Message(key)) is None


def test_a_key_of_a_newer_epoch_outlives_those_of_older_ones() -> None:
    records = [
        record(Topic.ASSIGNMENTS, "job/@claim", 1, 1),
        record(Topic.ASSIGNMENTS, "job/a-0", 1, 2),
        record(Topic.ASSIGNMENTS, "job/b-0", 1, 3),
        record(Topic.ASSIGNMENTS, "job/@claim", 5, 4),
        record(Topic.ASSIGNMENTS, "job/a-0", 5, 5, None),
        record(Topic.ASSIGNMENTS, "job/a-0", 1, 6),
    ]

    assert [(each.key, each.epoch, each.offset) for each in outlived(records)] == [
        ("job/@claim", 1, 1),
        ("job/a-0", 1, 6),
    ]


def test_what_was_deleted_under_its_own_epoch_is_deleted_once() -> None:
    deleted = record(Topic.ASSIGNMENTS, "job/a-0", 1, 2, None)

    assert outlived([deleted, record(Topic.ASSIGNMENTS, "job/a-0", 5, 5)]) == []


def test_claims_of_one_key_are_left_to_compaction() -> None:
    claims = [record(Topic.JOBS, "job/@claim", 1, 1), record(Topic.JOBS, "job/@claim", 5, 5)]

    assert outlived(claims) == []


def test_a_reader_that_comes_again_gets_the_same_verdicts() -> None:
    seen = Seen()
    records = [
        record(Topic.JOBS, "job/@claim", 0, 0, b"first"),
        record(Topic.JOBS, "job", 0, 1),
        record(Topic.JOBS, "job/@claim", 2, 2, b"second"),
        record(Topic.JOBS, "job", 0, 3),
        record(Topic.JOBS, "job", 2, 4),
    ]

    verdicts = [seen.admits(each) for each in records]

    assert verdicts == [True, True, True, False, True]
    assert [seen.admits(each) for each in records] == verdicts
    claim = seen.claimed("job")
    assert claim is not None
    assert (claim.epoch, claim.holder, seen.until) == (2, "second", 4)
    assert seen.claimed("other") is None
