"""Keyed entries as rows of a database: where they stand, in which order, and the checksum that each has.

A row has one key of bytes, because a table with a key of four columns took twice the time for a commit (measured). It
is made of parts that keep the order of the port: the number of the keyed state, the group, the key, the field; a key is
msgpack, so none is the beginning of another. SQLite notices a damaged page only where it does not fit the others, so
each row is sealed: a count that has become another number is refused and not counted on.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from sqlite3 import Connection

from streamer.database import DatabaseFile
from streamer.limits import KEY_GROUPS, STATE_NAMES_MAX, STATE_SCAN_BYTES, STATE_SCAN_ENTRIES
from streamer.state.base import VALUE, Entry, EntryKey, check_count, check_declaration

Row = tuple[bytes, int, float, int, bytes]
"""Id, where the field begins in it, time of expiry, seal, value; of any types where the file is damaged."""

_NUMBER_BYTES = 2
_KEY_AT = _NUMBER_BYTES + 1
_GROUPS = [bytes((group,)) for group in range(KEY_GROUPS)]
_TIME = struct.Struct("<d")
_COLUMNS = "id, field_at, expires_s, seal, value"
_UPSERT = (
    f"INSERT INTO entries ({_COLUMNS}) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE "
    "SET field_at = excluded.field_at, expires_s = excluded.expires_s, seal = excluded.seal, value = excluded.value"
)
_EXPIRED = "SELECT id FROM entries WHERE expires_s > 0 AND expires_s <= ? ORDER BY expires_s LIMIT ?"

assert STATE_NAMES_MAX < 1 << 8 * _NUMBER_BYTES


def _seal(row_id: bytes, field_at: int, expires_s: float, value: bytes) -> int:
    seal = zlib.crc32(value, zlib.crc32(row_id, field_at))
    return zlib.crc32(_TIME.pack(expires_s), seal) if expires_s else seal


def _name_seal(number: int, name: str, kind: str) -> int:
    return zlib.crc32(repr((number, name, kind)).encode())


class EntryTable:
    """The table of entries and the one of their states' names, as one connection sees them.

    What writes is called in a transaction, and `kept` after it if it was committed.
    """

    def __init__(self, file: DatabaseFile, connection: Connection, node: str) -> None:
        self._file = file
        self._connection = connection
        self._node = node
        self._prefixes: dict[str, bytes] = {}
        self._new_prefixes: dict[str, bytes] = {}
        self._declared: dict[str, str] = {}

    def names(self) -> dict[str, str]:
        found = {}
        for number, name, kind, sealed in self._connection.execute(
            "SELECT id, name, kind, seal FROM states ORDER BY id"
        ):
            if _name_seal(number, name, kind) != sealed:
                raise self._file.damaged(f"the name of state {name!r} is not as it was written")
            found[name] = kind
        return found

    def declare(self, name: str, kind: str) -> None:
        check_declaration(self._node, name, kind, {**self._declared, **self.names()})
        self._declared[name] = kind

    def get(self, key: EntryKey) -> Entry | None:
        prefix = self._prefix(key.name)
        if prefix is None:
            return None
        row: Row | None = self._connection.execute(
            f"SELECT {_COLUMNS} FROM entries WHERE id = ?", (prefix + _GROUPS[key.group] + key.key + key.field,)
        ).fetchone()
        return None if row is None else self._read(key.name, row)[1]

    def size(self, name: str, *, has_fields: bool, now_s: float) -> tuple[int, int]:
        """The keys of a state that have not expired, and the bytes of their keys, fields and values."""
        prefix = self._prefix(name)
        if prefix is None:
            return 0, 0
        keys = "DISTINCT substr(id, 1, field_at)" if has_fields else "*"
        found: tuple[int, int] = self._connection.execute(
            f"SELECT count({keys}), coalesce(sum(length(id) - {_KEY_AT} + length(value)), 0) FROM entries "
            "WHERE id >= ? AND id < ? AND (expires_s = 0 OR expires_s > ?)",
            (prefix, _behind(prefix), now_s),
        ).fetchone()
        return found

    def scan(self, name: str, group: int | None, key: bytes | None) -> Iterator[tuple[EntryKey, Entry]]:
        with self._file.in_words():
            prefix = self._prefix(name)
        if prefix is None:
            return
        if group is None and key is not None:
            for one in range(KEY_GROUPS):
                yield from self.scan(name, one, key)
            return
        first = prefix + (b"" if group is None else _GROUPS[group]) + (key or b"")
        end = _behind(first)
        field_at = 0 if key is None else len(first)
        while rows := self._rows(first, end, field_at):
            for row in rows:
                yield self._read(name, row)
            first = rows[-1][0] + b"\0"

    def _rows(self, first: bytes, end: bytes, field_at: int) -> list[Row]:
        """Some of the rows there; the statement is ended, since an open one keeps the write-ahead log from reuse."""
        found: list[Row] = []
        room = STATE_SCAN_BYTES
        with self._file.in_words():
            cursor = self._connection.execute(
                f"SELECT {_COLUMNS} FROM entries WHERE id >= ? AND id < ? AND ? IN (0, field_at) ORDER BY id LIMIT ?",
                (first, end, field_at, STATE_SCAN_ENTRIES),
            )
            for row in cursor:
                found.append(row)
                room -= len(row[4]) if isinstance(row[4], bytes) else 0
                if room < 0:
                    break
            cursor.close()
        return found

    def _read(self, name: str, row: Row) -> tuple[EntryKey, Entry]:
        """The entry as it was written, or StateError."""
        row_id, field_at, expires_s, seal, value = row
        try:
            whole = _seal(row_id, field_at, expires_s, value) == seal
        except (TypeError, OverflowError, struct.error):
            whole = False
        if not whole:
            raise self._file.damaged(f"entry {row_id!r} of state {name} is not as it was written")
        key = EntryKey(row_id[_NUMBER_BYTES], name, row_id[_KEY_AT:field_at], row_id[field_at:])
        return key, Entry(value, expires_s)

    def write(self, entries: Mapping[EntryKey, Entry | None]) -> None:
        self._new_prefixes.clear()  # those of a transaction that was undone
        prefixes = {name: self._made_prefix(name) for name in dict.fromkeys(key.name for key in entries)}
        written: list[Row] = []
        deleted: list[tuple[bytes]] = []
        for (group, name, key, field), entry in entries.items():
            front = prefixes[name] + _GROUPS[group] + key
            row_id = front + field
            if entry is None:
                deleted.append((row_id,))
            else:
                field_at = len(front)
                value, expires_s = entry
                written.append((row_id, field_at, expires_s, _seal(row_id, field_at, expires_s, value), value))
        written.sort()  # neighbours share a page
        self._connection.executemany("DELETE FROM entries WHERE id = ?", deleted)
        self._connection.executemany(_UPSERT, written)

    def delete_expired(self, now_s: float, limit: int) -> None:
        self._connection.execute(f"DELETE FROM entries WHERE id IN ({_EXPIRED})", (now_s, limit))

    def kept(self) -> None:
        self._prefixes |= self._new_prefixes

    def _prefix(self, name: str) -> bytes | None:
        """None where the state never had an entry. It may get one from another instance at any time."""
        prefix = self._prefixes.get(name)
        if prefix is None:
            row = self._connection.execute("SELECT id FROM states WHERE name = ?", (name,)).fetchone()
            if row is None:
                return None
            prefix = self._prefixes[name] = row[0].to_bytes(_NUMBER_BYTES, "big")
        return prefix

    def _made_prefix(self, name: str) -> bytes:
        prefix = self._prefix(name)
        if prefix is None:
            (number,) = self._connection.execute("SELECT coalesce(max(id), 0) + 1 FROM states").fetchone()
            check_count(self._node, number)
            kind = self._declared.get(name, VALUE)
            row = (number, name, kind, _name_seal(number, name, kind))
            self._connection.execute("INSERT INTO states (id, name, kind, seal) VALUES (?, ?, ?, ?)", row)
            prefix = self._new_prefixes[name] = number.to_bytes(_NUMBER_BYTES, "big")
        return prefix


def _behind(first: bytes) -> bytes:
    """The first bytes in order that do not begin with these."""
    kept = first.rstrip(b"\xff")
    return kept[:-1] + bytes((kept[-1] + 1,))
