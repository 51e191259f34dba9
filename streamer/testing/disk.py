"""What survives a kill, in memory: account page, words of the hand, dead letters, records of sinks and sources.

The engine promises that a kill between any two effects leaves a state from which it can go on, and only what is written
here counts as an effect. So each store takes its value as bytes or as a copy, calls `operate` first (where a kill may
strike), and forgets nothing. Two lives of one instance share one `Disk`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from errno import ENOSPC

from streamer.clock import Clock
from streamer.connectors.base import BadRecord, Mark, Records
from streamer.protocol.account import InstanceAccount, decode_account, encode_account
from streamer.protocol.codec import unpack_one
from streamer.protocol.entry import decode_roots
from streamer.runtime.turn import HAND_WORDS, IN_HAND, NOTHING
from streamer.state.base import Checkpoint
from streamer.state.dead_letters import DeadLetter
from streamer.state.log_segment import Group
from streamer.state.memory import MemoryStateDisk, MemoryStateStore

Operate = Callable[[], None]


@dataclass(slots=True)
class Disk:
    """Of one instance. `written` are the records of a sink, `taken` counts those that a pipe has given away.

    `entry` is its entry log, into which nothing goes until `full_until_s`.
    """

    page: bytes = b""
    hand: list[int] = field(default_factory=lambda: [NOTHING if i == IN_HAND else 0 for i in range(HAND_WORDS)])
    written: list[object] = field(default_factory=list)
    taken: int = 0
    entry: list[Group] = field(default_factory=list)
    full_until_s: float = 0.0

    def account(self) -> InstanceAccount:
        """What the page in force says."""
        return decode_account(self.page) if self.page else InstanceAccount()

    def accepted(self) -> list[object]:
        """The messages in its entry log, by position."""
        return messages_of(self.entry)


def messages_of(groups: Sequence[Group]) -> list[object]:
    roots = [one for group in groups for one in decode_roots(group.payload)]
    return [unpack_one(blob) for one in roots for blob in one.blobs]


class DiskAccount:
    """The account store of one life."""

    def __init__(self, disk: Disk, targets: Sequence[str], operate: Operate) -> None:
        self._disk = disk
        self._operate = operate
        self.account = disk.account()
        self.account.recover()
        for target in targets:
            self.account.edge(target)
        self.publish()

    def publish(self) -> None:
        self._operate()
        self._disk.page = encode_account(self.account)
        self._operate()


class DiskState:
    """The home of a node's state, as one life sees it; `resends` hears what a life has from its checkpoint to send."""

    def __init__(
        self,
        disk: MemoryStateDisk,
        instance: str,
        epoch: int,
        wall: Clock,
        operate: Operate,
        resends: Callable[[object], None] = lambda _message: None,
    ) -> None:
        self._disk = disk
        self._instance = instance
        self._epoch = epoch
        self._wall = wall
        self._operate = operate
        self._resends = resends

    @property
    def exists(self) -> bool:
        return bool(self._disk.epochs)

    def open(self) -> LifeState:
        self._operate()
        state = LifeState(self._disk, self._instance, self._epoch, wall=self._wall, operate=self._operate)
        for row in state.restore().outgoing:
            for roots in decode_roots(row.record):
                for blob in roots.blobs:
                    self._resends(unpack_one(blob))
        return state


class LifeState(MemoryStateStore):
    """A store of whose commits a kill may catch the beginning or the end."""

    def __init__(self, disk: MemoryStateDisk, instance: str, epoch: int, *, wall: Clock, operate: Operate) -> None:
        super().__init__(disk, instance, epoch, wall=wall)
        self._strike = operate

    def commit(self, checkpoint: Checkpoint) -> None:
        self._strike()
        super().commit(checkpoint)
        self._strike()


