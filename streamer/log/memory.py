"""A control log in memory, for tests and simulations: as weak as the weakest log that the port allows.

Code that was tried on a strong log breaks on a weak one. So this one has several partitions, gives no order between
them, takes the records of everyone and leaves it to its readers to ignore those of an older claim, as a broker does;
what works here works on each of them. It keeps everything in one process, and nothing after it.
"""

from __future__ import annotations

import threading
import zlib
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from streamer import clock
from streamer.limits import CONTROL_LOG_READ_BYTES, CONTROL_LOG_READ_RECORDS_MAX
from streamer.log.base import (
    BEGINNING,
    Batch,
    Claim,
    Entry,
    Position,
    Record,
    check_entries,
    check_scope,
    claim_key,
    scope_of,
)
from streamer.log.compaction import Stub, removable
from streamer.log.fence import Fence
from streamer.log.topics import CLAIMED, CLAIMS, POLICIES, Topic

_PARTITIONS = 3


def _partition_of(scope: str) -> int:
    return zlib.crc32(scope.encode()) % _PARTITIONS


@dataclass(slots=True)
class _Partition:
    """`records` are those that count; `end` is the next offset."""

    records: list[Record] = field(default_factory=list)
    end: int = 0
    fence: Fence = field(default_factory=Fence)

    def append(self, record: Record) -> None:
        self.end = record.offset + 1
        if self.fence.admits(record):
            self.records.append(record)

    def behind(self, offset: int) -> list[Record]:
        return self.records[bisect_right(self.records, offset, key=lambda record: record.offset) :]


class MemoryStore:
    """What several `MemoryLog`s share, also those of several threads."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.partitions = {(topic, number): _Partition() for topic in Topic for number in range(_PARTITIONS)}


class MemoryLog:
    """One reader's and writer's access to a store. Only `Follower.poll` waits."""

    def __init__(self, store: MemoryStore, *, wall: clock.Clock = clock.wall) -> None:
        self._store = store
        self._wall = wall

    def append(self, topic: Topic, key: str, value: bytes | None, *, claim: Claim | None = None) -> int:
        (offset,) = self.append_all([Entry(topic, key, value)], claim=claim)
        return offset

    def append_all(self, entries: Sequence[Entry], *, claim: Claim | None = None) -> tuple[int, ...]:
        check_entries(entries, claim)
        with self._store.changed:
            return tuple(self._append(entry, claim.epoch if claim else None) for entry in entries)

    def _append(self, entry: Entry, epoch: int | None) -> int:
        number = _partition_of(scope_of(entry.key))
        partition = self._store.partitions[entry.topic, number]
        offset = partition.end
        record = Record(entry.topic, number, offset, entry.key, entry.value, None, self._wall())
        if POLICIES[entry.topic].claimed:
            record = replace(record, epoch=offset if epoch is None else epoch)
        partition.append(record)
        self._store.changed.notify_all()
        return offset

    def claim(self, scope: str, holder: str) -> Claim:
        check_scope(scope)
        key, value = claim_key(scope), holder.encode()
        with self._store.changed:
            epoch = self._append(Entry(CLAIMS, key, value), None)
            for topic in CLAIMED:
                if topic is not CLAIMS:
                    self._append(Entry(topic, key, value), epoch)
        return Claim(scope, epoch, holder)

    def claimed(self, scope: str) -> Claim | None:
        check_scope(scope)
        with self._store.changed:
            for record in reversed(self._store.partitions[CLAIMS, _partition_of(scope)].records):
                if record.key == claim_key(scope):
                    return Claim(scope, record.offset, (record.value or b"").decode())
        return None

    def read(
        self,
        topic: Topic,
        after: Position = BEGINNING,
        *,
        scope: str | None = None,
        limit: int = CONTROL_LOG_READ_RECORDS_MAX,
    ) -> Batch:
        records: list[Record] = []
        room = CONTROL_LOG_READ_BYTES
        with self._store.changed:
            for number in range(_PARTITIONS):
                for record in self._store.partitions[topic, number].behind(after.offset(topic, number)):
                    if scope is not None and record.scope != scope:
                        continue
                    room -= len(record.value or b"")
                    if len(records) == limit or (room < 0 and records):
                        return Batch(tuple(records), after)
                    records.append(record)
                    after = after.after(record)
        return Batch(tuple(records), after)

    def follow(
        self, topics: Sequence[Topic], after: Position = BEGINNING, *, scope: str | None = None
    ) -> MemoryFollower:
        return MemoryFollower(self, self._store, topics, after, scope)

    def end(self, topics: Sequence[Topic]) -> Position:
        with self._store.changed:
            return Position(
                {
                    f"{topic}/{number}": partition.end - 1
                    for (topic, number), partition in self._store.partitions.items()
                    if topic in topics and partition.end
                }
            )

    def compact(self) -> int:
        removed = 0
        with self._store.changed:
            for (topic, _), partition in self._store.partitions.items():
                stubs = [Stub(r.offset, r.key, r.value is None, r.written_at) for r in partition.records]
                gone = set(removable(stubs, POLICIES[topic], self._wall()))
                partition.records = [record for record in partition.records if record.offset not in gone]
                removed += len(gone)
        return removed

    def close(self) -> None:
        """The store stays with whoever holds it."""


class MemoryFollower:
    """Wakes when anything is appended to the store."""

    def __init__(
        self, log: MemoryLog, store: MemoryStore, topics: Sequence[Topic], after: Position, scope: str | None
    ) -> None:
        self.position = after
        self._log = log
        self._store = store
        self._topics = tuple(topics)
        self._scope = scope

    def poll(self, timeout_s: float) -> tuple[Record, ...]:
        found: list[Record] = []

        def look() -> bool:
            for topic in self._topics:
                batch = self._log.read(topic, self.position, scope=self._scope)
                self.position = batch.position
                found.extend(batch.records)
            return bool(found)

        with self._store.changed:
            self._store.changed.wait_for(look, timeout_s)
        return tuple(found)

    def close(self) -> None:
        """Nothing is held."""
