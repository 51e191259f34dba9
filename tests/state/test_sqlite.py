"""The state store on SQLite keeps the contract, and what one machine adds to it: files, locks, copies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from streamer.state.base import Checkpoint, Kept, Outgoing, StateStore
from streamer.state.sqlite import SqliteStateStore
from streamer.testing.clock import VirtualClock
from streamer.testing.state_contract import OpenStore, StateContract, at, entry


class TestSqliteStateStore(StateContract):
    @pytest.fixture
    def clock(self) -> VirtualClock:
        return VirtualClock()

    @pytest.fixture
    def open_store(self, tmp_path: Path, clock: VirtualClock) -> Iterator[OpenStore]:
        opened: list[SqliteStateStore] = []

        def begin(instance: str = "count-0", epoch: int = 1, partition_epoch: int = 0) -> StateStore:
            (tmp_path / f"{instance}.holder").unlink(missing_ok=True)  # as where a file system knows no locks
            store = SqliteStateStore(
                tmp_path, "count", instance, epoch, partition_epoch=partition_epoch, wall=clock.wall
            )
            opened.append(store)
            return store

        yield begin
        for store in opened:
            store.close()


def test_nobody_else_may_read_the_files_of_a_state(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "count"
    with closing(SqliteStateStore(folder, "count", "count-0", 1)) as store:
        store.commit(Checkpoint({at("a"): entry("secret")}))

        assert folder.stat().st_mode & 0o077 == 0
        assert {path.name: oct(path.stat().st_mode & 0o777) for path in folder.iterdir()} == dict.fromkeys(
            ["state.sqlite", "state.sqlite-wal", "state.sqlite-shm", "count-0.holder", "opening.lock"], "0o600"
        )


def test_a_state_that_was_closed_is_taken_up_by_the_next_life(tmp_path: Path) -> None:
    with closing(SqliteStateStore(tmp_path, "count", "count-0", 1)) as store:
        store.commit(Checkpoint({at("a"): entry(1)}, b"marks", False, [Outgoing(1, b"one")], (), {"next": b"2"}))

    with closing(SqliteStateStore(tmp_path, "count", "count-0", 2)) as store:
        assert store.get(at("a")) == entry(1)
        assert store.restore() == Kept([b"marks"], [Outgoing(1, b"one")], {"next": b"2"})
