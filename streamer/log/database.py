"""The file of the control log on one machine: made, opened, checked, and its errors put into words.

Several processes open it at once, any of them may be killed while it does, and the disk below may be full or damaged,
the file somebody else's. The rule: a file is opened whole, or refused by one message that says which of these it is;
nothing is repaired by guessing. A folder of segment files of our own was rejected: SQLite's write-ahead log has had
more kills, full disks and torn writes than we could test, and what it does not check (bytes inside a record, a log cut
in its middle) is checked here by a checksum of each record and by marks.
"""

from __future__ import annotations

import errno
import os
import random
import sqlite3
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from streamer import clock
from streamer.errors import LogError, StateError
from streamer.limits import CONTROL_LOG_BUSY_S, CONTROL_LOG_CHECK_BYTES_MAX, CONTROL_LOG_TURN_S, MIB
from streamer.log.marks import Marks
from streamer.log.topics import CLAIMS, Topic

DATABASE_FILE = "log.sqlite"
MARKS_FILE = "marks"

_APPLICATION = 0x5354524C
"""`STRL`, by which the file says whose it is."""
_VERSION = 1
_WAL_BYTES_KEPT = 16 * MIB
_ACCESS = "Give this user the right to read and write the folder, or choose another one by STREAMER_HOME."
_DAMAGED = "Stop the jobs, move the folder of the log aside, and bring back a copy of it or begin with none."

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
_SCHEMA = "".join(_TABLE.format(topic=topic) for topic in Topic) + (
    f"CREATE INDEX {CLAIMS}_claim ON {CLAIMS} (scope) WHERE is_claim;"
)


Row = tuple[int, bytes, int | None, float, bytes | None]
"""Offset, key, epoch, time of day and value, as they are stored; of any types where the file is damaged."""


def seal(row: Row) -> int:
    """A checksum over all of a record: SQLite has none for what lies in its tables."""
    *facts, value = row
    return zlib.crc32(value if isinstance(value, bytes) else b"", zlib.crc32(repr((facts, type(value))).encode()))


@contextmanager
def in_words(path: Path) -> Iterator[None]:
    """Errors of the database and of the system become LogError (not now) or StateError (not with this file)."""
    try:
        yield
    except sqlite3.Error as error:
        if isinstance(error, sqlite3.ProgrammingError | sqlite3.InterfaceError):
            raise  # a wrong call of ours
        raise _in_words(path, error) from error
    except UnicodeDecodeError as error:  # SQLite quotes what it cannot understand
        raise damaged(path, "it names things that are no text") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EMFILE, errno.ENFILE):
            raise LogError(f"the control log {path} cannot be used now: {error}") from error
        raise StateError(f"the control log {path} cannot be opened: {error}", remedy=_ACCESS) from error


def _in_words(path: Path, error: sqlite3.Error) -> LogError | StateError:
    if not hasattr(error, "sqlite_errorcode"):  # Python's own: a text that is none
        return damaged(path, str(error))
    primary = error.sqlite_errorcode & 0xFF
    what = f"{error} ({error.sqlite_errorname})"
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return LogError(
            f"the control log {path} is held by another process for more than {CONTROL_LOG_BUSY_S:g} s: {what}",
            remedy="Look for a streamer process that is stopped, and let it go on or end it.",
        )
    if primary in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM):
        return LogError(f"the control log {path} could not be written or read: {what}")
    if primary in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
        return StateError(f"the control log {path} cannot be opened for writing: {what}", remedy=_ACCESS)
    return damaged(path, what)


def damaged(path: Path, what: str) -> StateError:
    return StateError(f"the control log {path} is damaged: {what}", remedy=_DAMAGED)


def open_database(folder: Path) -> tuple[sqlite3.Connection, Marks]:
    """Open the log in `folder`, or make it. Raises StateError and LogError."""
    path = folder / DATABASE_FILE
    with in_words(path), ExitStack() as undo:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        marks = Marks(folder / MARKS_FILE)
        undo.callback(marks.close)
        with marks.locked():
            if not path.exists():
                # Only when it is new: to open and close a database's file beside SQLite drops SQLite's locks.
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            connection = sqlite3.connect(path, isolation_level=None, timeout=CONTROL_LOG_BUSY_S)
            undo.callback(connection.close)
            if _is_new(connection, path, marks):
                _make(connection, path)
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES_KEPT}")
            _check(connection, path, marks)
        undo.pop_all()
        return connection, marks


def begin(connection: sqlite3.Connection) -> None:
    """Begin a transaction that writes, in one's turn among other processes.

    SQLite's own wait grows to 0.1 s between two tries, so that whoever has waited longest tries least: of eight writers
    with 500 durable appends each, one waited 8.8 s for a turn, and 0.4 s by short random pauses, in half the time.
    """
    deadline = clock.now() + CONTROL_LOG_BUSY_S
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        while True:
            try:
                connection.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or clock.now() > deadline:
                    raise
            time.sleep(random.uniform(CONTROL_LOG_TURN_S / 4, CONTROL_LOG_TURN_S))
    finally:
        connection.execute(f"PRAGMA busy_timeout = {CONTROL_LOG_BUSY_S * 1000:.0f}")


def _is_new(connection: sqlite3.Connection, path: Path, marks: Marks) -> bool:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if (application, version) == (_APPLICATION, _VERSION):
        return False
    if application == _APPLICATION:
        raise StateError(f"the control log {path} is of version {version}; this streamer knows version {_VERSION}")
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application or version or tables:
        raise StateError(f"{path} is a database, and no control log of streamer")
    if any(marks.read().values()):
        raise damaged(path, f"it is empty, and {marks.path.name} beside it tells of records")
    return True


def _make(connection: sqlite3.Connection, path: Path) -> None:
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise StateError(
            f"the control log {path} lies on a file system that processes cannot share memory on",
            remedy="Put STREAMER_HOME on a local disk.",
        )
    connection.executescript(
        f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA application_id = {_APPLICATION}; PRAGMA user_version = {_VERSION}; COMMIT"
    )
    # From here on the file says whose it is, whatever becomes of its write-ahead log.
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _check(connection: sqlite3.Connection, path: Path, marks: Marks) -> None:
    """Refuse a file that is damaged, or that has lost what was acknowledged."""
    acknowledged = marks.read()  # before the offsets: others go on appending
    for topic, mark in acknowledged.items():
        offset = last_offset(connection, topic)
        if mark > offset:
            raise StateError(
                f"the control log {path} has lost records: "
                f"{topic} ends at offset {offset}, and {mark} was acknowledged",
                remedy=f"{_DAMAGED} To go on with what is here, remove {marks.path}.",
            )
        marks.note(topic, offset)
    if path.stat().st_size <= CONTROL_LOG_CHECK_BYTES_MAX:
        check_structure(connection, path)


def check_structure(connection: sqlite3.Connection, path: Path) -> None:
    """Raise StateError where pages, tables and indices do not fit together."""
    (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if found != "ok":
        raise damaged(path, found)


def last_offset(connection: sqlite3.Connection, topic: Topic) -> int:
    """The last offset ever given; 0 if there is none."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (topic.value,)).fetchone()
    return row[0] if row and isinstance(row[0], int) else 0
