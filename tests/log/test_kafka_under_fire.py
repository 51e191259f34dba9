"""The control log on three brokers, while brokers are killed: nothing that was acknowledged is lost, or there twice."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import pytest

from streamer.errors import LogError
from streamer.kafka.settings import KafkaSettings
from streamer.log.kafka.log import KafkaLog
from streamer.log.topics import Topic
from streamer.testing.log_contract import PATIENCE_S
from tests.conftest import Tell
from tests.kafka.broker import started
from tests.kafka.cluster import Cluster, free_ports

JOBS = 3


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    three = started(Cluster(tmp_path / "cluster", free_ports(3)))
    yield three
    three.kill()


@dataclass
class Written:
    """What a writer knows: appended, or perhaps, since the append has failed."""

    certain: list[bytes] = field(default_factory=list)
    perhaps: list[bytes] = field(default_factory=list)
    grown: Event = field(default_factory=Event)

    def wait_for_more(self) -> None:
        """Until one more append has succeeded."""
        self.grown.clear()
        assert self.grown.wait(PATIENCE_S), "no append succeeds any more"


def write(log: KafkaLog, written: Written, stop: Event) -> None:
    """Append numbered commands to several jobs until told to stop."""
    number = 0
    while not stop.is_set():
        value = b"%d" % number
        try:
            log.append(Topic.COMMANDS, f"job{number % JOBS}", value)
        except LogError:
            written.perhaps.append(value)
        else:
            written.certain.append(value)
            written.grown.set()
        number += 1


def follow(log: KafkaLog, last: Event) -> list[bytes]:
    """All that a follower gives, until nothing more can come."""
    follower = log.follow([Topic.COMMANDS])
    found: list[bytes] = []
    while True:
        over = last.is_set()
        records = follower.poll(0.0 if over else 0.1)
        found += [record.value for record in records if record.value is not None]
        if over and not records:
            return found


def test_what_was_acknowledged_is_there_once_whatever_happens_to_brokers(cluster: Cluster, tell: Tell) -> None:
    settings = KafkaSettings(cluster.bootstrap, partitions=JOBS)
    written, stop, last = Written(), Event(), Event()
    with closing(KafkaLog(settings)) as log, closing(KafkaLog(settings)) as reader, ThreadPoolExecutor(2) as threads:
        writing = threads.submit(write, log, written, stop)
        following = threads.submit(follow, reader, last)
        try:
            written.wait_for_more()
            cluster.kill_one(0)
            written.wait_for_more()
            cluster.resume_one(0)
            written.wait_for_more()
            cluster.kill()
            cluster.resume()
            written.wait_for_more()
        finally:
            stop.set()
            writing.result()
            last.set()
        found = following.result()

    lost = set(written.certain) - set(found)
    doubled = [value for value in set(found) if found.count(value) > 1]
    unknown = set(found) - set(written.certain) - set(written.perhaps)
    tell(
        f"one broker killed, then all: {len(written.certain)} records acknowledged, "
        f"{len(written.perhaps)} refused, {len(lost)} lost, {len(doubled)} doubled"
    )
    assert (lost, doubled, unknown) == (set(), [], set())
    for job in range(JOBS):
        of_job = [int(value) for value in found if int(value) % JOBS == job]
        assert of_job == sorted(of_job), "each job in its order"
