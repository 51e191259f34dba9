"""Topics of Kafka as a source: partitions that the instances of a node share, and read again where nothing is settled.

Where to read on stands in the consumer group, and nowhere else; so an instance can be killed, moved or joined by others
at any time. A message's id is made from its topic, partition and offset, so that whoever reads it again sends it with
the same id, and nodes that keep repeat marks take it once. What is wrong with the cluster while the job goes on is told
in the instance's log and tried again: it is no reason to die, and to die again.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from streamer.connectors.base import Owner, Records, Share
from streamer.connectors.kafka.complaints import Complaints
from streamer.connectors.kafka.group import Group
from streamer.connectors.kafka.records import MessageDecoder
from streamer.connectors.kafka.shelf import Shelf
from streamer.connectors.kafka.topics import KAFKA_ERRORS
from streamer.errors import ConnectorError, OptionError
from streamer.kafka.loop import LoopThread
from streamer.kafka.spec import resolved, settings_of
from streamer.limits import KAFKA_REQUEST_S

_NO_LETTER = re.compile(r"[^-._A-Za-z0-9]")
"""What Kafka does not take in the name of a member."""


class KafkaSource:
    """`spec` is that of a descriptor, with its defaults."""

    replayable = False
    """Not from a mark of ours: the group knows where to read on."""

    def __init__(self, spec: Mapping[str, Any], owner: Owner) -> None:
        self._spec = spec
        self._owner = owner
        self._decoder = MessageDecoder(spec["format"], whole=spec["record"])
        self._thread: LoopThread | None = None
        self._group: Group | None = None
        self._shelf = Shelf(self._tell_room)
        self._reading: Future[None] | None = None

    @property
    def ended(self) -> bool:
        # in this order: whoever empties the shelf, since others get its partitions, has said before that it is no end
        return self._shelf.empty and self._group is not None and self._group.finished

    @property
    def unread(self) -> int | None:
        behind = None if self._group is None else self._group.behind
        return None if behind is None else behind + self._shelf.records

    def begin(self) -> None:
        settings = settings_of(self._spec, os.environ)
        spec = {**self._spec, "group": resolved(self._spec["group"], os.environ)}
        self._thread = thread = LoopThread("kafka source")
        try:
            complaints = Complaints(self._owner.node, settings.bootstrap)
            member = _NO_LETTER.sub("_", f"{self._owner.job}.{self._owner.instance}")
            self._group = Group(settings, spec, member, self._shelf, thread.said, complaints)
        except OptionError as error:
            thread.close()
            raise ConnectorError(str(error), remedy=error.advice) from error
        self._reading = asyncio.run_coroutine_threadsafe(self._group.keep_reading(), thread.loop)

    def read_share(self, limit: int, now: float) -> tuple[Share, Records] | None:  # noqa: ARG002 -- what comes decides
        if self._reading is not None and self._reading.done():
            self._reading.result()
        taken = self._shelf.take(limit)
        if taken is None:
            return None
        share, messages = taken
        return share, self._decoder.records(messages)

    def wait_s(self, now: float) -> float | None:  # noqa: ARG002 -- what comes decides, not the time
        return None if self._shelf.empty else 0.0

    def fileno(self) -> int | None:
        return self._shelf.fileno()

    def close(self) -> None:
        """All is settled: the group is told so."""
        if self._thread is not None and self._group is not None and self._reading is not None:
            with suppress(TimeoutError, *KAFKA_ERRORS):
                self._thread.run(self._group.commit(), KAFKA_REQUEST_S)
            self._thread.close()  # which lets the group be left
            self._thread = None
        self._shelf.close()

    def _tell_room(self) -> None:
        if self._thread is not None and self._group is not None:
            self._thread.loop.call_soon_threadsafe(self._group.room.set)
