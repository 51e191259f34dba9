"""A cluster of real brokers on loopback, each a process: started in seconds, killed without waiting.

Each broker is a controller too (KRaft), so nothing else is needed. Everything lies in one folder. A broker is ready
when it answers a Metadata request and counts all brokers in it, which is asked on a bare socket, so that this needs no
client. Brokers are ended with SIGKILL: an orderly end of three of them can take most of a minute.
"""

from __future__ import annotations

import base64
import shutil
import socket
import struct
import subprocess
import time
import uuid
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.kafka.jars import KafkaUnavailableError, jars
from tests.kafka.keys import Keys

_JVM = ("-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
_READY_S = 180.0
_LOOK_S = 0.05
_TOLD_CHARS = 2000
_FAST = """\
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
replica.lag.time.max.ms=2000
replica.fetch.wait.max.ms=200
controller.quorum.election.timeout.ms=500
controller.quorum.fetch.timeout.ms=1000
"""
"""A dead broker is noticed in two seconds, and not in eleven."""
_PROTOCOLS = ("PLAINTEXT:PLAINTEXT", "CONTROLLER:PLAINTEXT", "SASL_PLAINTEXT:SASL_PLAINTEXT", "SASL_SSL:SASL_SSL")


@dataclass(frozen=True)
class Door:
    """One more port of a single broker, for clients that say who they are by SASL/PLAIN, over TLS if it has keys."""

    port: int
    user: str
    password: str
    keys: Keys | None = None

    @property
    def protocol(self) -> str:
        return "SASL_PLAINTEXT" if self.keys is None else "SASL_SSL"

    def properties(self) -> str:
        listener = f"listener.name.{self.protocol.lower()}"
        lines = [
            "sasl.enabled.mechanisms=PLAIN",
            f"{listener}.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required "
            f'user_{self.user}="{self.password}";',
        ]
        if self.keys is not None:
            lines += [
                f"{listener}.ssl.keystore.type=PKCS12",
                f"{listener}.ssl.keystore.location={self.keys.store}",
                f"{listener}.ssl.keystore.password={self.keys.password}",
            ]
        return "\n".join(lines) + "\n"


class Cluster:
    """`ports` are two for each broker: for clients, and for the other brokers."""

    def __init__(self, folder: Path, ports: Sequence[tuple[int, int]], door: Door | None = None) -> None:
        self.folder = folder
        self.ports = list(ports)
        self.door = door
        self.niceness = 0
        """How far the brokers give way to other processes."""
        self.processes: list[subprocess.Popen[bytes]] = []

    @property
    def bootstrap(self) -> str:
        return ",".join(f"127.0.0.1:{port}" for port, _ in self.ports)

    def start(self) -> None:
        """Format, start, and wait until all are ready. Raises KafkaUnavailableError."""
        self._format(jars())
        self.resume()

    def resume(self) -> None:
        """Start all brokers with what they had, and wait until all are ready. Raises KafkaUnavailableError."""
        lib = jars()
        self.processes = [self._begin(lib, number) for number in range(len(self.ports))]
        for number in range(len(self.ports)):
            self._await(number)

    def resume_one(self, number: int) -> None:
        """The same for one of them, counted from 0."""
        self.processes[number] = self._begin(jars(), number)
        self._await(number)

    def move(self, number: int, port: int) -> None:
        """The next life of this broker is at another port, as a pod comes back at another address."""
        self.ports[number] = (port, self.ports[number][1])
        self._settings(number).write_text(self._properties(number))

    def kill_one(self, number: int) -> None:
        self.processes[number].kill()
        self.processes[number].wait()

    def _await(self, number: int) -> None:
        deadline = time.monotonic() + _READY_S
        while not self._is_ready(number):
            if self.processes[number].poll() is not None or time.monotonic() > deadline:
                told = self._output(number).read_text()[-_TOLD_CHARS:]
                self.kill()
                raise KafkaUnavailableError(f"broker {number + 1} did not come up:\n{told}")
            time.sleep(_LOOK_S)

    def kill(self) -> None:
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()

    def _format(self, lib: Path) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        cluster = _kafka_uuid()
        voters = ",".join(f"{n + 1}@127.0.0.1:{port}:{_kafka_uuid()}" for n, (_, port) in enumerate(self.ports))
        how = ["--standalone"] if len(self.ports) == 1 else ["--initial-controllers", voters]
        formats = []
        for number in range(len(self.ports)):
            self._settings(number).write_text(self._properties(number))
            command = ["format", "-t", cluster, "-c", str(self._settings(number)), *how]
            formats.append(
                subprocess.Popen(
                    self._java(lib, "kafka.tools.StorageTool", *command),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                )
            )
        for process in formats:
            told, _ = process.communicate()
            if process.returncode:
                raise KafkaUnavailableError(f"a broker's folder cannot be made:\n{told.decode()[-_TOLD_CHARS:]}")

    def _begin(self, lib: Path, number: int) -> subprocess.Popen[bytes]:
        with self._output(number).open("ab") as output:
            command = self._java(lib, "kafka.Kafka", str(self._settings(number)))
            return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)

    def _java(self, lib: Path, main: str, *arguments: str) -> list[str]:
        return ["nice", "-n", str(self.niceness), "java", *_JVM, "-cp", f"{lib}/*", main, *arguments]

    def _is_ready(self, number: int) -> bool:
        with suppress(OSError, struct.error):
            return brokers_at(self.ports[number][0]) >= len(self.ports)
        return False

    def _settings(self, number: int) -> Path:
        return self.folder / f"broker-{number + 1}.properties"

    def _output(self, number: int) -> Path:
        return self.folder / f"broker-{number + 1}.log"

    def _properties(self, number: int) -> str:
        port, inner_port = self.ports[number]
        listeners = f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{inner_port}"
        if self.door is not None:
            listeners += f",{self.door.protocol}://127.0.0.1:{self.door.port}"
        copies = min(3, len(self.ports))
        least = 2 if copies == 3 else 1
        return f"""\
process.roles=broker,controller
node.id={number + 1}
listeners={listeners}
advertised.listeners={listeners}
controller.listener.names=CONTROLLER
listener.security.protocol.map={",".join(_PROTOCOLS)}
controller.quorum.bootstrap.servers={",".join(f"127.0.0.1:{inner}" for _, inner in self.ports)}
log.dirs={self.folder / f"broker-{number + 1}"}
default.replication.factor={copies}
min.insync.replicas={least}
offsets.topic.replication.factor={copies}
offsets.topic.num.partitions=4
transaction.state.log.replication.factor={copies}
transaction.state.log.min.isr={least}
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor={copies}
share.coordinator.state.topic.min.isr={least}
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
auto.create.topics.enable=false
log.cleaner.dedupe.buffer.size=4194304
log.segment.bytes=67108864
metadata.log.segment.bytes=16777216
{"" if self.door is None else self.door.properties()}{_FAST}"""


def free_ports(brokers: int) -> list[tuple[int, int]]:
    """Two for each broker, free a moment ago."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(2 * brokers)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        ports = [int(one.getsockname()[1]) for one in sockets]
    return list(zip(ports[::2], ports[1::2], strict=True))


def brokers_at(port: int, timeout_s: float = 1.0) -> int:
    """How many brokers the one at this port knows. Raises OSError or struct.error until it answers."""
    with socket.create_connection(("127.0.0.1", port), timeout_s) as connection:
        connection.settimeout(timeout_s)
        request = struct.pack(">hhih", 3, 4, 1, 1) + b"p" + struct.pack(">ib", 0, 0)  # Metadata v4, of no topic
        connection.sendall(struct.pack(">i", len(request)) + request)
        stream = connection.makefile("rb")
        answer = stream.read(struct.unpack(">i", stream.read(4))[0])
    (count,) = struct.unpack_from(">i", answer, 8)  # behind the correlation id and the throttle time
    return int(count)


def _kafka_uuid() -> str:
    """What `StorageTool random-uuid` prints, without the start of a JVM."""
    while (text := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return text
