"""What may happen to a log on one machine: kills, a full disk, damage, strangers. It recovers, or says what is wrong.

Whatever was acknowledged must be there afterwards, or the log is refused; it never goes on with less in silence.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from streamer.errors import LogError, StateError, StreamerError
from streamer.log.base import Entry, Record
from streamer.log.marks import Marks
from streamer.log.sqlite import SqliteLog
from streamer.log.topics import POLICIES, Topic
from tests.disks import fill_up, small_disk
from tests.log.processes import Program, finish, start

NOBODY = 65534
Contents = dict[Topic, tuple[Record, ...]]


def _contents(folder: Path) -> Contents:
    with closing(SqliteLog(folder)) as log:
        return {topic: log.read(topic).records for topic in Topic}


def _fill(log: SqliteLog) -> None:
    claim = log.claim("job", "me")
    for n in range(40):
        log.append(Topic.COMMANDS, f"job{n % 3}", b"command %d" % n)
        log.append_all([Entry(Topic.REPORTS, f"job{n % 3}/a-{k}", b"report %d" % n * 30) for k in range(4)])
        log.append(Topic.JOBS, f"job/{n % 5}", b"state %d" % n * 10, claim=claim)
        log.append(Topic.DESCRIPTORS, f"pipeline{n % 7}", None if n % 11 == 10 else b"descriptor %d" % n * 100)


@pytest.fixture(scope="module")
def closed_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of it stands in the database."""
    folder = tmp_path_factory.mktemp("closed")
    with closing(SqliteLog(folder)) as log:
        _fill(log)
    assert not (folder / "log.sqlite-wal").exists()
    return folder


