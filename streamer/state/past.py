"""What each instance has left behind, as rows of a database: marks, outgoing messages, facts.

It is written with every checkpoint and read once a life, so it is kept as it comes and looked for by instance. Each row
is sealed as entries are: a message whose bytes have changed on the disk is refused, and not sent.
"""

from __future__ import annotations

import zlib
from sqlite3 import Connection

from streamer.database import DatabaseFile
from streamer.state.base import Checkpoint, Kept, Outgoing

_MARK = "INSERT INTO marks (instance, seal, marks) VALUES (?, ?, ?)"
_SEND = "REPLACE INTO outgoing (instance, number, seal, record) VALUES (?, ?, ?, ?)"
_SETTLE = "DELETE FROM outgoing WHERE instance = ? AND number = ?"
_KNOW = "REPLACE INTO facts (instance, name, seal, value) VALUES (?, ?, ?, ?)"


def seal(value: bytes, name: object) -> int:
    """A checksum over a value and where it belongs."""
    return zlib.crc32(value, zlib.crc32(repr(name).encode()))


class PastTables:
    """The tables of one instance, as one connection sees them. What writes is called in a transaction."""

    def __init__(self, file: DatabaseFile, connection: Connection, instance: str) -> None:
        self._file = file
        self._connection = connection
        self._instance = instance

    def write(self, checkpoint: Checkpoint) -> None:
        instance, many = self._instance, self._connection.executemany
        if checkpoint.marks_whole:
            self._connection.execute("DELETE FROM marks WHERE instance = ?", (instance,))
        if marks := checkpoint.marks:
            self._connection.execute(_MARK, (instance, seal(marks, instance), marks))
        many(_SEND, [(instance, number, seal(record, number), record) for number, record in checkpoint.outgoing])
        many(_SETTLE, [(instance, number) for number in checkpoint.settled])
        many(_KNOW, [(instance, name, seal(value, name), value) for name, value in checkpoint.facts.items()])

    def read(self, *, all_marks: bool) -> Kept:
        mine = (self._instance,)
        marks = self._connection.execute(
            "SELECT instance, seal, marks FROM marks WHERE ? OR instance = ? ORDER BY id", (all_marks, *mine)
        ).fetchall()
        outgoing = self._connection.execute(
            "SELECT number, seal, record FROM outgoing WHERE instance = ? ORDER BY number", mine
        ).fetchall()
        facts = self._connection.execute("SELECT name, seal, value FROM facts WHERE instance = ?", mine).fetchall()
        for name, sealed, value in (*marks, *outgoing, *facts):
            if not isinstance(value, bytes) or seal(value, name) != sealed:
                raise self._file.damaged(f"what {self._instance} has left is not as it was written (at {name!r})")
        return Kept(
            [found for _, _, found in marks],
            [Outgoing(number, record) for number, _, record in outgoing],
            {name: value for name, _, value in facts},
        )
