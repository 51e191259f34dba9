"""The state store of one machine: a SQLite database for each node, which its instances share.

The embedded default, because a checkpoint needs a transaction and nothing else that a laptop would have to install. All
of a checkpoint is one transaction, in which the epochs are checked; nothing of the state is loaded when a store is
opened but what the last checkpoints have changed, so a node with a million keys begins as fast as one with none, and
reads an entry when it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

from streamer import clock
from streamer.limits import STATE_EXPIRED_DELETED_MAX
from streamer.state.base import (
    Checkpoint,
    Entry,
    EntryKey,
    Kept,
    Ownership,
    fenced_life,
    fenced_ownership,
)
from streamer.state.database import open_database
from streamer.state.entries import EntryTable
from streamer.state.names import NameTable
from streamer.state.past import PastTables
from streamer.state.recent import RecentChanges


class SqliteStateStore:
    """The state of `node` in `folder`, as this life of `instance` has it; made if there is none.

    Raises StateError if it is in use, damaged, foreign or not permitted, and FencedError if a later life was here.
    """

    def __init__(
        self,
        folder: Path,
        node: str,
        instance: str,
        epoch: int,
        *,
        partition_epoch: int = 0,
        wall: clock.Clock = clock.wall,
    ) -> None:
        self._instance = instance
        self._epoch = epoch
        self._partition_epoch = partition_epoch
        self._file, self._connection, self._holder = open_database(folder, node, instance)
        file, connection = self._file, self._connection
        self._names = NameTable(file, connection, node)
        self._recent = RecentChanges(file, connection, instance)
        self._entries = EntryTable(file, connection, self._names, wall=wall, recent=self._recent)
        self._past = PastTables(file, connection, instance)
        with ExitStack() as undo:
            undo.callback(self.close)
            self._begin_life()
            if self.ownership().partition_epoch < partition_epoch:
                self.own(partition_epoch, self.ownership().replicas)
            undo.pop_all()

    def _begin_life(self) -> None:
        with self._file.in_words():
            newest = self._newest_epoch()
        if newest != self._epoch:  # else the machine has restarted it by itself
            with self._file.transaction(self._connection):
                newest = self._newest_epoch()
                if newest is not None and newest > self._epoch:
                    raise fenced_life(self._instance, self._epoch, newest)
                self._connection.execute(
                    "INSERT INTO lives (instance, epoch, commits) VALUES (?, ?, 0) "
                    "ON CONFLICT DO UPDATE SET epoch = excluded.epoch",
                    (self._instance, self._epoch),
                )
        with self._file.in_words():
            self._recent.read()  # when no former life can add to it any more

    def _newest_epoch(self) -> int | None:
        row = self._connection.execute("SELECT epoch FROM lives WHERE instance = ?", (self._instance,)).fetchone()
        return row[0] if row else None

    def restore(self, *, all_marks: bool = False) -> Kept:
        with self._file.in_words():
            return self._past.read(all_marks=all_marks)

    def get(self, key: EntryKey) -> Entry | None:
        with self._file.in_words():
            return self._entries.get(key)

    def scan(self, name: str, group: int | None = None, key: bytes | None = None) -> Iterator[tuple[EntryKey, Entry]]:
        return self._entries.scan(name, group, key)

    def names(self) -> Mapping[str, str]:
        with self._file.in_words():
            return self._names.kinds()

    def declare(self, name: str, kind: str) -> None:
        with self._file.in_words():
            self._names.declare(name, kind)

    def commit(self, checkpoint: Checkpoint) -> None:
        with self._file.transaction(self._connection):
            commits = self._confirm()
            self._entries.delete_expired(STATE_EXPIRED_DELETED_MAX)
            self._entries.write(checkpoint.entries, self._recent)
            self._past.write(checkpoint)
        self._names.kept()
        self._recent.kept()
        with self._file.in_words():
            self._holder.note(commits)

    def _confirm(self) -> int:
        """Count the commit, if it is this life's and under this ownership. Raises FencedError."""
        row = self._connection.execute(
            "UPDATE lives SET commits = commits + 1 WHERE instance = ? AND epoch = ? RETURNING commits",
            (self._instance, self._epoch),
        ).fetchone()
        if row is None:
            raise fenced_life(self._instance, self._epoch, self._newest_epoch() or 0)
        newest = self._ownership().partition_epoch
        if newest > self._partition_epoch:
            raise fenced_ownership(self._instance, self._partition_epoch, newest)
        commits: int = row[0]
        return commits

    def own(self, partition_epoch: int, replicas: int) -> None:
        with self._file.transaction(self._connection):
            newest = self._ownership().partition_epoch
            if newest > partition_epoch:
                raise fenced_ownership(self._instance, partition_epoch, newest)
            if self._newest_epoch() != self._epoch:
                raise fenced_life(self._instance, self._epoch, self._newest_epoch() or 0)
            self._entries.merge_all()
            self._connection.execute("UPDATE node SET partition_epoch = ?, replicas = ?", (partition_epoch, replicas))
        self._recent.forget()
        self._partition_epoch = partition_epoch

    def ownership(self) -> Ownership:
        with self._file.in_words():
            return self._ownership()

    def _ownership(self) -> Ownership:
        return Ownership(*self._connection.execute("SELECT partition_epoch, replicas FROM node").fetchone())

    def close(self) -> None:
        self._connection.close()
        self._holder.close()
