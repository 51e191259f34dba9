"""The database of a node's state as a file: made, opened, and refused where it cannot be what it should be.

One file holds the state of all instances of a node on this machine, since key groups move between them. It is in the
folder `state/<node>` of its job, which may be copied while nobody writes, and taken up from the copy; so it says inside
which node it belongs to. A checkpoint is in the write-ahead log when it is committed, and that is not synced: it
survives every kill, and not a loss of power. One that was lost so, or with a damaged file, is missed at the next
opening, since each instance counts its commits in a file beside it.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from streamer.database import DatabaseFile, DatabaseKind, take_lock
from streamer.errors import StateError
from streamer.limits import MIB, STATE_BUSY_S, STATE_CHECK_BYTES_MAX, STATE_WAL_BYTES
from streamer.state.holder import SUFFIX, Holder, acknowledged_commits
from streamer.state.home import DATABASE_FILE

_OPENING_FILE = "opening.lock"
_PAGE_BYTES = 4096
_CACHE_BYTES = 16 * MIB
_SCHEMA = """
CREATE TABLE node (
    name TEXT NOT NULL,
    partition_epoch INTEGER NOT NULL,
    replicas INTEGER NOT NULL
);
CREATE TABLE lives (
    instance TEXT PRIMARY KEY,
    epoch INTEGER NOT NULL,
    commits INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE states (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    seal INTEGER NOT NULL
);
CREATE TABLE recent (
    id INTEGER PRIMARY KEY,
    instance TEXT NOT NULL,
    seal INTEGER NOT NULL,
    changes BLOB NOT NULL -- of one checkpoint: id, field_at, expires_s, value or nil, and so on
);
CREATE TABLE entries (
    id BLOB PRIMARY KEY NOT NULL, -- 2 bytes for the state, 1 for the group, key, field
    field_at INTEGER NOT NULL, -- where in it the field begins
    expires_s REAL NOT NULL,
    seal INTEGER NOT NULL,
    value BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX entries_expiry ON entries (expires_s) WHERE expires_s > 0;
CREATE TABLE marks (
    id INTEGER PRIMARY KEY,
    instance TEXT NOT NULL,
    seal INTEGER NOT NULL,
    marks BLOB NOT NULL
);
CREATE INDEX marks_instance ON marks (instance);
CREATE TABLE outgoing (
    instance TEXT NOT NULL,
    number INTEGER NOT NULL,
    seal INTEGER NOT NULL,
    record BLOB NOT NULL,
    PRIMARY KEY (instance, number)
);
CREATE TABLE facts (
    instance TEXT NOT NULL,
    name TEXT NOT NULL,
    seal INTEGER NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (instance, name)
) WITHOUT ROWID;
"""
KIND = DatabaseKind(
    name="the state",
    application=0x53545253,  # `STRS`
    version=1,
    schema=_SCHEMA,
    unavailable=StateError,
    no_room="Make room where it lies: what was committed is kept, and the next checkpoint takes all that has changed.",
    access="Give this user the right to read and write the folder and its files.",
    repair="Stop the job, move the folder aside, and bring back a copy of it, or begin without state.",
)


def database_file(folder: Path) -> DatabaseFile:
    return DatabaseFile(folder / DATABASE_FILE, KIND, STATE_BUSY_S)


def open_database(folder: Path, node: str, instance: str) -> tuple[DatabaseFile, sqlite3.Connection, Holder]:
    """Open the state of `node` in `folder`, or make it, for this instance. Raises StateError."""
    file = database_file(folder)
    with file.in_words(), ExitStack() as undo:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        holder = Holder(folder / f"{instance}{SUFFIX}")
        undo.callback(holder.close)
        with _opening(folder):
            if not file.path.exists():
                # Only when it is new: to open and close a database's file beside SQLite drops SQLite's locks.
                os.close(os.open(file.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            connection = file.connect()
            undo.callback(connection.close)
            if not file.is_made(connection):
                if acknowledged_commits(folder):
                    raise file.damaged("it is empty, and the files beside it tell of checkpoints")
                connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
                file.make(connection)
            _set_up(connection)
            _check(file, connection, node)
            check_acknowledged(file, connection, instance, holder)
        undo.pop_all()
        return file, connection, holder


@contextmanager
def _opening(folder: Path) -> Iterator[None]:
    """Be the only one who opens this database."""
    fd = os.open(folder / _OPENING_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not take_lock(fd, STATE_BUSY_S):
            raise StateError(
                f"the state in {folder} is being opened by another process for more than {STATE_BUSY_S:g} s",
                remedy="Look for a streamer process that is stopped, and let it go on or end it.",
            )
        yield
    finally:
        os.close(fd)


def _set_up(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {STATE_WAL_BYTES // _PAGE_BYTES}")
    connection.execute(f"PRAGMA journal_size_limit = {STATE_WAL_BYTES}")
    connection.execute(f"PRAGMA cache_size = -{_CACHE_BYTES // 1024}")


def _check(file: DatabaseFile, connection: sqlite3.Connection, node: str) -> None:
    if file.path.stat().st_size <= STATE_CHECK_BYTES_MAX:
        file.check_structure(connection)
    row = connection.execute("SELECT name FROM node").fetchone()
    if row is None:
        connection.execute("INSERT INTO node VALUES (?, 0, 1)", (node,))
    elif row != (node,):
        raise StateError(
            f"{file.title} is that of node {row[0]!r}, and not of {node!r}",
            remedy="Bring back the folder of the node that is named, or move this one aside to begin without state.",
        )


def check_acknowledged(file: DatabaseFile, connection: sqlite3.Connection, instance: str, holder: Holder) -> None:
    """Refuse a database that has lost checkpoints."""
    row = connection.execute("SELECT commits FROM lives WHERE instance = ?", (instance,)).fetchone()
    commits = row[0] if row else 0
    if commits < holder.commits:
        raise StateError(
            f"{file.title} has lost checkpoints of {instance}: "
            f"it has {commits}, and {holder.commits} were acknowledged",
            remedy=f"{KIND.repair} To go on with what is here, remove {holder.path}.",
        )
    holder.note(commits)
