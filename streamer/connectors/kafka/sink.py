"""A topic of Kafka as a sink: records are sent as they come, and count with the next checkpoint.

A checkpoint waits until the cluster has all of them, and only then are messages settled; so a cluster that is away for
a while loses nothing and ends nobody: the checkpoint is tried again, and the pipeline fills up and waits. As it is,
a killed sink writes again what was not in a checkpoint. With `exactlyOnce` records, and the marks by which the runtime
knows repeats, are one transaction: readers that ask for committed records see each message once.
"""

from __future__ import annotations

import os
import time
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any

from streamer.connectors.base import Owner, RefusedRecordsError
from streamer.connectors.kafka.complaints import Complaints
from streamer.connectors.kafka.delivery import Delivery
from streamer.connectors.kafka.rows import Row, RowEncoder
from streamer.connectors.kafka.topics import KAFKA_ERRORS
from streamer.errors import ConnectorError, OptionError
from streamer.kafka.limits import RETRY_MAX_S, RETRY_S, SINK_ANSWER_S, TRANSACTION_S
from streamer.kafka.loop import LoopThread
from streamer.kafka.settings import KafkaSettings
from streamer.kafka.spec import settings_of
from streamer.kafka.words import told

_REMEDY = "It is tried again. See that the brokers can be reached from here, and that the user may write to the topic."


class KafkaSink:
    """`spec` is that of a descriptor, with its defaults. It is a `CheckpointedSink`."""

    refuses = True

    def __init__(self, spec: Mapping[str, Any], owner: Owner) -> None:
        self._spec = spec
        self._owner = owner
        self._encoder = RowEncoder(spec)
        self._settings = KafkaSettings("")
        self._delivery: Delivery | None = None
        self._thread: LoopThread | None = None
        self._kept: list[Sequence[Row]] = []
        self._count = 0
        self._refused: dict[int, Exception] = {}
        self._restarted = False

    def open(self, restarted: bool) -> None:
        self._restarted = restarted
        self._settings = settings_of(self._spec, os.environ)
        try:
            options = self._settings.client()
        except OptionError as error:
            raise ConnectorError(str(error), remedy=error.advice) from error
        self._thread = LoopThread("kafka sink")
        exact = f"streamer.{self._owner.job}.{self._owner.instance}" if self._spec["exactlyOnce"] else ""
        self._delivery = Delivery(
            options,
            self._spec["topic"],
            exact=exact,
            marks_topic=self._spec["marksTopic"],
            epoch=self._owner.epoch,
        )

    def restore(self) -> bytes:
        """Of an exact sink, what is in force. It must be known before anything is written: it is waited for."""
        if not self._spec["exactlyOnce"]:
            return b""
        complaints = Complaints(self._owner.node, self._settings.bootstrap)
        retry_s = RETRY_S
        while True:
            try:
                note = self._run(self._opened().restored(), SINK_ANSWER_S + TRANSACTION_S)
            except ConnectorError as error:
                complaints.tell(f"{error}; trying again")
                time.sleep(retry_s)
                retry_s = min(2 * retry_s, RETRY_MAX_S)
            else:
                complaints.over()
                return note.marks if note is not None and self._restarted else b""

    def write(self, values: Sequence[object]) -> None:
        delivery = self._opened()
        rows, refused = self._encoder.rows(values, delivery.row_bytes_max)
        for index, error in refused.items():
            self._refused[self._count + index] = error
        self._count += len(values)
        if rows and self._thread is not None:
            self._kept.append(rows)
            self._thread.loop.call_soon_threadsafe(delivery.offer, rows)

    def checkpoint(self, note: bytes) -> None:
        if self._refused:
            refused, self._refused = self._refused, {}
            self._count -= len(refused)
            raise RefusedRecordsError(refused)
        self._run(self._opened().checkpoint(self._kept, note), SINK_ANSWER_S)
        self._kept.clear()
        self._count = 0

    def close(self) -> None:
        """The job has no more to write."""
        if self._thread is not None and self._delivery is not None:
            with suppress(ConnectorError):
                self._run(self._delivery.end(), SINK_ANSWER_S)
            self._thread.close()
            self._thread = None

    def _run(self, work: Coroutine[Any, Any, Any], timeout_s: float) -> Any:
        """Wait for it in the loop. Raises ConnectorError, and FencedError."""
        assert self._thread is not None
        try:
            return self._thread.run(work, timeout_s)
        except KAFKA_ERRORS as error:
            raise ConnectorError(
                f"topic {self._spec['topic']!r} of Kafka at {self._settings.bootstrap} cannot be written now: "
                f"{told(error, timeout_s, self._thread.said())}",
                remedy=_REMEDY,
            ) from error

    def _opened(self) -> Delivery:
        if self._delivery is None:
            raise ConnectorError(f"the sink of topic {self._spec['topic']!r} is used before it was opened")
        return self._delivery
