"""What the last checkpoints have changed, before it goes into the table of entries: in memory, and as they brought it.

To write an entry into a table costs ten times as much as to append it to a record (4.5 against 0.4 us, measured), and
a node that counts writes the same few thousand keys at every checkpoint. So each checkpoint appends what it changes as
one record, and reads look here first. When enough have gathered they are *merged* into the table, each key once, some
of them with each of the checkpoints that follow: as many as these bring, so that none of them takes long. A kill leaves
records and table as a transaction left them; changes that are in both are the same, or the records have the later ones.

Each instance has records of its own, of the key groups that it owns, and merges none but these: another one's might be
older than what the table has. When the groups are dealt anew, whoever says so merges all.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from sqlite3 import Connection

import msgpack

from streamer.database import DatabaseFile
from streamer.limits import STATE_MERGE_ENTRIES, STATE_RECENT_BYTES, STATE_RECENT_ENTRIES

Change = tuple[int, float, bytes | None]
"""What became of a row: where the field begins in its id, its time of expiry, its value; None deletes."""
Changes = Mapping[bytes, Change]
WithFields = Sequence[tuple[bytes, bytes]]
"""Of the rows that have a field: what stands before it, and the row."""


@dataclass(slots=True)
class _Layer:
    """Changes by row; `rows_by_front` finds those that have a field, by what stands before it. `record` is the last."""

    changes: dict[bytes, Change] = field(default_factory=dict)
    rows_by_front: dict[bytes, set[bytes]] = field(default_factory=dict)
    size_bytes: int = 0
    record: int = 0

    def add(self, changes: Changes, with_fields: WithFields, size_bytes: int, record: int) -> None:
        self.changes.update(changes)
        self.size_bytes += size_bytes
        self.record = record
        for front, row_id in with_fields:
            self.rows_by_front.setdefault(front, set()).add(row_id)

    @property
    def is_full(self) -> bool:
        return _share(len(self.changes), self.size_bytes) > 1


def _share(count: int, size_bytes: int) -> float:
    """How much these are of what may gather."""
    return max(count / STATE_RECENT_ENTRIES, size_bytes / STATE_RECENT_BYTES)


@dataclass(frozen=True, slots=True)
class _Written:
    """What a transaction has written, until it is known that it was committed."""

    changes: Changes
    with_fields: WithFields
    size_bytes: int
    record: int
    merged: int


class RecentChanges:
    """Those of one instance, as one connection sees them. `write` is called in a transaction, `kept` after it."""

    def __init__(self, file: DatabaseFile, connection: Connection, instance: str) -> None:
        self._file = file
        self._connection = connection
        self._instance = instance
        self._newer = _Layer()
        self._older = _Layer()
        self._merging: list[bytes] = []
        """Rows of the older layer that are not in the table yet, the next one last."""
        self._written: _Written | None = None

    def read(self) -> None:
        """Begin with what the life before has left. Raises StateError."""
        for record, size_bytes, changes in read_records(self._file, self._connection, self._instance):
            with_fields = [(row[:at], row) for row, (at, _, _) in changes.items() if len(row) > at]
            self._newer.add(changes, with_fields, size_bytes, record)

    def find(self, row_id: bytes) -> Change | None:
        return self._newer.changes.get(row_id) or self._older.changes.get(row_id)

    def of_key(self, front: bytes) -> list[tuple[bytes, Change]]:
        """The changes of one key, by row."""
        found: dict[bytes, Change] = {}
        for layer in (self._older, self._newer):
            for row_id in (front, *layer.rows_by_front.get(front, ())):
                if row_id in layer.changes:
                    found[row_id] = layer.changes[row_id]
        return sorted(found.items())

    def between(self, first: bytes, end: bytes) -> list[tuple[bytes, Change]]:
        """The changes of rows in this range, by row. All changes are looked through."""
        found: dict[bytes, Change] = {}
        for layer in (self._older, self._newer):
            found.update((row_id, change) for row_id, change in layer.changes.items() if first <= row_id < end)
        return sorted(found.items())

    def write(self, changes: Changes, with_fields: WithFields) -> list[tuple[bytes, Change]]:
        """Keep these, and give those that are to be merged in the same transaction."""
        size_bytes, record = 0, self._newer.record
        if changes:
            packed = _packed(changes)
            size_bytes = len(packed)
            record = (
                self._connection.execute(
                    "INSERT INTO recent (instance, seal, changes) VALUES (?, ?, ?)",
                    (self._instance, zlib.crc32(packed), packed),
                ).lastrowid
                or 0
            )
        rows = self._next_to_merge(_share(len(changes), size_bytes))
        if self._merging and len(rows) == len(self._merging):
            self._connection.execute(
                "DELETE FROM recent WHERE instance = ? AND id <= ?", (self._instance, self._older.record)
            )
        self._written = _Written(changes, with_fields, size_bytes, record, len(rows))
        return [(row_id, self._older.changes[row_id]) for row_id in rows]

    def _next_to_merge(self, share: float) -> list[bytes]:
        """As large a part of the older layer as the newer one grows by, and a quarter more; all if that is full."""
        if self._newer.is_full:
            return self._merging[::-1]
        count = max(STATE_MERGE_ENTRIES, round(len(self._older.changes) * share * 1.25))
        return self._merging[: -count - 1 : -1]

    def kept(self) -> None:
        """The transaction was committed."""
        written = self._written
        if written is None:
            return
        self._written = None
        del self._merging[len(self._merging) - written.merged :]
        self._newer.add(written.changes, written.with_fields, written.size_bytes, written.record)
        if not self._merging:
            self._older = _Layer()
            if self._newer.is_full:
                self._older, self._newer = self._newer, _Layer()
                self._merging = sorted(self._older.changes, reverse=True)

    def forget(self) -> None:
        """Everything was merged, or belongs to others."""
        self._newer, self._older, self._merging = _Layer(), _Layer(), []


def read_records(
    file: DatabaseFile, connection: Connection, instance: str | None = None
) -> Iterator[tuple[int, int, Changes]]:
    """The records of an instance, or of all: each with its number and size. Raises StateError."""
    rows = connection.execute(
        "SELECT id, seal, changes FROM recent WHERE ? IS NULL OR instance = ? ORDER BY id", (instance, instance)
    )
    for record, seal, packed in rows:
        if not isinstance(packed, bytes) or zlib.crc32(packed) != seal:
            raise file.damaged(f"checkpoint {record} is not as it was written")
        yield record, len(packed), _unpacked(packed)


def merge_all(file: DatabaseFile, connection: Connection) -> Iterable[tuple[bytes, Change]]:
    """Take the records of all instances away, in a transaction, and give what the table must have then."""
    changes: dict[bytes, Change] = {}
    for _, _, later in read_records(file, connection):
        changes.update(later)
    connection.execute("DELETE FROM recent")
    return changes.items()


def _packed(changes: Changes) -> bytes:
    packed: bytes = msgpack.packb(list(changes.items()))
    return packed


def _unpacked(packed: bytes) -> Changes:
    return dict(msgpack.unpackb(packed, use_list=False))
