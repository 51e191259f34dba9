"""The log on SQLite keeps the contract, and what one machine adds to it: files, processes and their permissions."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from streamer.errors import ClaimError
from streamer.log.base import Entry, Record
from streamer.log.sqlite import SqliteLog
from streamer.log.topics import Topic
from streamer.testing.claim_contract import ClaimContract
from streamer.testing.log_contract import PATIENCE_S, LogContract, OpenLog
from tests.log.processes import Program, finish, start

_WRITERS = 8
_EACH = 500


class TestSqliteLog(LogContract, ClaimContract):
    @pytest.fixture
    def open_log(self, tmp_path: Path) -> Iterator[OpenLog]:
        opened: list[SqliteLog] = []

        def open_one() -> SqliteLog:
            log = SqliteLog(tmp_path / "log")
            if threading.current_thread() is threading.main_thread():  # the others are closed by their threads
                opened.append(log)
            return log

        yield open_one
        for log in opened:
            log.close()


def test_a_log_is_there_when_it_is_opened_again(tmp_path: Path) -> None:
    with closing(SqliteLog(tmp_path)) as log:
        claim = log.claim("job", "me")
        log.append(Topic.JOBS, "job", b"state", claim=claim)
        position = log.end([Topic.JOBS])

    with closing(SqliteLog(tmp_path)) as log:
        assert log.claimed("job") == claim
        log.append(Topic.JOBS, "job", b"next state", claim=claim)
        assert [record.value for record in log.read(Topic.JOBS, position).records] == [b"next state"]


def test_an_append_under_a_lost_claim_is_refused_and_names_the_holder(tmp_path: Path) -> None:
    with closing(SqliteLog(tmp_path)) as log:
        lost = log.claim("job", "host a")
        log.claim("job", "host b")

        with pytest.raises(
            ClaimError, match=r"job is claimed by host b \(epoch 2\), and no more by host a \(epoch 1\)"
        ):
            log.append(Topic.JOBS, "job", b"too late", claim=lost)


def test_an_append_of_several_records_is_all_or_nothing(tmp_path: Path) -> None:
    with closing(SqliteLog(tmp_path)) as log:
        lost = log.claim("job", "host a")
        log.claim("job", "host b")

        with pytest.raises(ClaimError):
            log.append_all([Entry(Topic.COMMANDS, "job", b""), Entry(Topic.JOBS, "job", b"")], claim=lost)

        assert log.read(Topic.COMMANDS).records == ()


def test_nobody_else_may_read_the_files_of_a_log(tmp_path: Path) -> None:
    folder = tmp_path / "home" / "log"
    with closing(SqliteLog(folder)) as log:
        log.append(Topic.COMMANDS, "job", b"secret")

        assert folder.stat().st_mode & 0o077 == 0
        assert {path.name: oct(path.stat().st_mode & 0o777) for path in folder.iterdir()} == dict.fromkeys(
            ["log.sqlite", "log.sqlite-wal", "log.sqlite-shm", "marks"], "0o600"
        )


def test_every_record_is_counted_when_a_log_is_verified(tmp_path: Path) -> None:
    with closing(SqliteLog(tmp_path)) as log:
        log.claim("job", "me")
        log.append(Topic.REPORTS, "job", b"")

        assert log.verify() == 3


def test_many_processes_open_one_new_log_and_append_to_it(tmp_path: Path) -> None:
    writers = [start(Program.APPEND, tmp_path / "log", f"job{n % 3}/w{n}", _EACH) for n in range(_WRITERS)]
    acknowledged = [[int(line) for line in finish(writer).splitlines()] for writer in writers]

    with closing(SqliteLog(tmp_path / "log")) as log:
        records: list[Record] = []
        batch = log.read(Topic.COMMANDS)
        while batch.records:
            records += batch.records
            batch = log.read(Topic.COMMANDS, batch.position)

    assert len(records) == len({record.offset for record in records}) == _WRITERS * _EACH
    for number in range(_WRITERS):
        own = [record for record in records if record.key.endswith(f"/w{number}")]
        assert [record.value for record in own] == [b"%d" % n for n in range(_EACH)]
        assert [record.offset for record in own] == acknowledged[number]


def test_a_follower_in_another_process_is_woken(tmp_path: Path) -> None:
    with closing(SqliteLog(tmp_path)) as log:
        follower = start(Program.FOLLOW, tmp_path, PATIENCE_S)
        assert follower.stdout is not None
        assert follower.stdout.readline() == "waiting\n"
        log.append(Topic.COMMANDS, "job", b"wake up")

        assert finish(follower) == "wake up\n"
