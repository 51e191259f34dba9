"""Kafka to map to Kafka, beside Quix Streams and Faust on the same broker in the same run.

The topic holds a backlog of JSON messages `{"id": n, "data": 100 characters}` in four partitions, more than anyone gets
through in a measurement. Each side reads it from the beginning in a group of its own, adds one to each `id`, and writes
JSON into a topic of its own: ours is `streamer run` of a source, a stateless algorithm with one instance and a sink, so
it is four processes with its supervisor; each of the others is one. How much has arrived is asked of the broker: the
ends of the partitions, in which a mark of a transaction counts as a message. What has arrived is read back at the end,
and none may be there twice.

At least once all of them take part, exactly once ours and Quix Streams, both by transactions: the exactly-once mode of
Faust ends its worker at the first rebalance.

    python -m benchmarks.peers.kafka [--rounds 5] [--window 2] [--only TEXT] [--json FILE]

The broker is one of its own, or what KAFKA_BOOTSTRAP names; it takes part in what the machine has for all sides.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import cache, partial
from pathlib import Path
from types import TracebackType

import psutil
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from benchmarks.aims import Aim
from benchmarks.peers.environment import PROGRAMS, interpreter
from benchmarks.record import ROOT
from benchmarks.scenario.rounds import Case, Entrant, Rounds
from benchmarks.scenario.side import BenchmarkError, Side
from streamer.kafka.loop import LoopThread

PAYLOAD_CHARS = 100
BACKLOG = 600_000
PARTITIONS = 4
_WARM_UP_S = 1.0
_WINDOW_S = 2.0
_ANSWER_S = 60.0
_READY_S = 90.0
_END_S = 20.0

AT_LEAST_ONCE = "at-least-once"
EXACTLY_ONCE = "exactly-once"


class Desk:
    """The broker, the backlog on it, and one client to ask it."""

    def __init__(self, bootstrap: str, backlog: int) -> None:
        self.bootstrap = bootstrap
        self.backlog = backlog
        self._thread = LoopThread("benchmark")
        self._asker: AIOKafkaConsumer | None = None
        self.source = self.topic()
        self._thread.run(self._fill(), _ANSWER_S)

    def topic(self) -> str:
        """A new one."""
        name = f"bench-{uuid.uuid4().hex[:12]}"
        self._thread.run(self._make(name), _ANSWER_S)
        return name

    async def _make(self, name: str) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(name, PARTITIONS, 1)])
        finally:
            await admin.close()

    async def _fill(self) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, max_batch_size=1 << 18)
        await producer.start()
        try:
            batch, part = producer.create_batch(), 0
            for number in range(self.backlog):
                value = json.dumps({"id": number, "data": "x" * PAYLOAD_CHARS}).encode()
                if batch.append(key=None, value=value, timestamp=None) is None:
                    await producer.send_batch(batch, self.source, partition=part % PARTITIONS)
                    batch, part = producer.create_batch(), part + 1
                    batch.append(key=None, value=value, timestamp=None)
            await producer.send_batch(batch, self.source, partition=part % PARTITIONS)
        finally:
            await producer.stop()

    def close(self) -> None:
        if self._asker is not None:
            self._thread.run(self._asker.stop(), _ANSWER_S)
        self._thread.close()

    def count(self, topic: str) -> int:
        """What has arrived there."""
        return self._thread.run(self._count(topic), _ANSWER_S)

    async def _count(self, topic: str) -> int:
        if self._asker is None:
            self._asker = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, group_id=None)
            await self._asker.start()
        return sum((await self._asker.end_offsets(_places(topic))).values())

    def ids(self, topic: str) -> list[int]:
        """Of all messages there that are committed."""
        return self._thread.run(self._ids(topic), _ANSWER_S)

    async def _ids(self, topic: str) -> list[int]:
        async with AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap,
            group_id=None,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        ) as consumer:
            consumer.assign(_places(topic))
            ends = await consumer.end_offsets(_places(topic))
            found: list[int] = []
            for place, end in ends.items():
                while await consumer.position(place) < end:
                    messages = (await consumer.getmany(place, timeout_ms=100)).get(place, ())
                    found += [json.loads(message.value)["id"] for message in messages]
            return found


def _places(topic: str) -> list[TopicPartition]:
    return [TopicPartition(topic, number) for number in range(PARTITIONS)]


class KafkaSide:
    """A program that reads the backlog; `command` is given the topic into which it writes, and its group."""

    def __init__(self, desk: Desk, command: Callable[[str, str], Sequence[str]], folder: Path) -> None:
        self._desk = desk
        self._sink = desk.topic()
        self._command = command(self._sink, f"group-{uuid.uuid4().hex[:12]}")
        self._folder = folder
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> KafkaSide:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environment |= {"STREAMER_HOME": str(self._folder / "home"), "PYTHONPATH": str(ROOT)}
        with self._output.open("wb") as output:
            self._child = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=self._folder, env=environment
            )
        deadline = time.monotonic() + _READY_S
        while not self.shown:
            if time.monotonic() > deadline:
                self.__exit__(None, None, None)
                raise BenchmarkError(f"nothing has arrived after {_READY_S:.0f} s{self._last_words()}")
            self.go_on(0.1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child is not None:
            family = self._family()
            for process in family:
                process.kill()
            psutil.wait_procs(family)
            self._child.wait()

    @property
    def _output(self) -> Path:
        return self._folder / "output"

    def _last_words(self) -> str:
        return f": {self._output.read_text(errors='replace')[-2000:]}"

    def _family(self) -> list[psutil.Process]:
        assert self._child is not None
        try:
            first = psutil.Process(self._child.pid)
            return [first, *first.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    @property
    def shown(self) -> int:
        return self._desk.count(self._sink)

    def go_on(self, duration_s: float) -> None:
        time.sleep(duration_s)
        assert self._child is not None
        if self._child.poll() is not None:
            raise BenchmarkError(f"a side has ended{self._last_words()}")

    def processes(self) -> Mapping[str, psutil.Process]:
        """By the names of our nodes, which are in the order of the flow by their letters too."""
        first, *others = self._family()
        return {"first": first, **dict(sorted((_part(process), process) for process in others))}

    def stop(self) -> int:
        """Nothing may be there twice, and the backlog must have lasted; who is stopped half-way has lost nothing."""
        self.__exit__(None, None, None)
        ids = self._desk.ids(self._sink)
        if len(set(ids)) != len(ids):
            raise BenchmarkError(f"of {len(ids)} messages {len(ids) - len(set(ids))} have arrived twice")
        if len(ids) >= self._desk.backlog:
            raise BenchmarkError(f"the backlog of {self._desk.backlog} messages was too small")
        return 0


def _part(process: psutil.Process) -> str:
    """The instance that runs there: its assignment is in the folder of its name."""
    return Path(process.cmdline()[-1]).parent.name


_PIPELINE = """
name: copy
kind: stream
nodes:
  - nodeName: from
    kind: source
    spec: {{connector: kafka, bootstrap: "{bootstrap}", topics: {source}, group: {group}}}
  - {{nodeName: map, kind: algorithm, algorithmName: add, stateType: stateless}}
  - nodeName: to
    kind: sink
    spec: {{connector: kafka, bootstrap: "{bootstrap}", topic: {sink}, exactlyOnce: {exactly}}}
