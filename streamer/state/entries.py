"""Keyed entries as rows of a database: where they stand, in which order, and the checksum that each has.

A row has one key of bytes, because a table with a key of four columns took twice the time for a commit (measured). It
is made of parts that keep the order of the port: the number of the keyed state, the group, the key, the field; a key is
msgpack, so none is the beginning of another. SQLite notices a damaged page only where it does not fit the others, so
each row is sealed: a count that has become another number is refused and not counted on.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from sqlite3 import Connection

from streamer import clock
from streamer.database import DatabaseFile
from streamer.limits import KEY_GROUPS, STATE_SCAN_BYTES, STATE_SCAN_ENTRIES
from streamer.state.base import Entry, EntryKey
from streamer.state.names import NUMBER_BYTES, NameTable
from streamer.state.recent import Change, RecentChanges, merge_all

Row = tuple[bytes, int, float, int, bytes]
"""Id, where the field begins in it, time of expiry, seal, value; of any types where the file is damaged."""

COLUMNS = "id, field_at, expires_s, seal, value"

_KEY_AT = NUMBER_BYTES + 1
_GROUPS = [bytes((group,)) for group in range(KEY_GROUPS)]
_TIME = struct.Struct("<d")
_UPSERT = (
    f"INSERT INTO entries ({COLUMNS}) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE "
    "SET field_at = excluded.field_at, expires_s = excluded.expires_s, seal = excluded.seal, value = excluded.value"
)
_DELETED: tuple[None, float] = (None, 0.0)
_EXPIRED = "SELECT id FROM entries WHERE expires_s > 0 AND expires_s <= ? ORDER BY expires_s LIMIT ?"


def seal(row_id: bytes, field_at: int, expires_s: float, value: bytes) -> int:
    found = zlib.crc32(value, zlib.crc32(row_id, field_at))
    return zlib.crc32(_TIME.pack(expires_s), found) if expires_s else found


class EntryTable:
    """All entries as one connection sees them: those of the table, and above them what is recent, where that is given.

    What writes is called in a transaction, and `kept` after it if it was committed.
    """

    def __init__(
        self,
        file: DatabaseFile,
        connection: Connection,
        names: NameTable,
        *,
        wall: clock.Clock,
        recent: RecentChanges | None = None,
        table: str = "entries",
    ) -> None:
        self._file = file
        self._connection = connection
        self._names = names
        self._wall = wall
        self._recent = recent
        self._table = table

    def get(self, key: EntryKey) -> Entry | None:
        prefix = self._names.prefix(key.name)
        if prefix is None:
            return None
        row_id = prefix + _GROUPS[key.group] + key.key + key.field
        change = self._recent.find(row_id) if self._recent else None
        if change is not None:
            _, expires_s, value = change
            return _living(value, expires_s, self._wall)
        row: Row | None = self._connection.execute(
            f"SELECT {COLUMNS} FROM {self._table} WHERE id = ?", (row_id,)
        ).fetchone()
        if row is None:
            return None
        self._check(row)
        return _living(row[4], row[2], self._wall)

    def scan(self, name: str, group: int | None, key: bytes | None) -> Iterator[tuple[EntryKey, Entry]]:
        with self._file.in_words():
            prefix = self._names.prefix(name)
        if prefix is None:
            return
        if group is None and key is not None:
            for one in range(KEY_GROUPS):
                yield from self.scan(name, one, key)
            return
        first = prefix + (b"" if group is None else _GROUPS[group]) + (key or b"")
        for row_id, (field_at, expires_s, value) in self._merged(first, of_key=key is not None):
            entry = _living(value, expires_s, self._wall)
            if entry is not None:
                key_here = EntryKey(row_id[NUMBER_BYTES], name, row_id[_KEY_AT:field_at], row_id[field_at:])
                yield key_here, entry

    def _merged(self, first: bytes, *, of_key: bool) -> Iterator[tuple[bytes, Change]]:
        """Rows that begin like this, those of the table and those that have changed since, by their ids."""
        end = _behind(first)
        changes: list[tuple[bytes, Change]] = []
        if self._recent is not None:
            changes = self._recent.of_key(first) if of_key else self._recent.between(first, end)
            changes.reverse()
        for row in self._rows(first, end, len(first) if of_key else 0):
            row_id, field_at, expires_s, _, value = row
            changed = False
            while changes and changes[-1][0] <= row_id:
                changed = changes[-1][0] == row_id
                yield changes.pop()
            if not changed:
                self._check(row)
                yield row_id, (field_at, expires_s, value)
        yield from reversed(changes)

    def _rows(self, first: bytes, end: bytes, field_at: int) -> Iterator[Row]:
        """The rows of the table, read in parts: a statement that is open keeps the write-ahead log from reuse."""
        while rows := self._some_rows(first, end, field_at):
            yield from rows
            first = rows[-1][0] + b"\0"

    def _some_rows(self, first: bytes, end: bytes, field_at: int) -> list[Row]:
        found: list[Row] = []
        room = STATE_SCAN_BYTES
        with self._file.in_words():
            cursor = self._connection.execute(
                f"SELECT {COLUMNS} FROM {self._table} "
                "WHERE id >= ? AND id < ? AND ? IN (0, field_at) ORDER BY id LIMIT ?",
                (first, end, field_at, STATE_SCAN_ENTRIES),
            )
            for row in cursor:
                found.append(row)
                room -= len(row[4]) if isinstance(row[4], bytes) else 0
                if room < 0:
                    break
            cursor.close()
        return found

    def _check(self, row: Row) -> None:
        """Raise StateError if it is not as it was written."""
        row_id, field_at, expires_s, sealed, value = row
        try:
            whole = seal(row_id, field_at, expires_s, value) == sealed
        except (TypeError, OverflowError, struct.error):
            whole = False
        if not whole:
            raise self._file.damaged(f"entry {row_id!r} is not as it was written")

    def size(self, name: str, *, has_fields: bool) -> tuple[int, int]:
        """The keys of a state that have not expired, and the bytes of their keys, fields and values, in the table."""
        prefix = self._names.prefix(name)
        if prefix is None:
            return 0, 0
        keys = "DISTINCT substr(id, 1, field_at)" if has_fields else "*"
        found: tuple[int, int] = self._connection.execute(
            f"SELECT count({keys}), coalesce(sum(length(id) - {_KEY_AT} + length(value)), 0) FROM {self._table} "
            "WHERE id >= ? AND id < ? AND (expires_s = 0 OR expires_s > ?)",
            (prefix, _behind(prefix), self._wall()),
        ).fetchone()
        return found

    def write(self, entries: Mapping[EntryKey, Entry | None], recent: RecentChanges) -> None:
        """Keep these among what is recent, and bring some of that into the table."""
        prefixes = self._names.made(key.name for key in entries)
        changes: dict[bytes, Change] = {}
        with_fields: list[tuple[bytes, bytes]] = []
        for (group, name, key, field), entry in entries.items():
            row_id = front = prefixes[name] + _GROUPS[group] + key
            if field:
                row_id += field
                with_fields.append((front, row_id))
            value, expires_s = entry or _DELETED
            changes[row_id] = (len(front), expires_s, value)
        self._write_rows(recent.write(changes, with_fields))

    def merge_all(self) -> None:
        """Bring into the table what is recent of all instances."""
        self._write_rows(merge_all(self._file, self._connection))

    def _write_rows(self, changes: Iterable[tuple[bytes, Change]]) -> None:
        written: list[Row] = []
        deleted: list[tuple[bytes]] = []
        for row_id, (field_at, expires_s, value) in changes:
            if value is None:
                deleted.append((row_id,))
            else:
                written.append((row_id, field_at, expires_s, seal(row_id, field_at, expires_s, value), value))
        written.sort()  # neighbours share a page
        self._connection.executemany("DELETE FROM entries WHERE id = ?", deleted)
        self._connection.executemany(_UPSERT, written)

    def delete_expired(self, limit: int) -> None:
        self._connection.execute(f"DELETE FROM entries WHERE id IN ({_EXPIRED})", (self._wall(), limit))


def _living(value: bytes | None, expires_s: float, wall: clock.Clock) -> Entry | None:
    if value is None or (expires_s and expires_s <= wall()):
        return None
    return Entry(value, expires_s)


def _behind(first: bytes) -> bytes:
    """The first bytes in order that do not begin with these."""
    kept = first.rstrip(b"\xff")
    return kept[:-1] + bytes((kept[-1] + 1,))
