"""`make kafka` and `make kafka-stop`: a real Kafka on this machine, until it is stopped.

KAFKA_PORT is the port of the first broker (9092), each further one is 10 higher; BROKERS says how many (1, or 3 where
one may be lost). With KAFKA_BOOTSTRAP nothing is started: that cluster is used.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

from streamer.cli.output import say, tell
from tests.kafka.cluster import Cluster
from tests.kafka.jars import CACHE, KafkaUnavailableError

_FOLDER = CACHE / "cluster"
_PIDS = _FOLDER / "pids"
_MADE_FOR = b"kafka.Kafka"
_LOOK_S = 5.0


def start() -> int:
    if bootstrap := os.environ.get("KAFKA_BOOTSTRAP"):
        return _use(bootstrap)
    try:
        first, brokers = _number("KAFKA_PORT", 9092, 65_000), _number("BROKERS", 1, 9)
    except ValueError as error:
        tell(str(error))
        return 2
    if _ours():
        tell("Kafka is running already; `make kafka-stop` ends it")
        return 1
    ports = [(first + 10 * number, first + 10 * number + 1) for number in range(brokers)]
    if taken := [port for pair in ports for port in pair if not _is_free(port)]:
        tell(f"another program has port {', '.join(map(str, taken))} of 127.0.0.1: set KAFKA_PORT to another one")
        return 1
    began = time.monotonic()
    cluster = Cluster(_FOLDER, ports)
    tell(f"starting {brokers} broker{'s' if brokers > 1 else ''} of Apache Kafka (the first time it is downloaded)")
    try:
        cluster.start()
    except KafkaUnavailableError as error:
        tell(str(error))
        return 1
    _PIDS.write_text("".join(f"{process.pid}\n" for process in cluster.processes))
    tell(f"ready after {time.monotonic() - began:.1f} s; `make kafka-stop` ends it")
    say(cluster.bootstrap)
    return 0


def _use(bootstrap: str) -> int:
    """A cluster that is there already, if it is."""
    for address in bootstrap.split(","):
        host, _, port = address.strip().rpartition(":")
        with suppress(OSError, ValueError), socket.create_connection((host, int(port)), _LOOK_S):
            say(bootstrap)
            return 0
    tell(f"nobody listens at {bootstrap}, which KAFKA_BOOTSTRAP names")
    return 1


def _number(name: str, default: int, most: int) -> int:
    """Raises ValueError."""
    text = os.environ.get(name) or str(default)
    if not text.isdecimal() or not 0 < int(text) <= most:
        raise ValueError(f"{name} is {text}, and must be a number from 1 to {most}")
    return int(text)


def _is_free(port: int) -> bool:
    with suppress(OSError), socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        return True
    return False


def stop() -> int:
    pids = _ours()
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    tell(f"{len(pids)} broker{'s' if len(pids) != 1 else ''} ended")
    return 0


def _ours() -> list[int]:
    """Brokers that were started here and run: a pid may be somebody else's by now, so its command is looked at."""
    found = []
    for line in _PIDS.read_text().split() if _PIDS.exists() else ():
        with suppress(OSError):
            command = Path("/proc", line, "cmdline").read_bytes()
            if _MADE_FOR in command and str(_FOLDER).encode() in command:
                found.append(int(line))
    return found


if __name__ == "__main__":
    sys.exit({"start": start, "stop": stop}[sys.argv[1]]())