streaming: {{flows: {{main: from >> map >> to}}}}
---
{{name: add, code: {{path: add.py}}}}
"""
_ADD = """
def start(args, api):
    message = args["streamInput"]["message"]
    message["id"] += 1
    return message
"""


def ours(desk: Callable[[], Desk], guarantee: str, folder: Path) -> KafkaSide:
    def command(sink: str, group: str) -> Sequence[str]:
        exactly = str(guarantee == EXACTLY_ONCE).lower()
        names = {"bootstrap": desk().bootstrap, "source": desk().source, "sink": sink, "group": group}
        (folder / "pipeline.yaml").write_text(_PIPELINE.format(exactly=exactly, **names))
        (folder / "add.py").write_text(_ADD)
        return [sys.executable, "-m", "streamer", "run", "pipeline.yaml", "--json"]

    return KafkaSide(desk(), command, folder)


def peer(desk: Callable[[], Desk], code: str, guarantee: str, folder: Path) -> KafkaSide:
    def command(sink: str, group: str) -> Sequence[str]:
        here = (desk().bootstrap, desk().source, sink, group, guarantee)
        return [str(interpreter()), str(PROGRAMS / code), *here]

    return KafkaSide(desk(), command, folder)


def _entrant(name: str, make: Callable[[Path], Side], *packages: str) -> Entrant:
    return Entrant(name, make, packages=packages)


def _aims(guarantee: str, least: Mapping[str, float]) -> Mapping[str, Aim]:
    return {name: Aim(f"Kafka to map to Kafka {guarantee} beside {name}", ratio) for name, ratio in least.items()}


def rounds(desk: Callable[[], Desk]) -> Rounds:
    quix, faust = partial(peer, desk, "quix_map.py"), partial(peer, desk, "faust_map.py")
    return Rounds(
        "peers.kafka",
        "Kafka to map to Kafka beside Quix Streams and Faust.",
        [
            Case(
                AT_LEAST_ONCE,
                [
                    _entrant("Quix Streams", partial(quix, AT_LEAST_ONCE), "quixstreams", "confluent-kafka"),
                    _entrant("Faust", partial(faust, AT_LEAST_ONCE), "faust-streaming", "aiokafka"),
                    Entrant(
                        "engine",
                        partial(ours, desk, AT_LEAST_ONCE),
                        _aims(AT_LEAST_ONCE, {"Quix Streams": 1.2, "Faust": 10}),
                    ),
                ],
                _WARM_UP_S,
            ),
            Case(
                EXACTLY_ONCE,
                [
                    _entrant("Quix Streams", partial(quix, EXACTLY_ONCE), "quixstreams", "confluent-kafka"),
                    Entrant("engine", partial(ours, desk, EXACTLY_ONCE), _aims(EXACTLY_ONCE, {"Quix Streams": 1.2})),
                ],
                _WARM_UP_S,
            ),
        ],
        window_s=_WINDOW_S,
    )


def main(arguments: Sequence[str]) -> int:
    from tests.kafka.cluster import Cluster, free_ports  # the broker of the tests

    with ExitStack() as undo:
        bootstrap = os.environ.get("KAFKA_BOOTSTRAP")
        if bootstrap is None:
            folder = undo.enter_context(tempfile.TemporaryDirectory(prefix="kafka-", ignore_cleanup_errors=True))
            cluster = Cluster(Path(folder) / "cluster", free_ports(1))
            undo.callback(cluster.kill)
            cluster.start()
            bootstrap = cluster.bootstrap

        @cache
        def desk() -> Desk:
            """Not before it is known that something is to be measured: to fill a topic takes a while."""
            return undo.enter_context(closing(Desk(bootstrap, BACKLOG)))

        return rounds(desk).main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
