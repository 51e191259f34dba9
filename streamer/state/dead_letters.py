"""The dead letters of a job: one SQLite database, written by all its instances, read by commands and tests.

A message that nobody can handle must not be lost with the instance that gave it up, and it counts as settled as soon as
it is here: so when `append` returns, a kill of any process loses none of it (a loss of power may, as it may lose the
positions of sources). A letter keeps the message as it was packed and the position in the flows at which it was to be
handled, so that it can be sent in again there (`replays`). The same message that fails again at the same place has one
letter, not two. A text file, one letter a line, would be easier to read, and could neither be updated nor searched.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any

from streamer.errors import StateError
from streamer.limits import DEAD_LETTER_PART_BYTES, DEAD_LETTER_TEXT_CHARS_MAX, DEAD_LETTERS_BUSY_S
from streamer.protocol.buffers import Bulky
from streamer.protocol.codec import UNPACK_ERRORS, unpack_headers, unpack_one
from streamer.state.letter_search import ALL, LetterSearch

if TYPE_CHECKING:
    # Every instance would wait for SQLite at its start, and few have letters.
    import sqlite3

    from streamer.database import DatabaseFile

_SCHEMA = """
CREATE TABLE letters (
    number INTEGER PRIMARY KEY AUTOINCREMENT, -- never given again: people and commands name a letter by it
    target TEXT NOT NULL, flow TEXT NOT NULL, occurrence INTEGER NOT NULL, version INTEGER NOT NULL,
    message_id TEXT NOT NULL,
    node TEXT NOT NULL, instance TEXT NOT NULL, source TEXT NOT NULL,
    reason TEXT NOT NULL, error TEXT NOT NULL, traceback TEXT NOT NULL,
    attempts INTEGER NOT NULL, first_s REAL NOT NULL, last_s REAL NOT NULL,
    headers BLOB,
    state TEXT NOT NULL DEFAULT 'dead',
    current_flows INTEGER NOT NULL DEFAULT 0,
    replays INTEGER NOT NULL DEFAULT 0, crashes INTEGER NOT NULL DEFAULT 0,
    holder TEXT NOT NULL DEFAULT '', session INTEGER, sequence INTEGER, place INTEGER
);
CREATE UNIQUE INDEX letters_once ON letters (target, flow, occurrence, message_id);
CREATE INDEX letters_wanted ON letters (target) WHERE state <> 'dead';
CREATE TABLE parts (
    number INTEGER NOT NULL, piece INTEGER NOT NULL, at INTEGER NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (number, piece, at)
);
CREATE TABLE replayed (node TEXT PRIMARY KEY, letters INTEGER NOT NULL);
"""
_FACTS = (
    "target", "flow", "occurrence", "version", "message_id", "node", "instance", "source", "reason", "error",
    "traceback", "attempts", "last_s", "headers",
)  # fmt: skip
_INSERT = (
    f"INSERT INTO letters ({', '.join(_FACTS)}, first_s) VALUES ({', '.join('?' * len(_FACTS))}, ?) "
    "ON CONFLICT DO NOTHING"
)
_FAILED_AGAIN = (
    "UPDATE letters SET node = ?, instance = ?, reason = ?, error = ?, traceback = ?, "
    "attempts = attempts + ?, last_s = ?"
)
KEPT_COLUMNS = f"number, first_s, state, replays, {', '.join(_FACTS)}"
"""What `kept_of` makes a letter of."""
UNREADABLE = ("unreadable", "unreadable record", "unpackable record")
"""Reasons of letters whose message is no value that a handler could be given."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message that was given up.

    `reason` says why in a word or two (handler, hop limit, crash, unreadable record ...), `error` is the type and
    message of what was raised, with its `traceback` where there is one. `flow`, `occurrence` and `version` are the
    position of the flows at which node `target` was to handle it; `node`, where it was given up, is another one if it
    never got there. `source` is the node that it came from. `packed` is the message as it travelled (`Bulky` if it is
    large), `headers` its packed headers. `attempts` are calls of its handler. `again` is the number of the letter that
    was replayed, if this is what became of one. `time_s` is when it was given up, and `first_s` when it first failed.
    """

    time_s: float
    node: str
    instance: str
    reason: str
    error: str
    traceback: str
    flow: str
    target: str
    source: str
    message_id: str
    attempts: int
    packed: bytes
    headers: bytes | None = None
    occurrence: int = 0
    version: int = 0
    again: int | None = None
    first_s: float | None = None

    @property
    def message(self) -> Any:
        """The message itself, or its bytes if they cannot be read."""
        try:
            return unpack_one(self.packed)
        except UNPACK_ERRORS:
            return bytes(self.packed)

    @property
    def replayable(self) -> bool:
        """Whether there is a place at which it could be sent in again."""
        return bool(self.flow) and self.reason not in UNREADABLE


@dataclass(frozen=True, slots=True)
class KeptLetter:
    """A letter in its store. `state` is `dead`, or `wanted` or `claimed` while it is to be replayed.

    `first_s` is when it first failed, `letter.time_s` when it last did; `replays` counts how often it was sent in.
    """

    number: int
    first_s: float
    state: str
    replays: int
    letter: DeadLetter

    @property
    def headers(self) -> dict[str, Any]:
        return unpack_headers(self.letter.headers)


class DeadLetters:
    """The store of a job, which comes into being with the first letter. Any thread may use it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None
        self._lock = RLock()

    @cached_property
    def _file(self) -> DatabaseFile:
        from streamer.database import DatabaseFile, DatabaseKind

        kind = DatabaseKind(
            name="the dead-letter store",
            application=0x5354444C,  # `STDL`
            version=1,
            schema=_SCHEMA,
            unavailable=StateError,
            no_room="Make room on the disk on which $STREAMER_HOME (default ~/.streamer) lies.",
            access="See that this user can write to $STREAMER_HOME (default ~/.streamer).",
            repair="Move the file aside: the job begins another one, and its messages are not touched by this.",
        )
        return DatabaseFile(self.path, kind, DEAD_LETTERS_BUSY_S)

    def check(self) -> None:
        """Raises StateError if the file is no store of this version; without a file there is nothing to check."""
        if self.path.exists():
            self.count()

    def append(self, records: Sequence[DeadLetter]) -> None:
        """Keep these letters; they survive a kill once this returns. Raises StateError, then none was written."""
        if not records:
            return
        with self.writing() as connection:
            for record in records:
                _keep(connection, record)

    def find(self, search: LetterSearch = ALL, *, messages: bool = True) -> list[KeptLetter]:
        """The letters that are searched for, the oldest first; without their `messages` if those are not wanted.

        Raises StateError.
        """
        with self.reading() as connection:
            if connection is None:
                return []
            where, values = search.sql()
            rows = connection.execute(
                f"SELECT {KEPT_COLUMNS} FROM letters WHERE {where} ORDER BY number", values
            ).fetchall()
            return [kept_of(connection, row, message=messages) for row in rows]

    def count(self, search: LetterSearch = ALL) -> int:
        with self.reading() as connection:
            if connection is None:
                return 0
            where, values = search.sql()
            (count,) = connection.execute(f"SELECT count(*) FROM letters WHERE {where}", values).fetchone()
            return int(count)

    def oldest_version(self) -> int | None:
        """The oldest version of the flows of all letters that can be sent in again. Raises StateError."""
        with self.reading() as connection:
            if connection is None:
                return None
            unreadable = ", ".join("?" * len(UNREADABLE))
            query = f"SELECT min(version) FROM letters WHERE flow != '' AND reason NOT IN ({unreadable})"
            (found,) = connection.execute(query, UNREADABLE).fetchone()
            return None if found is None else int(found)

    def purge(self, search: LetterSearch) -> int:
        """Delete the letters that are searched for; gives their number."""
        if not self.path.exists():
            return 0
        with self.writing() as connection:
            where, values = search.sql()
            numbers = connection.execute(f"SELECT number FROM letters WHERE {where}", values).fetchall()
            remove(connection, [number for (number,) in numbers])
            return len(numbers)

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    # -- for whatever else is done in the store ------------------------------------------------------------------------

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction. Raises StateError, then nothing was written."""
        with self._lock:
            connection = self._connected()
            with self._file.transaction(connection):
                yield connection

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection | None]:
        """The store as it is at one moment; None if there is none. Raises StateError."""
        with self._lock:
            if self._connection is None and not self.path.exists():
                yield None
                return
            connection = self._connected()
            with self._file.in_words():
                connection.execute("BEGIN")
                try:
                    yield connection
                finally:
                    connection.execute("COMMIT")

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            with self._file.in_words(), ExitStack() as undo:
                folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                undo.callback(os.close, folder)
                fcntl.flock(folder, fcntl.LOCK_EX)  # two instances may have their first letter at the same time
                with suppress(FileExistsError):
                    os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
                with ExitStack() as refused:
                    connection = self._file.connect()
                    refused.callback(connection.close)
                    if not self._file.is_made(connection):
                        self._file.make(connection)
                    connection.execute("PRAGMA synchronous = NORMAL")
                    refused.pop_all()
                self._connection = connection
        return self._connection


def _keep(connection: sqlite3.Connection, record: DeadLetter) -> None:
    """Insert a letter, or note in the one that is there already that its message has failed again."""
    told = (
        record.node, record.instance, _text(record.reason), _text(record.error), _text(record.traceback),
        record.attempts, record.time_s,
    )  # fmt: skip
    if record.again is not None and connection.execute(
        f"{_FAILED_AGAIN}, state = 'dead', holder = '' WHERE number = ?", (*told, record.again)
    ).rowcount:  # fmt: skip
        return
    where = (_text(record.target), _text(record.flow), record.occurrence, record.message_id)
    inserted = connection.execute(
        _INSERT,
        (
            *where[:3], record.version, record.message_id, record.node, record.instance, _text(record.source),
            *told[2:], record.headers, record.time_s if record.first_s is None else record.first_s,
        ),
    )  # fmt: skip
    if not inserted.rowcount:
        connection.execute(
            f"{_FAILED_AGAIN} WHERE target = ? AND flow = ? AND occurrence = ? AND message_id = ?", (*told, *where)
        )
        return
    for piece, data in enumerate(_pieces(record.packed)):
        for at in range(0, max(1, len(data)), DEAD_LETTER_PART_BYTES):
            connection.execute(
                "INSERT INTO parts (number, piece, at, data) VALUES (?, ?, ?, ?)",
                (inserted.lastrowid, piece, at, data[at : at + DEAD_LETTER_PART_BYTES]),
            )


def _pieces(packed: bytes) -> list[memoryview]:
    """The packed message, and behind it the large buffers that travel beside it."""
    buffers = packed.buffers if isinstance(packed, Bulky) else []
    return [memoryview(packed), *(memoryview(buffer).cast("B") for buffer in buffers)]


def kept_of(connection: sqlite3.Connection, row: tuple[Any, ...], *, message: bool = True) -> KeptLetter:
    """The letter of a row of `KEPT_COLUMNS`."""
    number, first_s, state, replays, *values = row
    facts = dict(zip(_FACTS, values, strict=True))
    packed = packed_of(connection, number) if message else b""
    return KeptLetter(number, first_s, state, replays, DeadLetter(time_s=facts.pop("last_s"), packed=packed, **facts))


def packed_of(connection: sqlite3.Connection, number: int) -> bytes:
    """The message of a letter."""
    pieces: dict[int, list[bytes]] = {}
    for piece, data in connection.execute(
        "SELECT piece, data FROM parts WHERE number = ? ORDER BY piece, at", (number,)
    ):
        pieces.setdefault(piece, []).append(data)
    whole = [parts[0] if len(parts) == 1 else b"".join(parts) for _, parts in sorted(pieces.items())] or [b""]
    if len(whole) == 1:
        return whole[0]
    packed = Bulky(whole[0])
    packed.buffers = whole[1:]
    return packed


def remove(connection: sqlite3.Connection, numbers: Sequence[int]) -> None:
    """Delete these letters with their messages."""
    connection.executemany("DELETE FROM parts WHERE number = ?", [(number,) for number in numbers])
    connection.executemany("DELETE FROM letters WHERE number = ?", [(number,) for number in numbers])


def shortened(text: str) -> str:
    """Of a text that is too long its beginning and its end."""
    if len(text) <= DEAD_LETTER_TEXT_CHARS_MAX:
        return text
    half = DEAD_LETTER_TEXT_CHARS_MAX // 2
    return f"{text[:half]}\n...\n{text[-half:]}"


def _text(text: str) -> str:
    """As it can be kept: of a bounded length, and of characters that can be encoded."""
    text = shortened(text)
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
