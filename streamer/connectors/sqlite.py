"""A table of a SQLite database as a sink: rows and what is known of them are written in one transaction.

A row cannot be taken back by its length, as a line of a file can; but a transaction holds many rows, and a note beside
them. So what is written waits in memory until the next checkpoint, and then the rows and the checkpoint's note, by
which the runtime knows what was written before, are committed together: each message is one row, whatever is killed.
Rows that the table refuses are found one by one when a transaction has failed by one of them, and left out.
Messages that are maps fill the columns named in `columns`; without them a row is the message's JSON form.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from streamer import limits
from streamer.connectors.base import RefusedRecordsError
from streamer.connectors.json_form import to_json
from streamer.errors import ConnectorError

_NOTES = "_streamer_checkpoints"
_WHOLE = "message"
_ID_FILE = "sink-id"
_PLAIN = (str, int, float, bytes, type(None))
_REFUSALS = (sqlite3.IntegrityError, sqlite3.DataError, OverflowError, UnicodeEncodeError)
"""What is the row's fault: it breaks a rule of its table, or is more than SQLite can hold."""


class SqliteSink:
    """`spec` has `path`, `table` and perhaps `columns`; `state` is the folder of this instance."""

    refuses = True

    def __init__(self, spec: Mapping[str, Any], state: Path) -> None:
        self._path: str = spec["path"]
        self._table: str = spec["table"]
        self._columns: tuple[str, ...] = tuple(spec.get("columns") or ())
        self._id_path = state / _ID_FILE
        self._id = ""
        self._rows: list[tuple[Any, ...]] = []
        self._db: sqlite3.Connection | None = None
        names = self._columns or (_WHOLE,)
        marks = ", ".join("?" for _ in names)
        self._insert = f"INSERT INTO {_quoted(self._table)} ({', '.join(map(_quoted, names))}) VALUES ({marks})"

    def open(self, restarted: bool) -> None:
        if not restarted or not self._id_path.exists():
            self._id_path.write_text(secrets.token_hex(16))
        self._id = self._id_path.read_text()
        try:
            # The runtime opens the sink in one thread and uses it in another, but never in both at once.
            self._db = sqlite3.connect(
                self._path, timeout=limits.SQLITE_SINK_BUSY_S, isolation_level=None, check_same_thread=False
            )
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute(
                f"CREATE TABLE IF NOT EXISTS {_quoted(self._table)} ({', '.join(map(_quoted, self._names))})"
            )
            self._db.execute(f"CREATE TABLE IF NOT EXISTS {_NOTES} (sink TEXT PRIMARY KEY, note BLOB NOT NULL)")
        except sqlite3.Error as error:
            raise self._unwritable(error) from error
        if found := _missing_columns(self._db, self._table, self._names):
            raise ConnectorError(_lacks(self._path, self._table, found))

    @property
    def _names(self) -> tuple[str, ...]:
        return self._columns or (_WHOLE,)

    def restore(self) -> bytes:
        row = self._opened().execute(f"SELECT note FROM {_NOTES} WHERE sink = ?", (self._id,)).fetchone()
        return bytes(row[0]) if row else b""

    def write(self, values: Sequence[object]) -> None:
        self._opened()
        self._rows += map(self._row, values)

    def _row(self, value: object) -> tuple[Any, ...]:
        if not self._columns:
            return (to_json(value),)
        if not isinstance(value, Mapping):
            return (to_json(value), *(None for _ in self._columns[1:]))
        return tuple(_plain(value.get(name)) for name in self._columns)

    def checkpoint(self, note: bytes) -> None:
        db = self._opened()
        try:
            with _transaction(db):
                try:
                    db.executemany(self._insert, self._rows)
                except _REFUSALS as error:
                    raise RefusedRecordsError(self._refused(db)) from error
                db.execute(f"INSERT OR REPLACE INTO {_NOTES} VALUES (?, ?)", (self._id, note))
                db.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._unwritable(error) from error
        self._rows.clear()

    def _refused(self, db: sqlite3.Connection) -> dict[int, Exception]:
        """Take the rows that the table refuses out of what is to be written; gives them by their index."""
        if db.in_transaction:
            db.execute("ROLLBACK")
        reasons: dict[int, Exception] = {}
        with _transaction(db):
            for index, row in enumerate(self._rows):
                try:
                    db.execute(self._insert, row)
                except _REFUSALS as error:
                    reasons[index] = error
                    db.execute("SELECT 1")  # else an error in binding the next row is told as this one (CPython 3.11)
                    if not db.in_transaction:  # a rule of the table that takes back all
                        db.execute("BEGIN IMMEDIATE")
        self._rows = [row for index, row in enumerate(self._rows) if index not in reasons]
        return reasons

    def close(self) -> None:
        """The job has no more to write, and whoever opens the database next needs no note of it."""
        if self._db is not None:
            with closing(self._db) as db:
                db.execute(f"DELETE FROM {_NOTES} WHERE sink = ?", (self._id,))
            self._db = None

    def _opened(self) -> sqlite3.Connection:
        if self._db is None:
            raise ConnectorError(f"sink database {self._path} is used before it was opened")
        return self._db

    def _unwritable(self, error: sqlite3.Error) -> ConnectorError:
        return ConnectorError(
            f"table {self._table} of sink database {self._path} cannot be written: {error}",
            remedy="See that the file is a SQLite database that you may write, and that the disk has room.",
        )


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    """What is not committed in it is taken back."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def sqlite_problems(spec: Mapping[str, Any]) -> list[str]:
    """What keeps this table from being written, each with its remedy; looks, and changes nothing."""
    path = Path(spec["path"])
    if not path.exists():
        if not path.parent.is_dir():
            return [f"sink database {path} cannot be made: its folder does not exist. Make it: mkdir -p {path.parent}."]
        return []
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            found = _missing_columns(db, spec["table"], tuple(spec.get("columns") or (_WHOLE,)))
    except sqlite3.Error as error:
        return [f"sink database {path} cannot be read: {error}. Name a SQLite database, or a file that is not there."]
    return [_lacks(str(path), spec["table"], found)] if found else []


def _missing_columns(db: sqlite3.Connection, table: str, names: Sequence[str]) -> list[str]:
    """Of a table that is there."""
    known = {row[1].casefold() for row in db.execute(f"PRAGMA table_info({_quoted(table)})")}
    return [name for name in names if known and name.casefold() not in known]


def _lacks(path: str, table: str, columns: Sequence[str]) -> str:
    return (
        f"table {table} of sink database {path} has no column {', '.join(columns)}. "
        "Correct spec.columns, or name a table that is not there yet: it is made."
    )


def _plain(value: object) -> object:
    return value if isinstance(value, _PLAIN) else to_json(value)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
