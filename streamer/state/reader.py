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
from streamer.state.database import DATABASE_FILE, database_file
from streamer.state.entries import EntryTable


class StateSize(NamedTuple):
    """`size_bytes` are those of keys, fields and values, packed."""

    keys: int
    size_bytes: int


class StateReader:
    """One checkpoint of the state in `folder`, where `has_state` says that there is one. Raises StateError."""

    def __init__(self, folder: Path, node: str, *, wall: clock.Clock = clock.wall) -> None:
        self._file = database_file(folder)
        self._now_s = wall()
        with self._file.in_words(), ExitStack() as undo:
            self._connection = self._file.connect_to_read()
            undo.callback(self._connection.close)
            self._entries = EntryTable(self._file, self._connection, node)
            if not self._file.is_made(self._connection):
                raise StateError(f"{self._file.title} is empty", remedy="Look again when its node has begun to work.")
            self._connection.execute("BEGIN")
            self.names: Mapping[str, str] = self._entries.names()
            undo.pop_all()

    def size(self, name: str) -> StateSize:
        with self._file.in_words():
            has_fields = self.names[name] in (LIST, MAP)
            return StateSize(*self._entries.size(name, has_fields=has_fields, now_s=self._now_s))

    def entries(self, name: str, key: bytes | None = None) -> Iterator[tuple[EntryKey, Entry]]:
        """Those of a state, or of one key of it, that have not expired, in the order of `StateStore.scan`."""
        for at, entry in self._entries.scan(name, None, key):
            if not 0 < entry.expires_s <= self._now_s:
                yield at, entry

    def close(self) -> None:
        self._connection.close()


def has_state(folder: Path) -> bool:
    """Whether a node has ever kept state here."""
    path = folder / DATABASE_FILE
    return path.exists() and path.stat().st_size > 0