@pytest.fixture(scope="module")
def killed_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As a kill leaves it: most of it stands in the write-ahead log."""
    folder = tmp_path_factory.mktemp("killed")
    with closing(SqliteLog(folder / "open")) as log:
        _fill(log)
        (folder / "left").mkdir()
        for name in ("log.sqlite", "log.sqlite-wal", "marks"):
            shutil.copy(folder / "open" / name, folder / "left")
    return folder / "left"


class TestKills:
    def test_a_writer_that_is_killed_at_any_time_leaves_all_that_it_was_told_was_there(self, tmp_path: Path) -> None:
        told = Counter[str]()
        for number in range(12):
            writers = {key: start(Program.APPEND, tmp_path, key, 100_000) for key in (f"a{number}", f"b{number}")}
            for key, writer in writers.items():
                assert writer.stdout is not None
                for _ in range(number * 7 + 1):
                    writer.stdout.readline()
                writer.send_signal(signal.SIGKILL)
                lines = writer.communicate()[0].splitlines(keepends=True)
                told[key] = number * 7 + 1 + sum(line.endswith("\n") for line in lines)

        there = Counter[str]()
        with closing(SqliteLog(tmp_path)) as log:
            for key in told:
                records = []
                batch = log.read(Topic.COMMANDS, scope=key)
                while batch.records:
                    records += [record.value for record in batch.records]
                    batch = log.read(Topic.COMMANDS, batch.position, scope=key)
                assert records == [b"%d" % n for n in range(len(records))]
                there[key] = len(records)

        assert len(told) == 24
        for key, count in told.items():
            assert count <= there[key] <= count + 1, "at most the append in hand was not told of"

    def test_a_kill_between_any_two_steps_of_an_append_leaves_it_whole_or_not_at_all(self, tmp_path: Path) -> None:
        kills, arrived = map(int, finish(start(Program.APPEND_AND_DIE, tmp_path)).split())

        assert kills >= 10
        assert 0 < arrived < kills

    def test_a_kill_between_any_two_steps_of_making_a_log_leaves_one_that_can_be_made(self, tmp_path: Path) -> None:
        assert int(finish(start(Program.MAKE_AND_DIE, tmp_path))) >= 20

    def test_a_transaction_that_a_kill_left_open_never_was(self, closed_log: Path, tmp_path: Path) -> None:
        folder = shutil.copytree(closed_log, tmp_path / "log")
        victim = start(Program.DIE_IN_A_TRANSACTION, folder)
        victim.communicate()
        assert victim.returncode == -signal.SIGKILL

        assert _contents(folder) == _contents(closed_log)


class TestFullDisk:
    @pytest.fixture
    def small_disk(self, tmp_path: Path) -> Iterator[Path]:
        with small_disk(tmp_path / "disk", 2) as folder:
            yield folder

    def test_a_log_on_a_full_disk_keeps_what_it_has_and_goes_on_when_there_is_room(self, small_disk: Path) -> None:
        filler = small_disk / "filler"
        filler.write_bytes(b"x" * 1_000_000)
        count = 0
        with closing(SqliteLog(small_disk / "log")) as log:
            with pytest.raises(LogError, match=r"could not be written.*SQLITE_") as refusal:
                while True:
                    log.append(Topic.COMMANDS, "job", b"%d" % count + b"x" * 10_000)
                    count += 1
            assert "Make room" in refusal.value.advice
            for _ in range(3):
                with pytest.raises(LogError):
                    log.append(Topic.COMMANDS, "job", b"x" * 100_000)
            assert len(log.read(Topic.COMMANDS).records) == count

            filler.unlink()
            log.append(Topic.COMMANDS, "job", b"%d" % count)
            count += 1

        with closing(SqliteLog(small_disk / "log")) as log:
            found = [(record.value or b"").rstrip(b"x") for record in log.read(Topic.COMMANDS).records]
        assert found == [b"%d" % n for n in range(count)]
        assert count > 10

    def test_a_log_that_is_opened_on_a_full_disk_says_so(self, small_disk: Path) -> None:
        with closing(SqliteLog(small_disk / "log")) as log:
            log.append(Topic.COMMANDS, "job", b"kept")
        filler = fill_up(small_disk)

        for folder in ("log", "new log"):
            with pytest.raises(LogError, match=r"cannot be used now|could not be written"):
                SqliteLog(small_disk / folder)

        filler.unlink()
        assert [record.value for record in _contents(small_disk / "log")[Topic.COMMANDS]] == [b"kept"]
        assert _contents(small_disk / "new log")[Topic.COMMANDS] == ()

    def test_a_log_whose_files_may_not_grow_keeps_what_it_has(self, tmp_path: Path) -> None:
        refusal = finish(start(Program.APPEND_WITHIN, tmp_path, 400_000))
        count = int(refusal.split()[0])

        assert "LogError: the control log" in refusal
        assert count > 10
        records = _contents(tmp_path)[Topic.COMMANDS]
        assert [(record.value or b"").rstrip(b"x") for record in records] == [b"%d" % n for n in range(count)]


class TestDamage:
    @pytest.mark.parametrize("kind", ["closed_log", "killed_log"])
    def test_flipped_and_missing_bytes_are_noticed_wherever_they_are(
        self, kind: str, request: pytest.FixtureRequest, tmp_path: Path
    ) -> None:
        original: Path = request.getfixturevalue(kind)
        expected = _contents(shutil.copytree(original, tmp_path / "whole"))
        outcomes = Counter[str]()
        for seed in range(300):
            folder = shutil.copytree(original, tmp_path / str(seed))
            what = _damage(folder, random.Random(seed))
            try:
                found = _contents(folder)
            except StreamerError as error:
                assert isinstance(error, StateError | LogError)
                assert str(folder) in str(error)
                outcomes[type(error).__name__] += 1
            else:
                _assert_kept(found, expected, f"seed {seed}: {what}")
                outcomes["kept"] += 1
            shutil.rmtree(folder)

        assert outcomes["StateError"] > 50, outcomes
        assert outcomes["kept"] > 10, outcomes
        assert outcomes["LogError"] <= 15, outcomes  # a page that cannot be read is told as such

    def test_a_write_ahead_log_that_was_cut_is_refused_with_the_way_out(self, killed_log: Path, tmp_path: Path) -> None:
        folder = shutil.copytree(killed_log, tmp_path / "log")
        wal = folder / "log.sqlite-wal"
        os.truncate(wal, wal.stat().st_size - 40_000)

        with pytest.raises(
            StateError, match=r"has lost records: \w+ ends at offset \d+, and \d+ was acknowledged"
        ) as told:
            SqliteLog(folder)
        assert f"remove {folder / 'marks'}" in told.value.advice

        (folder / "marks").unlink()
        with closing(SqliteLog(folder)) as log:
            assert log.append(Topic.COMMANDS, "job", b"after") > 1

    def test_reports_may_lack_their_tail_after_a_loss_of_power(self, tmp_path: Path) -> None:
        with closing(SqliteLog(tmp_path / "open")) as log:
            for n in range(20):
                log.append(Topic.REPORTS, "job", b"%d" % n)
            shutil.copytree(tmp_path / "open", tmp_path / "left", ignore=shutil.ignore_patterns("*-shm"))
        wal = tmp_path / "left" / "log.sqlite-wal"
        os.truncate(wal, wal.stat().st_size // 2)

        found = [record.value for record in _contents(tmp_path / "left")[Topic.REPORTS]]

        assert found == [b"%d" % n for n in range(len(found))]
        assert 0 < len(found) < 20

    @pytest.mark.parametrize(
        ("name", "text", "words"),
        [
            pytest.param("log.sqlite", b"a text of mine\n" * 100, "file is not a database", id="another file"),
            pytest.param("log.sqlite", b"", "it is empty, and marks beside it tells of records", id="an emptied log"),
            pytest.param("marks", b"a text of mine", "is not a file of marks", id="another file for the marks"),
        ],
    )
    def test_a_file_that_is_none_of_ours_is_refused(
        self, name: str, text: bytes, words: str, closed_log: Path, tmp_path: Path
    ) -> None:
        folder = shutil.copytree(closed_log, tmp_path / "log")
        (folder / name).write_bytes(text)

        with pytest.raises(StateError, match=words):
            SqliteLog(folder)
        assert (folder / name).read_bytes() == text

    def test_a_log_that_was_removed_beside_its_marks_is_refused(self, closed_log: Path, tmp_path: Path) -> None:
        folder = shutil.copytree(closed_log, tmp_path / "log")
        (folder / "log.sqlite").unlink()

        with pytest.raises(StateError, match="it is empty, and marks beside it tells of records"):
            SqliteLog(folder)

    def test_a_backup_without_marks_is_taken(self, closed_log: Path, tmp_path: Path) -> None:
        folder = shutil.copytree(closed_log, tmp_path / "log", ignore=shutil.ignore_patterns("marks"))

        assert _contents(folder) == _contents(closed_log)


def _damage(folder: Path, dice: random.Random) -> str:
    """Flip a few bytes that lie together, or cut the end off, in one file of the log."""
    path = dice.choice([path for path in sorted(folder.iterdir()) if path.name != "marks"])
    size = path.stat().st_size
    if dice.random() < 0.1:
        left = dice.randrange(size)
        os.truncate(path, left)
        return f"{path.name} cut at {left} of {size}"
    at = dice.randrange(size) if dice.random() < 0.8 else dice.randrange(min(4096, size))
    with path.open("r+b") as file:
        file.seek(at)
        old = file.read(dice.randint(1, 16))
        file.seek(at)
        file.write(bytes(byte ^ dice.randint(1, 255) for byte in old))
    return f"{len(old)} bytes at {at} of {path.name}"


def _assert_kept(found: Contents, expected: Contents, what: str) -> None:
    """Durable topics are as they were; the others lack their end at most."""
    for topic, records in found.items():
        whole = expected[topic]
        assert records == (whole if POLICIES[topic].durable else whole[: len(records)]), f"{what}: {topic}"


class TestStrangers:
    def test_a_log_of_another_version_is_refused(self, closed_log: Path, tmp_path: Path) -> None:
        folder = shutil.copytree(closed_log, tmp_path / "log")
        with closing(sqlite3.connect(folder / "log.sqlite")) as database:
            database.execute("PRAGMA user_version = 2")

        with pytest.raises(StateError, match="is of version 2; this streamer knows version 1") as refusal:
            SqliteLog(folder)
        assert "run the version of streamer that wrote it" in refusal.value.advice

    def test_a_database_of_someone_else_is_refused_and_left_as_it_is(self, tmp_path: Path) -> None:
        with closing(sqlite3.connect(tmp_path / "log.sqlite")) as database:
            database.execute("CREATE TABLE theirs (x)")
            database.commit()
        before = (tmp_path / "log.sqlite").read_bytes()

        with pytest.raises(StateError, match="is a database, and no control log of streamer"):
            SqliteLog(tmp_path)
        assert (tmp_path / "log.sqlite").read_bytes() == before

    def test_a_folder_that_cannot_be_made_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")

        with pytest.raises(StateError, match=r"cannot be opened: .*Not a directory") as refusal:
            SqliteLog(tmp_path / "file" / "log")
        assert "STREAMER_HOME" in refusal.value.advice

    @pytest.mark.parametrize("mode", [0o500, 0o000], ids=["a folder to read only", "a closed folder"])
    @pytest.mark.parametrize("made", [False, True], ids=["no log yet", "a log of another user"])
    def test_a_folder_without_permission_is_told(self, mode: int, made: bool) -> None:
        """As another user where we are root, whom no permission stops."""
        if made and mode == 0o500 and os.geteuid() != 0:
            pytest.skip("one's own files can be written in a folder that is to be read only")
        home = Path(tempfile.mkdtemp())
        home.chmod(0o755)
        folder = home / "log"
        folder.mkdir()
        try:
            if made:
                SqliteLog(folder).close()
            folder.chmod(mode)
            told = finish(start(Program.OPEN, folder, *([NOBODY] if os.geteuid() == 0 else [])))
        finally:
            folder.chmod(0o700)
            shutil.rmtree(home)

        assert told.startswith("StateError: the control log ")
        assert "Permission denied" in told
        assert "Give this user the right" in told

    def test_a_writer_that_waits_too_long_for_its_turn_is_told(
        self, closed_log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("streamer.log.database.CONTROL_LOG_BUSY_S", 0.05)
        folder = shutil.copytree(closed_log, tmp_path / "log")
        with (
            closing(SqliteLog(folder)) as log,
            closing(sqlite3.connect(folder / "log.sqlite", isolation_level=None)) as stopped,
        ):
            stopped.execute("BEGIN IMMEDIATE")

            with pytest.raises(LogError, match=r"is held by another process for more than 0\.05 s") as refusal:
                log.append(Topic.COMMANDS, "job", b"")
            assert "that is stopped" in refusal.value.advice

            stopped.execute("ROLLBACK")
            log.append(Topic.COMMANDS, "job", b"")

    def test_an_opener_that_is_stopped_in_the_middle_is_told(
        self, closed_log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("streamer.log.marks.CONTROL_LOG_BUSY_S", 0.05)
        folder = shutil.copytree(closed_log, tmp_path / "log")
        stopped = Marks(folder / "marks")

        with closing(stopped), stopped.locked(), pytest.raises(LogError, match="is being opened by another process"):
            SqliteLog(folder)
