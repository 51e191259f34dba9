"""`make kafka` and `make kafka-stop`: a real Kafka on this machine, until it is stopped.

KAFKA_PORT is the port of the first broker (9092), each further one is 10 higher; BROKERS says how many (1, or 3 where
one may be lost). With KAFKA_BOOTSTRAP nothing is started: that cluster is used.
"""

from __future__ import annotations

import os
import signal
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


def start() -> int:
    if bootstrap := os.environ.get("KAFKA_BOOTSTRAP"):
        say(bootstrap)
        return 0
    first, brokers = int(os.environ.get("KAFKA_PORT", "9092")), int(os.environ.get("BROKERS", "1"))
    if _ours():
        tell("Kafka is running already; `make kafka-stop` ends it")
        return 1
    began = time.monotonic()
    cluster = Cluster(_FOLDER, [(first + 10 * number, first + 10 * number + 1) for number in range(brokers)])
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
