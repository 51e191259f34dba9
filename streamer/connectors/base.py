"""The port of a connector: read records with their positions, or write them whole.

A source that comes back must be able to go on where everything before is settled, so it numbers its records by their
place in what it reads (`position`), and gives with each batch a `Mark` from which that batch can be read again. The
runtime keeps the marks and the settled positions in a page that survives a kill; the connector keeps nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Owner:
    """The instance that a connector works for: `epoch` counts its lives, `state` is its own folder."""

    job: str
    node: str
    instance: str
    epoch: int
    state: Path


@dataclass(frozen=True, slots=True)
class Mark:
    """Where to go on reading: record number `position` begins at `offset` (bytes, or the source's own unit)."""

    position: int
    offset: int


START = Mark(0, 0)


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A record that could not be read: `place` tells a person where (`access.log, line 7`), `text` what stood there."""

    position: int
    place: str
    text: str
    error: str


@dataclass(frozen=True, slots=True)
class Records:
    """One batch: `values[i]` has number `positions[i]`; reading again from `mark` gives this batch again.

    `bad` records have numbers of their own, absent from `positions`.
    """

    mark: Mark
    positions: Sequence[int]
    values: list[object]
    bad: tuple[BadRecord, ...] = ()


class Readable(Protocol):
    """What all that reads can be asked. One thread calls it; no call blocks."""

    replayable: bool
    """Whether the same records come again from the same mark after a restart."""

    @property
    def ended(self) -> bool:
        """True once no further record will come."""

    def wait_s(self, now: float) -> float | None:
        """Seconds until it is worth reading (again): 0.0 while more is here; None: when `fileno` is readable."""

    def fileno(self) -> int | None:
        """A descriptor to wait for, or None."""

    def close(self) -> None: ...


class Source(Readable, Protocol):
    """Reads records of one origin, from one place on."""

    @property
    def partition(self) -> str:
        """Identity of what is read; with the node's name it makes the origin of the ids."""

    def open(self, mark: Mark) -> None:
        """Go to `mark`. Raises ConnectorError."""

    def read(self, limit: int, now: float) -> Records | None:
        """At most `limit` records (and about a frame's bytes), or None if there is nothing at `now` (seconds)."""


class Share(Protocol):
    """One partition, from when it was given to this instance until it is taken away."""

    @property
    def partition(self) -> str:
        """Its identity, whoever has it; with the node's name it makes the origin of the ids."""

    @property
    def held(self) -> bool:
        """Whether it is here still."""

    def settled(self, position: int) -> None:
        """All that was read from it below this position is settled."""


@runtime_checkable
class SharedSource(Readable, Protocol):
    """Reads partitions that instances of its node share; they come and go while it reads.

    Where to read on in each is kept with the partitions, for whoever has them next. So the runtime keeps no places of
    such a source (it is not `replayable` from a mark): it says what is settled.
    """

    @property
    def unread(self) -> int | None:
        """Records that are there and were not read yet, in the partitions that it has; None: it does not know."""

    def begin(self) -> None:
        """Ask for partitions. Raises ConnectorError."""

    def read_share(self, limit: int, now: float) -> tuple[Share, Records] | None:
        """As `Source.read`, of one partition; positions only grow within a share. The mark says nothing."""


class RefusedRecordsError(Exception):
    """Some records can never be written: those of these indexes, for these reasons."""

    def __init__(self, reasons: Mapping[int, Exception]) -> None:
        super().__init__(f"{len(reasons)} records were refused")
        self.reasons = reasons


class Sink(Protocol):
    """Writes records. When `write` returns, a kill of the process loses and tears none of them."""

    def open(self, restarted: bool) -> None:
        """Begin; `restarted`: an earlier life of this instance wrote already in this job. Raises ConnectorError."""

    def write(self, values: Sequence[object]) -> None: ...

    def close(self) -> None: ...


@runtime_checkable
class CheckpointedSink(Sink, Protocol):
    """A sink that can take back what it has written, so that it has each record once.

    What was written is in force with the next checkpoint; a restarted one begins where the last checkpoint stood.
    """

    refuses: bool
    """Whether a checkpoint may refuse single records: then their messages are kept in memory until it is taken."""

    def restore(self) -> bytes:
        """The note of the last checkpoint of this job, once it is open; empty if there was none."""

    def checkpoint(self, note: bytes) -> None:
        """Put all that was written in force together with this note, or nothing of it.

        Raises ConnectorError, and is called again later; or, if it `refuses`, RefusedRecordsError for records that it
        has taken out of what is to be written. They are counted from the last checkpoint on, go to the dead letters,
        and it is called again at once.
        """
