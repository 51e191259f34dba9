"""What a measurement of the control plane needs: brokers, the commands of a cluster, and topics of its own.

The brokers are those of `make kafka`'s kind, started for the measurement, unless KAFKA_BOOTSTRAP names others. Commands
are processes, as their users start them, so that the CPU time of each is its own.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.scenario.side import BenchmarkError
from streamer.kafka.settings import KafkaSettings
from streamer.log.kafka.log import KafkaLog
from tests.kafka.cluster import Cluster, free_ports

PATIENCE_S = 600.0
_LOOK_S = 0.02
_END_S = 15.0


class Commands:
    """Commands of `streamer` at one broker, each with what it says in a file."""

    def __init__(self, folder: Path, bootstrap: str) -> None:
        self.folder = folder
        self.settings = KafkaSettings(bootstrap, prefix=f"benchmark-{uuid.uuid4().hex[:8]}")
        self._begun: dict[str, subprocess.Popen[bytes]] = {}

    def open_log(self) -> KafkaLog:
        return KafkaLog(self.settings)

    def start(self, name: str, command: str, *options: str) -> subprocess.Popen[bytes]:
        """A controller or an agent of this name that is ready. Raises BenchmarkError."""
        told = self.folder / f"{name}.log"
        variables = {
            "STREAMER_HOME": str(self.folder / name),
            "STREAMER_KAFKA": self.settings.bootstrap,
            "KAFKA_TOPIC_PREFIX": self.settings.prefix,
        }
        with told.open("wb") as output:
            begun = subprocess.Popen(
                [sys.executable, "-m", "streamer", command, "--name", name, *options],
                env={**os.environ, **variables},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self._begun[name] = begun
        until(lambda: "is ready" in told.read_text() or begun.poll() is not None, lambda: told.read_text())
        if begun.poll() is not None:
            raise BenchmarkError(f"{command} {name} has ended: {told.read_text()}")
        return begun

    def close(self) -> None:
        for begun in self._begun.values():
            begun.send_signal(signal.SIGTERM)
        for begun in self._begun.values():
            try:
                begun.wait(_END_S)
            except subprocess.TimeoutExpired:
                begun.kill()
                begun.wait()


@contextmanager
def opened_commands() -> Iterator[Commands]:
    """With a broker for as long. Raises KafkaUnavailableError where none can be started."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as text, _bootstrap(Path(text)) as bootstrap:
        commands = Commands(Path(text), bootstrap)
        try:
            yield commands
        finally:
            commands.close()


@contextmanager
def _bootstrap(folder: Path) -> Iterator[str]:
    if named := os.environ.get("KAFKA_BOOTSTRAP"):
        yield named
        return
    cluster = Cluster(folder / "brokers", free_ports(1))
    cluster.start()
    try:
        yield cluster.bootstrap
    finally:
        cluster.kill()


def until(true: Callable[[], bool], told: Callable[[], str]) -> None:
    """Raises BenchmarkError with what is `told` if it does not come true."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        if time.monotonic() > deadline:
            raise BenchmarkError(f"it has not come about within {PATIENCE_S:g} s: {told()}")
        time.sleep(_LOOK_S)
