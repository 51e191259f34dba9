"""What every source does, whatever becomes of its records: it waits for its connector, and gives bad ones up.

A record that cannot be read, or cannot travel, is a dead letter once, and counts as settled wherever records go: else a
source that is read again would give it up again in each life.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from streamer.connectors.base import Readable, Records
from streamer.errors import MessageError
from streamer.protocol.account import EdgeCounts, InstanceAccount
from streamer.protocol.input_frame import InputFrame
from streamer.runtime.letters import Failure, Letters
from streamer.runtime.outbox import Outbox
from streamer.runtime.packing import RecordPacking


class ReadingWork(ABC):
    """The part of the port of `Work` that sources share. `bad_origin` is for the ids of records that are given up."""

    accepts = False
    at_rest = True

    def __init__(
        self, source: Readable, outbox: Outbox, account: InstanceAccount, letters: Letters, bad_origin: int
    ) -> None:
        self._source = source
        self._outbox = outbox
        self._account = account
        self._letters = letters
        self._bad_origin = bad_origin
        self._packing = RecordPacking()
        self._draining = False

    @property
    def unread(self) -> int | None:
        return None

    @property
    @abstractmethod
    def exhausted(self) -> bool: ...

    @property
    @abstractmethod
    def _edges(self) -> Sequence[EdgeCounts]:
        """Where records go."""

    @abstractmethod
    def _may_read(self) -> int:
        """How many records may be read now."""

    @abstractmethod
    def _known(self, position: int) -> bool:
        """Whether a former life has done with the record there."""

    def _bury(self, records: Records) -> None:
        """Give up those of the records that could not be read."""
        bad = [record for record in records.bad if not self._known(record.position)]
        if bad:
            self._letters.unreadable(self._bad_origin, bad)
            for record in bad:
                self._settle_bad(record.position)

    def _give_up(self, position: int, value: object, error: MessageError) -> None:
        """Give up a record that cannot be packed."""
        if not self._known(position):
            self._letters.unpackable(self._bad_origin, position, value, error)
            self._settle_bad(position)

    def _settle_bad(self, position: int) -> None:
        self._account.received += 1
        self._account.failed += 1
        self._outbox.dirty = True
        if self._source.replayable:
            for edge in self._edges:
                edge.roots.add(position, position + 1)

    def handle(self, frame: InputFrame) -> list[Failure]:
        raise AssertionError(f"a source has no input, but got a frame of {frame.count} messages")

    def wait_s(self, now: float) -> float | None:
        if self.exhausted:
            return None
        wait = self._source.wait_s(now)
        return None if wait == 0.0 and self._may_read() <= 0 else wait

    def descriptors(self) -> tuple[int, ...]:
        descriptor = None if self.exhausted or self._may_read() <= 0 else self._source.fileno()
        return () if descriptor is None else (descriptor,)

    def drain(self) -> None:
        self._draining = True

    def finish(self, now: float) -> bool:  # noqa: ARG002  # a source ends at once
        return True

    def close(self) -> None:
        self._source.close()
