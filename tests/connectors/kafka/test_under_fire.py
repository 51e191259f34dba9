"""Kafka to pipeline to Kafka is exact, to the message, while instances and one broker of three are killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cli.command import Desk
from tests.conftest import Tell
from tests.kafka.broker import started
from tests.kafka.cluster import Cluster, free_ports
from tests.kafka.topic import Topic
from tests.runtime.test_exactly_once_job import instances_of

COUNT = 4_000
KILLS = 5
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


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    three = started(Cluster(tmp_path / "cluster", free_ports(3)))
    yield three
    three.kill()


def test_each_record_comes_out_once_whatever_is_killed(cluster: Cluster, tmp_path: Path, tell: Tell) -> None:
    numbers = Topic(cluster.bootstrap, 4, copies=3)
    results = Topic(cluster.bootstrap, 2, copies=3)
    numbers.fill(b"%d" % n for n in range(COUNT))
    desk = Desk(tmp_path)
    desk.write("relay.py", RELAY)
    nodes = PIPELINE.format(bootstrap=cluster.bootstrap, numbers=numbers.name, results=results.name)
    desk.pipeline(nodes, "{main: numbers >> relay >> save}", ALGORITHMS)
    chance, kills, lately = random.Random(7), Counter[str](), deque[str](maxlen=3)

    with desk.started("run", "pipeline.yaml", "--json") as job:
        grown = 0
        while job.process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                job.process.wait(timeout=0.2)
            before, grown = grown, results.count()
            if grown == before or kills.total() > KILLS or job.process.poll() is not None:
                continue  # it is killed at work, and not before it has done anything
            if kills.total() == 2:
                cluster.kill_one(0)
                kills["a broker"] += 1
                continue
            living = [found for found in instances_of(desk) if found[0] not in lately]
            for name, process in chance.sample(living, min(1, len(living))):
                lately.append(name)
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
                    kills[name.rpartition("-")[0]] += 1
        done = job.finish()

    assert done.code == 0, done.stderr
    assert sorted(int(value) for value in results.values()) == list(range(COUNT))
    tell(f"{COUNT} records from Kafka to Kafka, exact, under kills of {dict(kills)}")
