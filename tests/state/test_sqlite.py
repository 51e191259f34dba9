"""The state store on SQLite keeps the contract, and what one machine adds to it: files, locks, copies."""

from __future__ import annotations

import sqlite3
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


class TestSqliteStateStoreThatMergesAllTheTime(TestSqliteStateStore):
    """What is recent goes into the table as soon as there are three of them, one at a time or all."""

    @pytest.fixture(autouse=True, params=[1, 10_000])
    def few(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
        merge_soon(monkeypatch, request.param)

    def test_many_that_expire_at_once_are_deleted_some_at_a_time(
        self, open_store: OpenStore, clock: VirtualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("streamer.state.sqlite.STATE_EXPIRED_DELETED_MAX", 10)
        store = open_store()
        store.commit(Checkpoint({at(n): entry(n, clock.wall() + 1) for n in range(25)}))
        for _ in range(25):
            store.commit(Checkpoint())
        assert rows(tmp_path) == 25
        clock.run_until(clock.now() + 2)

        left = []
        for _ in range(3):
            store.commit(Checkpoint())
            left.append(rows(tmp_path))

        assert left == [15, 5, 0]


def merge_soon(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr("streamer.state.recent.STATE_RECENT_ENTRIES", 2)
    monkeypatch.setattr("streamer.state.recent.STATE_MERGE_ENTRIES", at_once)


def rows(folder: Path) -> int:
    """In the table of entries."""
    with closing(sqlite3.connect(folder / "state.sqlite")) as database:
        (count,) = database.execute("SELECT count(*) FROM entries").fetchone()
    return int(count)


def test_what_is_recent_goes_into_the_table_some_with_each_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamer.state.recent.STATE_RECENT_ENTRIES", 99)
    monkeypatch.setattr("streamer.state.recent.STATE_MERGE_ENTRIES", 10)
    in_table = []
    with closing(SqliteStateStore(tmp_path, "count", "count-0", 1)) as store:
        for times in range(20):
            store.commit(Checkpoint({at(n): entry([n, times]) for n in range(times * 10, times * 10 + 10)}))
            in_table.append(rows(tmp_path))
        assert len(dict(store.scan("counts"))) == 200

    assert in_table[:11] == [0] * 10 + [13]  # as many as came, and a quarter more
    assert in_table == sorted(in_table)
    assert in_table[-1] >= 90
    with closing(SqliteStateStore(tmp_path, "count", "count-0", 2)) as store:
        assert dict(store.scan("counts")) == {at(n): entry([n, n // 10]) for n in range(200)}


def test_the_same_keys_again_and_again_do_not_make_the_file_grow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamer.state.recent.STATE_RECENT_BYTES", 100_000)
    with closing(SqliteStateStore(tmp_path, "count", "count-0", 1)) as store:
        for times in range(500):
            store.commit(Checkpoint({at(n): entry([n, times, "x" * 50]) for n in range(100)}))

    assert (tmp_path / "state.sqlite").stat().st_size < 1_000_000


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
