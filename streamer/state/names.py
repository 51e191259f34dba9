"""The names of keyed states as rows of a database: each has a number, which stands before the keys of its entries.

A row of a million carries two bytes for its state and not a name. The kind stands beside the name: what was written by
counters cannot be read as maps, so whoever tries, in whatever life, is told before anything is written.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from sqlite3 import Connection

from streamer.database import DatabaseFile
from streamer.limits import STATE_NAMES_MAX
from streamer.state.base import VALUE, check_count, check_declaration

NUMBER_BYTES = 2

assert STATE_NAMES_MAX < 1 << 8 * NUMBER_BYTES


class NameTable:
    """As one connection sees it. `made` is called in a transaction, and `kept` after it if it was committed."""

    def __init__(self, file: DatabaseFile, connection: Connection, node: str) -> None:
        self._file = file
        self._connection = connection
        self._node = node
        self._prefixes: dict[str, bytes] = {}
        self._made: dict[str, bytes] = {}
        self._declared: dict[str, str] = {}

    def kinds(self) -> Mapping[str, str]:
        """By name, in the order in which they came. Raises StateError."""
        found = {}
        rows = self._connection.execute("SELECT id, name, kind, seal FROM states ORDER BY id")
        for number, name, kind, sealed in rows:
            if _seal(number, name, kind) != sealed:
                raise self._file.damaged(f"the name of state {name!r} is not as it was written")
            found[name] = kind
        return found

    def declare(self, name: str, kind: str) -> None:
        """Raises StateError."""
        check_declaration(self._node, name, kind, {**self._declared, **self.kinds()})
        self._declared[name] = kind

    def prefix(self, name: str) -> bytes | None:
        """The number as bytes; None where the state never had an entry. It may get one from another instance."""
        prefix = self._prefixes.get(name)
        if prefix is None:
            row = self._connection.execute("SELECT id FROM states WHERE name = ?", (name,)).fetchone()
            if row is None:
                return None
            prefix = self._prefixes[name] = row[0].to_bytes(NUMBER_BYTES, "big")
        return prefix

    def made(self, names: Iterable[str]) -> Mapping[str, bytes]:
        """The prefixes of these; those that have none get one. Raises StateError."""
        self._made.clear()  # those of a transaction that was undone
        return {name: self.prefix(name) or self._make(name) for name in dict.fromkeys(names)}

    def _make(self, name: str) -> bytes:
        (number,) = self._connection.execute("SELECT coalesce(max(id), 0) + 1 FROM states").fetchone()
        check_count(self._node, number)
        kind = self._declared.get(name, VALUE)
        self._connection.execute(
            "INSERT INTO states (id, name, kind, seal) VALUES (?, ?, ?, ?)",
            (number, name, kind, _seal(number, name, kind)),
        )
        prefix: bytes = number.to_bytes(NUMBER_BYTES, "big")
        self._made[name] = prefix
        return prefix

    def kept(self) -> None:
        self._prefixes |= self._made


def _seal(number: int, name: str, kind: str) -> int:
    return zlib.crc32(repr((number, name, kind)).encode())
