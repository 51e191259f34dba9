"""The state of a node for those who only look: people, by `streamer state`, while the node is at work or long after.

What is seen is one checkpoint, since all is read in one transaction; writers go on beside it. They cannot reuse their
write-ahead log as long as it is open, so a reader reads at its own pace and not at that of whoever reads what it says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from streamer import clock
from streamer.errors import StateError
from streamer.state.base import LIST, MAP, Entry, EntryKey
from streamer.state.database import database_file
from streamer.state.entries import COLUMNS, EntryTable, seal
from streamer.state.home import DATABASE_FILE
from streamer.state.names import NameTable
from streamer.state.recent import read_records

_BEGIN = f"""
PRAGMA temp_store = MEMORY;
CREATE TEMP TABLE changed (id BLOB PRIMARY KEY NOT NULL, field_at, expires_s, seal, value) WITHOUT ROWID;
CREATE TEMP VIEW shown AS
    SELECT {COLUMNS} FROM changed WHERE value IS NOT NULL
    UNION ALL
    SELECT {COLUMNS} FROM entries WHERE NOT EXISTS (SELECT 1 FROM changed WHERE changed.id = entries.id);
BEGIN;
"""


class StateSize(NamedTuple):
    """`size_bytes` are those of keys, fields and values, packed."""

    keys: int
    size_bytes: int


class StateReader:
    """One checkpoint of the state in `folder`, where `has_state` says that there is one. Raises StateError."""

    def __init__(self, folder: Path, node: str, *, wall: clock.Clock = clock.wall) -> None:
        self._file = database_file(folder)
        now_s = wall()
        with self._file.in_words(), ExitStack() as undo:
            self._connection = self._file.connect_to_read()
            undo.callback(self._connection.close)
            if not self._file.is_made(self._connection):
                raise StateError(f"{self._file.title} is empty", remedy="Look again when its node has begun to work.")
            self._connection.executescript(_BEGIN)
            self._lay_over()
            names = NameTable(self._file, self._connection, node)
            self.names: Mapping[str, str] = names.kinds()
            self._entries = EntryTable(self._file, self._connection, names, wall=lambda: now_s, table="shown")
            undo.pop_all()

    def _lay_over(self) -> None:
        """Have what is recent of all instances shown in the place of what the table of entries still has."""
        for _, _, changes in read_records(self._file, self._connection):
            self._connection.executemany(
                f"REPLACE INTO changed ({COLUMNS}) VALUES (?, ?, ?, ?, ?)",
                [
                    (row_id, field_at, expires_s, seal(row_id, field_at, expires_s, value or b""), value)
                    for row_id, (field_at, expires_s, value) in changes.items()
                ],
            )

    def size(self, name: str) -> StateSize:
        with self._file.in_words():
            has_fields = self.names[name] in (LIST, MAP)
            return StateSize(*self._entries.size(name, has_fields=has_fields))

    def entries(self, name: str, key: bytes | None = None) -> Iterator[tuple[EntryKey, Entry]]:
        """Those of a state, or of one key of it, that have not expired, in the order of `StateStore.scan`."""
        return self._entries.scan(name, None, key)

    def close(self) -> None:
        self._connection.close()


def has_state(folder: Path) -> bool:
    """Whether a node has ever kept state here."""
    path = folder / DATABASE_FILE
    return path.exists() and path.stat().st_size > 0
