"""The controller as an application of Faust: several workers share the jobs, and one takes over when another dies.

Faust gives what a controller cannot make itself: who of the workers is there, which partitions, and so which jobs, are
whose, and every command and report carried to the one that leads. It carries at least once, and again after a
rebalance, also where a partition stays; its exactly-once mode does not survive one (faust-streaming 0.15.3). So nothing
is built on it that repeats would break: the log decides who leads a job, wishes are numbered by their offsets, and
reports speak of lives. Its table is a cache for whoever wants to know which jobs there are: the log has the truth.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faust
from faust.types import TP

from streamer.cluster_limits import (
    CONTROLLER_RETRY_S,
    CONTROLLER_SESSION_S,
)
from streamer.control.cluster.feed import ThreadFeed, ThreadPost
from streamer.control.cluster.host import ClusterHost
from streamer.control.cluster.leading import Leading
from streamer.control.cluster.wire import MEMBERS
from streamer.control.records import job_line
from streamer.errors import LogError, StateError
from streamer.kafka.settings import KafkaSettings
from streamer.log.base import ControlLog, Record, newest
from streamer.log.kafka.log import KafkaLog
from streamer.log.kafka.records import record_of
from streamer.log.kafka.topics import name_of
from streamer.log.topics import Topic

_GROUP = "controller"
_HEARTBEAT_S = 1.0
_LOGGERS = ("faust", "mode", "aiokafka")


class Controller:
    """One worker. `log` becomes its own; `say` hears, from any thread, what people should know."""

    def __init__(
        self, settings: KafkaSettings, log: KafkaLog, name: str, folder: Path, say: Callable[[str], None]
    ) -> None:
        self._settings = settings
        self._name = name
        self._folder = folder
        self._say = say
        self._log = log
        self._complaint = ""
        for logger in _LOGGERS:
            logging.getLogger(logger).setLevel(logging.CRITICAL)  # what matters of theirs is said in our words

    async def serve(self, stop: asyncio.Event, ready: Callable[[], None]) -> None:
        """Lead what is this worker's until `stop`. A crash of Faust's is told, and it begins again."""
        leading = Leading(self._begin, self._complain)
        try:
            while not stop.is_set():
                await self._worked(leading, stop, ready)
        finally:
            await asyncio.to_thread(leading.close)
            await asyncio.to_thread(self._log.close)

    async def _worked(self, leading: Leading, stop: asyncio.Event, ready: Callable[[], None]) -> None:
        app = self._app(leading)
        try:
            await app.start()
            ready()
            while not (stop.is_set() or app.crashed or app.should_stop):
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), _HEARTBEAT_S)
            if app.crashed:
                self._say(f"Faust has failed, and begins again: {app.crash_reason or 'no reason is known'}")
        except Exception as error:  # noqa: BLE001  # a client of Kafka's raises anything; the jobs must be led again
            self._say(f"Faust cannot work now, and tries again: {error}")
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), CONTROLLER_RETRY_S)
        finally:
            await app.stop()

    def _app(self, leading: Leading) -> faust.App:
        settings = self._settings
        app = faust.App(
            f"{settings.prefix}.{_GROUP}",
            broker=[f"kafka://{address}" for address in settings.bootstrap.split(",")],
            broker_credentials=_credentials(settings),
            store="memory://",
            web_enabled=False,
            key_serializer="raw",
            value_serializer="raw",
            topic_partitions=self._log.layout.partitions[Topic.COMMANDS],
            topic_replication_factor=self._log.layout.replicas,
            broker_session_timeout=CONTROLLER_SESSION_S,
            broker_heartbeat_interval=_HEARTBEAT_S,
            table_standby_replicas=1,
            datadir=self._folder,
            loghandlers=[],
        )
        jobs = app.Table("jobs", default=dict, partitions=self._log.layout.partitions[Topic.COMMANDS])
        commands, reports = (
            app.topic(name_of(settings, topic), key_type=bytes, value_type=bytes, internal=False)
            for topic in (Topic.COMMANDS, Topic.REPORTS)
        )

        @app.agent(commands)
        async def on_commands(stream: Any) -> None:
            async for event in stream.events():
                record = _record(Topic.COMMANDS, event.message)
                if record is not None:
                    await _carried(leading, record)
                    jobs[record.scope] = await asyncio.to_thread(self._line, record.scope)

        @app.agent(reports)
        async def on_reports(stream: Any) -> None:
            async for event in stream.events():
                record = _record(Topic.REPORTS, event.message)
                if record is not None:
                    leading.carry(record)

        async def on_assigned(_app: Any, assigned: set[TP], **_more: Any) -> None:
            topic = name_of(settings, Topic.COMMANDS)
            numbers = frozenset(place.partition for place in assigned if place.topic == topic)
            leading.lead(lambda job: self._log.partition_of(Topic.COMMANDS, job) in numbers)

        app.on_partitions_assigned.connect(on_assigned, weak=False)  # type: ignore[arg-type]  # it takes coroutines
        return app

    def _begin(self) -> tuple[ControlLog, ClusterHost]:
        """The host, in the thread that leads: each of its logs is used by one thread."""
        log = KafkaLog(self._settings)
        claims = ThreadFeed(lambda: KafkaLog(self._settings), [Topic.JOBS], self._complain, from_now=True)
        members = ThreadFeed(
            lambda: KafkaLog(self._settings), [Topic.REPORTS], self._complain, scope=MEMBERS, from_now=True
        )
        post = ThreadPost(lambda: KafkaLog(self._settings), self._complain)
        return log, ClusterHost(log, self._name, claims, members, post, self._say)

    def _line(self, job: str) -> dict[str, object]:
        """What the table keeps of a job. The log of this object is used by one thread at a time: the agent waits."""
        line = None
        with suppress(LogError, StateError):
            line = job_line(newest(self._log, Topic.JOBS, scope=job), job)
        return {} if line is None else {"status": line.status, "wish": line.wish}

    def _complain(self, text: str) -> None:
        """Once, as long as it is the same."""
        if text != self._complaint:
            self._complaint = text
            self._say(text)


@dataclass(slots=True)
class _Message:
    """As clients of Kafka have it: Faust gives the time in seconds, and they in milliseconds."""

    key: bytes | None
    value: bytes | None
    offset: int
    partition: int
    timestamp: int


def _record(topic: Topic, found: Any) -> Record | None:
    message = _Message(found.key, found.value, found.offset, found.partition, round(found.timestamp * 1000))
    return record_of(topic, message)


async def _carried(leading: Leading, record: Any) -> None:
    """Until the log has what came of it: Faust gives it again otherwise."""
    loop = asyncio.get_running_loop()
    kept = loop.create_future()

    def settle() -> None:
        if not kept.done():
            kept.set_result(None)

    def done() -> None:
        loop.call_soon_threadsafe(settle)

    leading.carry(record, done)
    await kept


def _credentials(settings: KafkaSettings) -> Any:
    """Of Faust's own kinds, for the protocols that Kafka has."""
    options = settings.client()
    context = options.get("ssl_context")
    if settings.protocol.startswith("SASL"):
        return faust.SASLCredentials(
            username=settings.user, password=settings.password, ssl_context=context, mechanism=settings.mechanism
        )
    return faust.SSLCredentials(context) if context is not None else None
