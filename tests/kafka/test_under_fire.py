"""Three brokers while brokers, and instances, are killed: nothing is lost, and nothing is there twice.

The control log and the connectors are tried on the same brokers, since three of them take long to start.
"""

from __future__ import annotations

import subprocess
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import pytest

from streamer.errors import LogError
from streamer.kafka.settings import KafkaSettings
from streamer.log.kafka.log import KafkaLog
from streamer.log.topics import Topic
from streamer.testing.log_contract import PATIENCE_S
from tests.cli.command import Desk
from tests.conftest import Tell
from tests.kafka.broker import started
from tests.kafka.cluster import Cluster, free_ports
from tests.kafka.topic import Topic as Records

JOBS = 3
COUNT = 2_000
_OPENED = 10
"""Each time some requests go to any of the three."""
VICTIMS = ("save-0", "", "numbers-0", "relay-0", "save-0")
"""Instances in the order in which they are killed, and a broker."""
PIPELINE = """
  - {{nodeName: numbers, kind: source, minReplicas: 2,
      spec: {{connector: kafka, bootstrap: "{bootstrap}", topics: {numbers}, group: readers, untilEnd: true}}}}
  - {{nodeName: relay, kind: algorithm, algorithmName: relay, stateType: stateless, minStatelessCount: 2}}
  - {{nodeName: save, kind: sink,
      spec: {{connector: kafka, bootstrap: "{bootstrap}", topic: {results}, exactlyOnce: true}}}}
"""
ALGORITHMS = "---\n{name: relay, code: {path: relay.py}}\n"
RELAY = """
import time

def start(args, api):
    time.sleep(0.002)
    return args["streamInput"]["message"]
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    three = started(Cluster(tmp_path_factory.mktemp("brokers") / "cluster", free_ports(3)))
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


def test_each_record_goes_from_kafka_to_kafka_once_whatever_is_killed(
    cluster: Cluster, tmp_path: Path, tell: Tell
) -> None:
    numbers = Records(cluster.bootstrap, 4, copies=3)
    results = Records(cluster.bootstrap, 2, copies=3)
    numbers.fill(b"%d" % n for n in range(COUNT))
    desk = Desk(tmp_path)
    desk.write("relay.py", RELAY)
    nodes = PIPELINE.format(bootstrap=cluster.bootstrap, numbers=numbers.name, results=results.name)
    desk.pipeline(nodes, "{main: numbers >> relay >> save}", ALGORITHMS)
    victims, arrived = deque(VICTIMS), 0

    with desk.started("run", "pipeline.yaml", "--json") as job:
        while job.process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                job.process.wait(timeout=0.1)
            before, arrived = arrived, results.count()
            if not victims or arrived == before:
                continue  # it is killed at work, and not before it has done anything
            if (victim := victims.popleft()) == "":
                cluster.kill_one(0)
            elif desk.process_of(victim) is not None:
                desk.kill(victim)
            else:
                victims.appendleft(victim)
        done = job.finish()

    assert done.code == 0, done.stderr
    assert not victims, "all of them were killed while there was work"
    assert sorted(int(value) for value in results.values()) == list(range(COUNT))
    restarts = {node["node"]: node["restarts"] for node in done.account["nodes"]}
    tell(f"{COUNT} records from Kafka to Kafka, exact, under kills of a broker and of instances: {restarts}")


def test_the_log_is_opened_while_the_others_still_name_a_broker_that_has_died(cluster: Cluster) -> None:
    """Last of all, as the brokers are not made whole again for others."""
    cluster.kill()
    cluster.resume()
    settings = KafkaSettings(cluster.bootstrap, prefix="opened", partitions=1)
    with closing(KafkaLog(settings)) as log:
        log.append(Topic.COMMANDS, "job", b"before")
    cluster.kill_one(0)

    for _ in range(_OPENED):
        KafkaLog(settings).close()
