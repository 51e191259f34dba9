"""The broker that tests share: started by the first that asks, one for each process of tests.

Without Java a test that needs it is skipped on a laptop, which the summary counts, and fails where CI is set.
KAFKA_BOOTSTRAP names a cluster that is used instead.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from tests.kafka.cluster import Cluster, free_ports
from tests.kafka.jars import KafkaUnavailableError

_NICENESS = 10
"""A JVM that starts takes two cores for seconds, and other tests are at work beside it."""


@cache
def _started() -> str:
    """Its bootstrap address. Raises KafkaUnavailableError."""
    if bootstrap := os.environ.get("KAFKA_BOOTSTRAP"):
        return bootstrap
    folder = Path(tempfile.mkdtemp(prefix="kafka-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    cluster = Cluster(folder / "cluster", free_ports(1))
    cluster.niceness = _NICENESS
    cluster.start()
    atexit.register(cluster.kill)
    return cluster.bootstrap


def bootstrap() -> str:
    """The address of a real broker, or no test."""
    with or_no_test():
        _started()
    return _started()


def started(cluster: Cluster, *, niceness: int = _NICENESS) -> Cluster:
    """Brokers of a test's own, which it may kill, or no test."""
    cluster.niceness = niceness
    with or_no_test():
        cluster.start()
    return cluster


@contextmanager
def or_no_test() -> Iterator[None]:
    """What needs Java is skipped without it on a laptop, and fails where CI is set."""
    try:
        yield
    except KafkaUnavailableError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no Kafka: {error}")
