"""The control log on a real Kafka keeps the contract, and nothing of a controller that was replaced counts."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from streamer import clock
from streamer.connectors.kafka.look import kafka_problems
from streamer.errors import LogError, StateError
from streamer.kafka.settings import KafkaSettings
from streamer.limits import KAFKA_FETCH_S
from streamer.log.base import newest
from streamer.log.kafka.log import KafkaLog
from streamer.log.kafka.topics import configuration
from streamer.log.topics import POLICIES, Topic
from streamer.testing.claim_contract import ClaimContract
from streamer.testing.log_contract import PATIENCE_S, LogContract, OpenLog
from tests.kafka.broker import bootstrap, started
from tests.kafka.cluster import Cluster, Door, free_ports
from tests.kafka.old_broker import KAFKA_0_10, old_broker
from tests.kafka.raw import configurations, make, messages, put


@pytest.fixture
def settings() -> KafkaSettings:
    """A log of its own: topics that nobody else has."""
    return KafkaSettings(bootstrap(), prefix=f"test-{uuid.uuid4().hex[:12]}", partitions=3)


@pytest.fixture
def open_log(settings: KafkaSettings) -> Iterator[OpenLog]:
    opened: list[KafkaLog] = []

    def open_one() -> KafkaLog:
        opened.append(KafkaLog(settings))
        return opened[-1]

    yield open_one
    for log in opened:
        log.close()


class TestKafkaLog(LogContract, ClaimContract):
    pass


def test_what_a_replaced_controller_writes_shadows_nothing_in_a_compacted_topic(
    settings: KafkaSettings, open_log: OpenLog
) -> None:
    """Kafka keeps the last message of a key: that of the replaced one has another key."""
    paused, successor = open_log(), open_log()
    lost = paused.claim("job", "paused")
    paused.append(Topic.JOBS, "job", b"first", claim=lost)
    held = successor.claim("job", "successor")
    successor.append(Topic.JOBS, "job", b"valid", claim=held)
    paused.append(Topic.JOBS, "job", b"too late", claim=lost)

    last = {message.key: message.value for message in messages(settings, Topic.JOBS)}

    assert last[f"job\n{held.epoch}".encode()] == b"valid"
    assert newest(open_log(), Topic.JOBS)["job"].value == b"valid"


def test_compaction_deletes_what_a_claim_that_is_over_has_left(settings: KafkaSettings, open_log: OpenLog) -> None:
    log = open_log()
    first = log.claim("job", "first")
    log.append(Topic.ASSIGNMENTS, "job/a-0", b"old", claim=first)
    log.append(Topic.ASSIGNMENTS, "job/b-0", b"only there", claim=first)
    second = log.claim("job", "second")
    log.append(Topic.ASSIGNMENTS, "job/a-0", None, claim=second)
    state = newest(log, Topic.ASSIGNMENTS)

    assert log.compact() == 2, "the claim and the assignment of the first"

    last = {message.key: message.value for message in messages(settings, Topic.ASSIGNMENTS)}
    assert last[f"job/a-0\n{first.epoch}".encode()] is None, "else it would be back when Kafka has forgotten its end"
    assert last[f"job/b-0\n{first.epoch}".encode()] == b"only there"
    assert newest(open_log(), Topic.ASSIGNMENTS) == state
    assert log.compact() == 0


def test_messages_of_others_in_a_topic_harm_nothing(settings: KafkaSettings, open_log: OpenLog) -> None:
    log = open_log()
    log.append(Topic.COMMANDS, "job", b"ours")
    put(settings, Topic.COMMANDS, None)
    for topic in (Topic.COMMANDS, Topic.JOBS):
        for key in (b"", b"\xff", b"no\nepoch", b"job/@claim\n-", b"job/@other"):
            put(settings, topic, key)
    put(settings, Topic.JOBS, b"job")

    assert [record.value for record in open_log().read(Topic.COMMANDS).records] == [b"ours"]
    assert open_log().read(Topic.JOBS).records == ()


def test_who_reads_what_is_there_does_not_wait_for_what_is_not(open_log: OpenLog) -> None:
    """A broker keeps a request for news until there is some: reads of other places must not stand behind it."""
    log = open_log()
    jobs = [f"job-{number}" for number in range(20)]
    for job in jobs:
        log.append(Topic.COMMANDS, job, b"stop")
        log.append(Topic.DECISIONS, job, b"3")
    began = clock.now()

    for job in jobs:
        for topic in (Topic.COMMANDS, Topic.DECISIONS):
            assert newest(log, topic, scope=job)
            log.end([topic])

    assert clock.now() - began < len(jobs) * KAFKA_FETCH_S


def test_topics_keep_what_their_policies_say(settings: KafkaSettings, open_log: OpenLog) -> None:
    open_log()

    found = configurations(settings)

    assert {topic: values["cleanup.policy"] for topic, values in found.items()} == {
        topic: "compact" if policy.kept_s is None else "delete" for topic, policy in POLICIES.items()
    }
    assert found[Topic.REPORTS]["retention.ms"] == "3600000"


def test_a_topic_that_keeps_something_else_is_refused_by_name_and_setting(settings: KafkaSettings) -> None:
    make(settings, Topic.JOBS, {"cleanup.policy": "delete"})
    make(settings, Topic.COMMANDS, {"retention.ms": "1000", "max.message.bytes": "1000"})

    with pytest.raises(StateError) as refusal:
        KafkaLog(settings)

    for words in (
        f"{settings.prefix}.jobs has cleanup.policy=delete, and needs compact",
        f"{settings.prefix}.commands has retention.ms=1000, and needs 604800000",
        f"{settings.prefix}.commands has max.message.bytes=1000",
    ):
        assert words in str(refusal.value)


def test_commands_and_reports_of_a_job_must_lie_in_partitions_of_one_number(settings: KafkaSettings) -> None:
    make(replace(settings, partitions=settings.partitions + 1), Topic.REPORTS, configuration(POLICIES[Topic.REPORTS]))

    with pytest.raises(StateError, match=r"partitions of .*\.commands, and .* of .*\.reports: they must be as many"):
        KafkaLog(settings)


def test_a_prefix_that_is_refused_is_left_as_it_was(settings: KafkaSettings) -> None:
    make(settings, Topic.JOBS, {"cleanup.policy": "delete"})

    with pytest.raises(StateError):
        KafkaLog(settings)

    assert [topic for topic, values in configurations(settings).items() if values] == [Topic.JOBS]


def test_a_broker_that_does_not_answer_is_named() -> None:
    ((port, _),) = free_ports(1)

    with pytest.raises(LogError) as refusal:
        KafkaLog(KafkaSettings(f"127.0.0.1:{port}"))

    assert f"Kafka at 127.0.0.1:{port} (PLAINTEXT) cannot be used now" in str(refusal.value)
    assert "Connect call failed" in str(refusal.value)


@pytest.mark.parametrize(
    ("speaks", "told"), [(KAFKA_0_10, "its brokers are too old"), (None, "closed")], ids=["0.10", "0.9"]
)
def test_brokers_that_are_too_old_are_told(speaks: dict[int, int] | None, told: str) -> None:
    with old_broker(speaks) as address, pytest.raises(LogError, match=told) as refusal:
        KafkaLog(KafkaSettings(address))

    assert f"Kafka at {address} (PLAINTEXT) cannot be used now" in str(refusal.value)
    assert "Kafka 2.1 or later" in refusal.value.advice


def test_who_says_the_right_password_is_let_in_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (ports, (port, _)) = free_ports(2)
    cluster = started(Cluster(tmp_path / "cluster", [ports], Door(port, "me", "right-word")))
    try:
        right = KafkaSettings(
            f"127.0.0.1:{port}", partitions=1, protocol="SASL_PLAINTEXT", user="me", password="right-word"
        )
        with closing(KafkaLog(right)) as log:
            log.append(Topic.COMMANDS, "job", b"let in")
            assert [record.value for record in log.read(Topic.COMMANDS).records] == [b"let in"]

        with pytest.raises(LogError) as refusal:
            KafkaLog(replace(right, password="wrong-word"))

        monkeypatch.setenv("A_WORD", "wrong-word")
        security = {"protocol": "SASL_PLAINTEXT", "username": "me", "password": "${A_WORD}"}
        (told,) = kafka_problems({"bootstrap": f"127.0.0.1:{port}", "topic": "results", "security": security})
    finally:
        cluster.kill()

    assert "(SASL_PLAINTEXT) cannot be used now" in str(refusal.value)
    assert "Authentication" in str(refusal.value)
    assert "KAFKA_*" in refusal.value.advice
    assert "wrong-word" not in str(refusal.value)
    assert f"Kafka at 127.0.0.1:{port} (SASL_PLAINTEXT as user me) cannot be used" in told, "a connector says the same"
    assert "Authentication" in told
    assert "wrong-word" not in told


def test_a_log_outlives_its_broker_and_finds_it_at_another_address(tmp_path: Path) -> None:
    """While it is away appends say so, followers wait; then both go on, and nothing is lost or there twice."""
    (ports, (elsewhere, _)) = free_ports(2)
    cluster = started(Cluster(tmp_path / "cluster", [ports]))
    log = KafkaLog(KafkaSettings(f"{cluster.bootstrap},127.0.0.1:{elsewhere}", partitions=1))
    try:
        follower = log.follow([Topic.COMMANDS])
        log.append(Topic.COMMANDS, "job", b"before")
        assert [record.value for record in follower.poll(PATIENCE_S)] == [b"before"]
        cluster.kill()

        with pytest.raises(LogError, match="cannot be used now"):
            log.append(Topic.COMMANDS, "job", b"meanwhile")
        assert follower.poll(0.1) == ()

        cluster.resume()
        log.append(Topic.COMMANDS, "job", b"after")
        found: list[bytes | None] = []
        while b"after" not in found:
            found += [record.value for record in follower.poll(PATIENCE_S)]
        assert found in ([b"after"], [b"meanwhile", b"after"]), "what has failed may have happened"

        cluster.kill()
        cluster.move(0, elsewhere)
        cluster.resume()
        log.append(Topic.COMMANDS, "job", b"elsewhere")
        assert [record.value for record in follower.poll(PATIENCE_S)] == [b"elsewhere"]
        assert newest(log, Topic.COMMANDS)["job"].value == b"elsewhere"
    finally:
        log.close()
        cluster.kill()
