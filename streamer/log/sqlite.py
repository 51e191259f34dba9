"""The control log on one machine: a SQLite database that many processes append to and follow.

The embedded default, because a laptop has no broker, and several commands, a controller and its successor need one
truth that outlives each of them. One table for each topic, one partition; the write lock of a transaction makes the
order. An append under a claim is checked in its own transaction, so that a controller that was replaced is refused at
once. Followers ask whether another connection has committed (2 us, a hundred times a second) and read only then: a
socket or a pipe for each follower would wake them sooner, and would have to be found, kept and cleaned up by every
writer. An append to a durable topic costs an fsync (0.2 ms on a virtual disk, several on a laptop's), to another none
(0.02 ms).
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from streamer import clock
from streamer.errors import ClaimError
from streamer.limits import (
    CONTROL_LOG_COMPACT_RECORDS,
    CONTROL_LOG_POLL_S,
    CONTROL_LOG_READ_BYTES,
    CONTROL_LOG_READ_RECORDS_MAX,
)
from streamer.log.base import (
    BEGINNING,
    Batch,
    Claim,
    Entry,
    Position,
    Record,
    check_entries,
    check_scope,
    claim_key,
    scope_of,
)
from streamer.log.compaction import Stub, removable
from streamer.log.database import last_offset, open_database, seal
from streamer.log.topics import CLAIMED, CLAIMS, POLICIES, Topic

_PARTITION = 0
_COLUMNS = '"offset", CAST("key" AS BLOB), epoch, written_at, value, seal'


class SqliteLog:
    """The log in `folder`, made if there is none. Raises StateError if it is damaged, foreign or not permitted."""

    def __init__(self, folder: Path, *, wall: clock.Clock = clock.wall) -> None:
        self._wall = wall
        self._file, self._connection, self._marks = open_database(folder)
        self._commits = 0

    def append(self, topic: Topic, key: str, value: bytes | None, *, claim: Claim | None = None) -> int:
        (offset,) = self.append_all([Entry(topic, key, value)], claim=claim)
        return offset

    def append_all(self, entries: Sequence[Entry], *, claim: Claim | None = None) -> tuple[int, ...]:
        """All of them, or none."""
        check_entries(entries, claim)
        if not entries:
            return ()
        with self._transaction({entry.topic for entry in entries}):
            if claim is not None:
                self._confirm(claim)
            return tuple(self._insert(entry, claim.epoch if claim else None) for entry in entries)

    def _confirm(self, claim: Claim) -> None:
        newest = self._newest_claim(claim.scope)
        if newest is None or newest.epoch != claim.epoch:
            by = f"{newest.holder} (epoch {newest.epoch})" if newest else "nobody"
            raise ClaimError(f"{claim.scope} is claimed by {by}, and no more by {claim.holder} (epoch {claim.epoch})")

    def _insert(self, entry: Entry, epoch: int | None) -> int:
        offset = last_offset(self._connection, entry.topic) + 1
        if not POLICIES[entry.topic].claimed:
            epoch = None
        elif epoch is None:
            epoch = offset
        written_at, key, scope = float(self._wall()), entry.key, scope_of(entry.key)
        sealed = seal((offset, key.encode(), epoch, written_at, entry.value))
        self._connection.execute(
            f'INSERT INTO {entry.topic} ("offset", "key", epoch, written_at, value, seal, scope, is_claim) '
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (offset, key, epoch, written_at, entry.value, sealed, scope, key == claim_key(scope)),
        )
        return offset

    def claim(self, scope: str, holder: str) -> Claim:
        check_scope(scope)
        key, value = claim_key(scope), holder.encode()
        with self._transaction(CLAIMED):
            epoch = self._insert(Entry(CLAIMS, key, value), None)
            for topic in CLAIMED:
                if topic is not CLAIMS:
                    self._insert(Entry(topic, key, value), epoch)
        return Claim(scope, epoch, holder)

    def claimed(self, scope: str) -> Claim | None:
        check_scope(scope)
        with self._file.in_words():
            return self._newest_claim(scope)

    def _newest_claim(self, scope: str) -> Claim | None:
        row = self._connection.execute(
            f"SELECT {_COLUMNS} FROM {CLAIMS} INDEXED BY {CLAIMS}_claim "
            'WHERE is_claim AND scope = ? ORDER BY "offset" DESC LIMIT 1',
            (scope,),
        ).fetchone()
        if row is None:
            return None
        record = self._record(CLAIMS, row)
        return Claim(scope, record.offset, (record.value or b"").decode())

    def read(
        self,
        topic: Topic,
        after: Position = BEGINNING,
        *,
        scope: str | None = None,
        limit: int = CONTROL_LOG_READ_RECORDS_MAX,
    ) -> Batch:
        records: list[Record] = []
        room = CONTROL_LOG_READ_BYTES
        with self._file.in_words():
            rows = self._rows(topic, after.offset(topic, _PARTITION), scope, limit)
            for row in rows:
                record = self._record(topic, row)
                room -= len(record.value or b"")
                if room < 0 and records:
                    break
                records.append(record)
            rows.close()  # a statement that is not at its end keeps the write-ahead log from being reused
        return Batch(tuple(records), after.after(records[-1]) if records else after)

    def _rows(self, topic: Topic, offset: int, scope: str | None, limit: int) -> sqlite3.Cursor:
        if scope is None:
            return self._connection.execute(
                f'SELECT {_COLUMNS} FROM {topic} WHERE "offset" > ? ORDER BY "offset" LIMIT ?', (offset, limit)
            )
        return self._connection.execute(
            f"SELECT {_COLUMNS} FROM {topic} INDEXED BY {topic}_scope "
            'WHERE scope = ? AND "offset" > ? ORDER BY "offset" LIMIT ?',
            (scope, offset, limit),
        )

    def _record(self, topic: Topic, row: tuple[int, bytes, int | None, float, bytes | None, int]) -> Record:
        """The record as it was written, or StateError."""
        offset, key, epoch, written_at, value, sealed = row
        if seal((offset, key, epoch, written_at, value)) != sealed:
            raise self._file.damaged(f"record {offset} of {topic} ({key!r}) is not as it was written")
        return Record(topic, _PARTITION, offset, key.decode(), value, epoch, written_at)

    def follow(
        self, topics: Sequence[Topic], after: Position = BEGINNING, *, scope: str | None = None
    ) -> SqliteFollower:
        return SqliteFollower(self, topics, after, scope)

    def end(self, topics: Sequence[Topic]) -> Position:
        position = BEGINNING
        with self._file.in_words():
            for topic in topics:
                position = position.at(topic, _PARTITION, last_offset(self._connection, topic))
        return position

    def change(self) -> tuple[int, int]:
        """Another value after each append of anyone."""
        with self._file.in_words():
            (others,) = self._connection.execute("PRAGMA data_version").fetchone()
        return others, self._commits

    def compact(self) -> int:
        removed = 0
        for topic in Topic:
            gone = removable(self._stubs(topic), POLICIES[topic], self._wall())
            for first in range(0, len(gone), CONTROL_LOG_COMPACT_RECORDS):
                chunk = gone[first : first + CONTROL_LOG_COMPACT_RECORDS]
                with self._transaction(()):
                    self._connection.executemany(f'DELETE FROM {topic} WHERE "offset" = ?', ((o,) for o in chunk))
            removed += len(gone)
        return removed

    def _stubs(self, topic: Topic) -> list[Stub]:
        with self._file.in_words():
            rows = self._connection.execute(
                f'SELECT "offset", "key", value IS NULL, written_at FROM {topic} ORDER BY "offset"'
            )
            return [Stub(offset, key, bool(deletes), written_at) for offset, key, deletes, written_at in rows]

    def verify(self) -> int:
        """Read everything, and give the number of records; for a log too large to be checked when it is opened."""
        with self._file.in_words():
            self._file.check_structure(self._connection)
            count = 0
            for topic in Topic:
                for row in self._connection.execute(f"SELECT {_COLUMNS} FROM {topic}"):
                    self._record(topic, row)
                    count += 1
            return count

    @contextmanager
    def _transaction(self, topics: Collection[Topic]) -> Iterator[None]:
        """The write lock; in the end the records are there, durably if one of `topics` is, or none of them is."""
        durable = {topic for topic in topics if POLICIES[topic].durable}
        with self._file.in_words():
            self._connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            with self._file.transaction(self._connection):
                yield
                marks = {topic: last_offset(self._connection, topic) for topic in durable}
            self._commits += 1
            for topic, offset in marks.items():
                self._marks.note(topic, offset)

    def close(self) -> None:
        self._connection.close()
        self._marks.close()


class SqliteFollower:
    """Reads when something was appended, and looks for that at a fixed pace."""

    def __init__(self, log: SqliteLog, topics: Sequence[Topic], after: Position, scope: str | None) -> None:
        self.position = after
        self._log = log
        self._topics = tuple(topics)
        self._scope = scope
        self._read_at: tuple[int, int] | None = None
        """The log's change behind which nothing was left to read."""

    def poll(self, timeout_s: float) -> tuple[Record, ...]:
        deadline = clock.now() + timeout_s
        while True:
            change = self._log.change()  # before reading: what comes in between is found the next time
            if change != self._read_at:
                found = self._read()
                if found:
                    return found
                self._read_at = change
            remaining_s = deadline - clock.now()
            if remaining_s <= 0:
                return ()
            time.sleep(min(CONTROL_LOG_POLL_S, remaining_s))

    def _read(self) -> tuple[Record, ...]:
        found: list[Record] = []
        for topic in self._topics:
            batch = self._log.read(topic, self.position, scope=self._scope)
            self.position = batch.position
            found.extend(batch.records)
        return tuple(found)

    def close(self) -> None:
        """Nothing is held."""
