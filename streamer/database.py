"""A SQLite file of ours: known from others, made whole, its errors put into words, its turns taken.

The control log and the state of nodes both live in such files. Several processes open one at once, any of them may be
killed while it does, and the disk below may be full or damaged, the file somebody else's. The rule: a file is opened
whole, or refused by one message that says which of these it is; nothing is repaired by guessing. Files of a form of our
own were rejected: SQLite's write-ahead log has had more kills, full disks and torn writes than we could test.
"""

from __future__ import annotations

import errno
import fcntl
import os
import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from streamer import clock
from streamer.errors import StateError, StreamerError
from streamer.limits import DATABASE_TURN_S, FILE_LOCK_TURN_S

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EMFILE, errno.ENFILE)


@dataclass(frozen=True, slots=True)
class DatabaseKind:
    """What all files of one kind have in common, and what is said of them.

    `application` and `version` stand in the file. `unavailable` is raised for what is not possible now and may be
    later. `no_room`, `access` and `repair` tell what to do where a file cannot be written, may not be used, is damaged.
    """

    name: str
    application: int
    version: int
    schema: str
    unavailable: type[StreamerError]
    no_room: str
    access: str
    repair: str


@dataclass(frozen=True, slots=True)
class DatabaseFile:
    """One file, whether it is there or not. A wait for other processes ends after `busy_s`."""

    path: Path
    kind: DatabaseKind
    busy_s: float

    @property
    def title(self) -> str:
        return f"{self.kind.name} {self.path}"

    def connect(self) -> sqlite3.Connection:
        """One thread at a time may use it; transactions are begun by hand."""
        return sqlite3.connect(self.path, isolation_level=None, timeout=self.busy_s, check_same_thread=False)

    def connect_to_read(self) -> sqlite3.Connection:
        """For one who only looks, also while others write. Files that SQLite needs beside it may be made."""
        uri = f"{self.path.absolute().as_uri()}?mode=ro"
        return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=self.busy_s)

    def damaged(self, what: str) -> StateError:
        return StateError(f"{self.title} is damaged: {what}", remedy=self.kind.repair)

    @contextmanager
    def in_words(self) -> Iterator[None]:
        """Errors of the database and of the system become `unavailable` (not now) or StateError (not this file)."""
        try:
            yield
        except sqlite3.Error as error:
            if isinstance(error, sqlite3.ProgrammingError | sqlite3.InterfaceError):
                raise  # a wrong call of ours
            raise self._in_words(error) from error
        except UnicodeDecodeError as error:  # SQLite quotes what it cannot understand
            raise self.damaged("it names things that are no text") from error
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise self._not_now(f"cannot be used now: {error}") from error
            raise StateError(f"{self.title} cannot be opened: {error}", remedy=self.kind.access) from error

    def _not_now(self, what: str) -> StreamerError:
        return self.kind.unavailable(f"{self.title} {what}", remedy=self.kind.no_room)

    def _in_words(self, error: sqlite3.Error) -> StreamerError:
        if not hasattr(error, "sqlite_errorcode"):  # Python's own: a text that is none
            return self.damaged(str(error))
        primary = error.sqlite_errorcode & 0xFF
        what = f"{error} ({error.sqlite_errorname})"
        if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return self.kind.unavailable(
                f"{self.title} is held by another process for more than {self.busy_s:g} s: {what}",
                remedy="Look for a streamer process that is stopped, and let it go on or end it.",
            )
        if primary in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM):
            return self._not_now(f"could not be written or read: {what}")
        if primary in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
            return StateError(f"{self.title} cannot be opened for writing: {what}", remedy=self.kind.access)
        return self.damaged(what)

    def is_made(self, connection: sqlite3.Connection) -> bool:
        """Whether it is a file of this kind; if not, it is an empty one. Raises StateError for any other."""
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        known = self.kind.version
        if (application, version) == (self.kind.application, known):
            return True
        if application == self.kind.application:
            raise StateError(f"{self.title} is of version {version}; this streamer knows version {known}")
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application or version or tables:
            name = self.kind.name.removeprefix("the ")
            raise StateError(f"{self.path} is a database, and no {name} of streamer")
        return False

    def make(self, connection: sqlite3.Connection) -> None:
        """Give an empty file its tables. A kill leaves it empty or made."""
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise StateError(
                f"{self.title} lies on a file system that processes cannot share memory on",
                remedy="Put STREAMER_HOME on a local disk.",
            )
        connection.executescript(
            f"BEGIN IMMEDIATE; {self.kind.schema} PRAGMA application_id = {self.kind.application}; "
            f"PRAGMA user_version = {self.kind.version}; COMMIT"
        )
        # From here on the file says whose it is, whatever becomes of its write-ahead log.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        sync_folder(self.path.parent)

    def check_structure(self, connection: sqlite3.Connection) -> None:
        """Raise StateError where pages, tables and indices do not fit together."""
        (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        if found != "ok":
            raise self.damaged(found)

    @contextmanager
    def transaction(self, connection: sqlite3.Connection) -> Iterator[None]:
        """The write lock; in the end everything is written, or nothing."""
        with self.in_words():
            self._begin(connection)
            try:
                yield
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    with suppress(sqlite3.Error):  # a failed write may have ended it already
                        connection.execute("ROLLBACK")

    def _begin(self, connection: sqlite3.Connection) -> None:
        """Begin a transaction that writes, in one's turn among other processes.

        SQLite's own wait grows to 0.1 s between two tries, so that whoever has waited longest tries least: of eight
        writers with 500 durable appends each, one waited 8.8 s for a turn, and 0.4 s by short random pauses, in half
        the time.
        """
        deadline = clock.now() + self.busy_s
        connection.execute("PRAGMA busy_timeout = 0")
        try:
            while True:
                try:
                    connection.execute("BEGIN IMMEDIATE")
                    return
                except sqlite3.OperationalError as error:
                    if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or clock.now() > deadline:
                        raise
                time.sleep(random.uniform(DATABASE_TURN_S / 4, DATABASE_TURN_S))
        finally:
            connection.execute(f"PRAGMA busy_timeout = {self.busy_s * 1000:.0f}")


def take_lock(fd: int, wait_s: float) -> bool:
    """Lock a file for its only user. The lock goes with its process, however that ends."""
    deadline = clock.now() + wait_s
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if clock.now() >= deadline:
                return False
        time.sleep(FILE_LOCK_TURN_S)


def sync_folder(folder: Path) -> None:
    """Let the names in a folder survive a loss of power."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
