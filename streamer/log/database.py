"""The file of the control log on one machine: made, opened, and checked against what was acknowledged.

What `streamer.database` does for every file of ours, and what only the log needs beside it: a checksum of each record,
since SQLite has none for what lies in its tables, and marks, since a write-ahead log that is cut in its middle looks
whole to it. A log that has lost what was acknowledged is refused, and never goes on with less in silence.
"""

from __future__ import annotations

import os
import sqlite3
import zlib
from contextlib import ExitStack
from pathlib import Path

from streamer.database import DatabaseFile, DatabaseKind
from streamer.errors import LogError, StateError
from streamer.limits import CONTROL_LOG_BUSY_S, CONTROL_LOG_CHECK_BYTES_MAX, MIB
from streamer.log.marks import Marks
from streamer.log.topics import CLAIMS, Topic

DATABASE_FILE = "log.sqlite"
MARKS_FILE = "marks"

_WAL_BYTES_KEPT = 16 * MIB
_TABLE = """
CREATE TABLE {topic} (
    "offset" INTEGER PRIMARY KEY AUTOINCREMENT, -- never given again, also when the last record was removed
    scope TEXT NOT NULL,
    "key" TEXT NOT NULL,
    is_claim INTEGER NOT NULL,
    epoch INTEGER,
    written_at REAL NOT NULL,
    seal INTEGER NOT NULL,
    value BLOB
);
CREATE INDEX {topic}_scope ON {topic} (scope);
"""
_KIND = DatabaseKind(
    name="the control log",
    application=0x5354524C,  # `STRL`
    version=1,
    schema="".join(_TABLE.format(topic=topic) for topic in Topic)
    + f"CREATE INDEX {CLAIMS}_claim ON {CLAIMS} (scope) WHERE is_claim;",
    unavailable=LogError,
    no_room=LogError.remedy,
    access="Give this user the right to read and write the folder, or choose another one by STREAMER_HOME.",
    repair="Stop the jobs, move the folder of the log aside, and bring back a copy of it or begin with none.",
)

Row = tuple[int, bytes, int | None, float, bytes | None]
"""Offset, key, epoch, time of day and value, as they are stored; of any types where the file is damaged."""


def seal(row: Row) -> int:
    """A checksum over all of a record."""
    *facts, value = row
    return zlib.crc32(value if isinstance(value, bytes) else b"", zlib.crc32(repr((facts, type(value))).encode()))


def open_database(folder: Path) -> tuple[DatabaseFile, sqlite3.Connection, Marks]:
    """Open the log in `folder`, or make it. Raises StateError and LogError."""
    file = DatabaseFile(folder / DATABASE_FILE, _KIND, CONTROL_LOG_BUSY_S)
    with file.in_words(), ExitStack() as undo:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        marks = Marks(folder / MARKS_FILE)
        undo.callback(marks.close)
        with marks.locked():
            if not file.path.exists():
                # Only when it is new: to open and close a database's file beside SQLite drops SQLite's locks.
                os.close(os.open(file.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            connection = file.connect()
            undo.callback(connection.close)
            if not file.is_made(connection):
                if any(marks.read().values()):
                    raise file.damaged(f"it is empty, and {marks.path.name} beside it tells of records")
                file.make(connection)
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES_KEPT}")
            _check(file, connection, marks)
        undo.pop_all()
        return file, connection, marks


def _check(file: DatabaseFile, connection: sqlite3.Connection, marks: Marks) -> None:
    """Refuse a file that is damaged, or that has lost what was acknowledged."""
    acknowledged = marks.read()  # before the offsets: others go on appending
    for topic, mark in acknowledged.items():
        offset = last_offset(connection, topic)
        if mark > offset:
            raise StateError(
                f"{file.title} has lost records: {topic} ends at offset {offset}, and {mark} was acknowledged",
                remedy=f"{_KIND.repair} To go on with what is here, remove {marks.path}.",
            )
        marks.note(topic, offset)
    if file.path.stat().st_size <= CONTROL_LOG_CHECK_BYTES_MAX:
        file.check_structure(connection)


def last_offset(connection: sqlite3.Connection, topic: Topic) -> int:
    """The last offset ever given; 0 if there is none."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (topic.value,)).fetchone()
    return row[0] if row and isinstance(row[0], int) else 0