class DiskLog:
    """The entry log of one life, on a disk that takes `latency_s`. Nothing of it is ever deleted."""

    first = 0

    def __init__(
        self,
        disk: Disk,
        operate: Operate,
        latency_s: float,
        now: Clock,
        wake_at: Callable[[float], None],
        on_read: Callable[[object], None],
    ) -> None:
        self._disk = disk
        self._operate = operate
        self._latency_s = latency_s
        self._now = now
        self._wake_at = wake_at
        self._on_read = on_read
        self._group = Group(0, 0, b"")
        self._due_s = 0.0

    @property
    def next(self) -> int:
        return self._disk.entry[-1].end if self._disk.entry else 0

    @property
    def size(self) -> int:
        return sum(len(group.payload) for group in self._disk.entry)

    def groups(self, floor: int) -> Iterator[Group]:
        found = [group for group in self._disk.entry if group.end > floor]
        for message in messages_of(found):
            self._on_read(message)
        return iter(found)

    def begin(self, end: int, payload: Sequence[bytes], wake: Callable[[], None]) -> None:  # noqa: ARG002
        """It gets there when it is asked for: a kill before that takes it along."""
        self._group = Group(self.next, end, b"".join(payload))
        self._due_s = self._now() + self._latency_s
        self._wake_at(self._due_s)

    def done(self) -> bool:
        if self._now() < self._due_s:
            self._wake_at(self._due_s)
            return False
        if self._now() < self._disk.full_until_s:
            raise OSError(ENOSPC, os.strerror(ENOSPC))
        self._operate()
        self._disk.entry.append(self._group)
        self._operate()
        return True

    def cut(self, floor: int) -> None:
        """What was accepted is judged when the job has ended."""

    def close(self, floor: int) -> None:
        """Nothing is held."""


class LetterBox:
    """The dead letters of a job."""

    def __init__(self) -> None:
        self.letters: list[DeadLetter] = []

    def of(self, operate: Operate) -> LifeLetters:
        """The store as one life sees it."""
        return LifeLetters(self, operate)


class LifeLetters:
    def __init__(self, box: LetterBox, operate: Operate) -> None:
        self._box = box
        self._operate = operate

    def append(self, records: Sequence[DeadLetter]) -> None:
        self._operate()
        self._box.letters += records
        self._operate()


class ListSink:
    """Keeps what is written on the disk."""

    def __init__(self, disk: Disk, operate: Operate) -> None:
        self._disk = disk
        self._operate = operate

    def open(self, restarted: bool) -> None:
        """What a former life has written stays."""

    def write(self, values: Sequence[object]) -> None:
        self._operate()
        self._disk.written += values
        self._operate()

    def close(self) -> None:
        """Nothing is held."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Stands for a record that the source cannot read."""

    text: str


class ListSource:
    """Gives one record each `interval_s`, at most `batch_max` at once; it can be read again from any mark."""

    replayable = True
    partition = "list"

    def __init__(
        self, records: Sequence[object], interval_s: float, batch_max: int, on_read: Callable[[object], None]
    ) -> None:
        self._records = records
        self._interval_s = interval_s
        self._batch_max = batch_max
        self._on_read = on_read
        self._next = 0
        self._began_s: float | None = None

    @property
    def ended(self) -> bool:
        return self._next >= len(self._records)

    def open(self, mark: Mark) -> None:
        self._next = mark.position

    def read(self, limit: int, now: float) -> Records | None:
        if self._began_s is None:
            self._began_s = now - self._next * self._interval_s
        due = int((now - self._began_s + 1e-9) / self._interval_s) + 1 if self._interval_s else len(self._records)
        first, last = self._next, min(len(self._records), due, self._next + min(limit, self._batch_max))
        if last <= first:
            return None
        self._next = last
        positions, values, bad = [], [], []
        for position in range(first, last):
            record = self._records[position]
            if isinstance(record, Unreadable):
                bad.append(BadRecord(position, f"record {position}", record.text, "unreadable"))
            else:
                self._on_read(record)
                positions.append(position)
                values.append(record)
        return Records(Mark(first, first), positions if bad else range(first, last), values, tuple(bad))

    def wait_s(self, now: float) -> float | None:
        if self._began_s is None or not self._interval_s:
            return 0.0
        return max(0.0, self._began_s + self._next * self._interval_s - now)

    def fileno(self) -> int | None:
        return None

    def close(self) -> None:
        """Nothing is held."""


class PipeSource(ListSource):
    """Gives each record once: whoever has read it and dies has taken it along."""

    replayable = False
    partition = "pipe"

    def __init__(
        self,
        records: Sequence[object],
        interval_s: float,
        batch_max: int,
        on_read: Callable[[object], None],
        disk: Disk,
    ) -> None:
        super().__init__(records, interval_s, batch_max, on_read)
        self._disk = disk
        self._numbered_from = 0

    def open(self, mark: Mark) -> None:
        """Numbers go on from the mark."""
        super().open(Mark(self._disk.taken, 0))
        self._numbered_from = mark.position - self._disk.taken

    def read(self, limit: int, now: float) -> Records | None:
        records = super().read(limit, now)
        if records is None:
            return None
        first = records.mark.position + self._numbered_from
        self._disk.taken += len(records.values)
        return Records(Mark(first, 0), range(first, first + len(records.values)), records.values)
