"""What may happen to the state on one machine: kills, a full disk, damage, strangers.

It goes on, or says what is wrong. Every checkpoint that was acknowledged must be there afterwards, whole, or the state
is refused.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from streamer.errors import StateError
from streamer.state.base import Checkpoint, Entry, EntryKey, Outgoing, StateStore
from streamer.state.sqlite import SqliteStateStore
from streamer.testing.state_contract import at, entry
from tests.disks import fill_up, small_disk
from tests.state.processes import Program, finish, start

NOBODY = 65534
Contents = tuple[dict[EntryKey, Entry], Any]


def opened(folder: Path, instance: str = "count-0", epoch: int = 1) -> SqliteStateStore:
    return SqliteStateStore(folder, "count", instance, epoch)


def contents(folder: Path, epoch: int = 1) -> Contents:
    with closing(opened(folder, epoch=epoch)) as store:
        return dict(store.scan("counts")), store.restore()


def fill(store: StateStore) -> None:
    for n in range(40):
        entries = {at(key): entry(f"{key} {n}" * 10) for key in range(n * 5, n * 5 + 50)}
        store.commit(
            Checkpoint(entries, b"%d" % n, False, [Outgoing(n, b"out %d" % n * 50)], [n - 3], {"n": b"%d" % n})
        )


@pytest.fixture(scope="module", autouse=True)
def merging() -> Iterator[None]:
    """A part of what is recent goes into the table with each checkpoint."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("streamer.state.recent.STATE_RECENT_ENTRIES", 30)
        patch.setattr("streamer.state.recent.STATE_MERGE_ENTRIES", 7)
        yield


@pytest.fixture(scope="module")
def closed_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of it stands in the database."""
    folder = tmp_path_factory.mktemp("closed")
    with closing(opened(folder)) as store:
        fill(store)
    assert not (folder / "state.sqlite-wal").exists()
    return folder


@pytest.fixture(scope="module")
def killed_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As a kill leaves it: most of it stands in the write-ahead log."""
    folder = tmp_path_factory.mktemp("killed")
    with closing(opened(folder / "open")) as store:
        fill(store)
        shutil.copytree(folder / "open", folder / "left")
    return folder / "left"


class TestKills:
    def test_every_acknowledged_checkpoint_is_there_whole_after_a_kill_and_no_other_in_part(
        self, tmp_path: Path
    ) -> None:
        number = 0
        for life in range(25):
            process = start(Program.COMMIT, tmp_path, number)
            assert process.stdout is not None
            for _ in range(2 + life * 3):
                process.stdout.readline()
            process.send_signal(signal.SIGKILL)
            told = [line for line in process.communicate()[0].splitlines(keepends=True) if line.endswith("\n")]
            acknowledged = int(told[-1]) if told else number + life * 3

            entries, kept = contents(tmp_path, 10**9 if life == 24 else acknowledged + 2)
            number = int(kept.facts["number"])

            assert acknowledged <= number <= acknowledged + 1, "at most the commit in hand was not told of"
            assert {one.value for one in entries.values()} == {b"%d" % number}
            assert len(entries) == 50
            assert list(map(int, kept.marks)) == list(range(number - number % 10, number + 1))
            assert kept.outgoing[-2:] == [
                Outgoing(number * 2, b"%d" % number * 100),
                Outgoing(number * 2 + 1, b"%d" % number),
            ]
            number += 1
        assert number > 300

    def test_a_kill_between_any_two_steps_of_a_commit_leaves_it_whole_or_not_at_all(self, tmp_path: Path) -> None:
        kills, arrived = map(int, finish(start(Program.COMMIT_AND_DIE, tmp_path)).split())

        assert kills >= 15
        assert 0 < arrived < kills

    def test_a_kill_between_any_two_steps_of_making_a_state_leaves_one_that_can_be_made(self, tmp_path: Path) -> None:
        assert int(finish(start(Program.MAKE_AND_DIE, tmp_path))) >= 20


class TestCopies:
    @pytest.mark.parametrize("kind", ["closed_state", "killed_state"])
    def test_a_copied_folder_is_taken_up(self, kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
        original: Path = request.getfixturevalue(kind)
        subprocess.run(["cp", "-r", original, tmp_path / "copy"], check=True)

        entries, kept = contents(tmp_path / "copy", epoch=2)

        assert len(entries) == 245
        assert kept.marks == [b"%d" % n for n in range(40)]
        assert [sent.number for sent in kept.outgoing] == [37, 38, 39]
        assert kept.facts == {"n": b"39"}

    def test_a_copy_without_its_write_ahead_log_is_refused_with_the_way_out(
        self, killed_state: Path, tmp_path: Path
    ) -> None:
        folder = shutil.copytree(killed_state, tmp_path / "copy", ignore=shutil.ignore_patterns("*-wal", "*-shm"))

        with pytest.raises(StateError, match=r"has lost checkpoints of count-0: it has 0, and 40 were") as refusal:
            opened(folder)
        assert f"remove {folder / 'count-0.holder'}" in refusal.value.advice

        (folder / "count-0.holder").unlink()
        assert contents(folder) == ({}, contents(folder)[1])


class TestTwoAtOnce:
    def test_the_state_of_an_instance_has_one_process_and_the_other_is_told_which(self, tmp_path: Path) -> None:
        holder = start(Program.HOLD, tmp_path)
        assert holder.stdout is not None
        pid = int(holder.stdout.readline())

        with pytest.raises(StateError, match=rf"state of instance count-0 in .* is in use by process {pid}") as refusal:
            opened(tmp_path)
        assert "End that process" in refusal.value.advice
        with closing(opened(tmp_path, "count-1")) as store:
            store.commit(Checkpoint({at("a"): entry(1)}))

        holder.kill()
        holder.communicate()
        opened(tmp_path).close()

    def test_instances_of_a_node_write_beside_each_other(self, tmp_path: Path) -> None:
        writers = [start(Program.COUNT, tmp_path, f"count-{n}", 200) for n in range(4)]
        for writer in writers:
            finish(writer)

        with closing(opened(tmp_path, epoch=2)) as store:
            store.own(1, 1)
            assert Counter(key.group for key, _ in store.scan("counts")) == dict.fromkeys(range(4), 200)

    def test_a_checkpoint_that_waits_too_long_for_its_turn_is_told(
        self, closed_state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("streamer.state.database.STATE_BUSY_S", 0.05)
        folder = shutil.copytree(closed_state, tmp_path / "state")
        with (
            closing(opened(folder)) as store,
            closing(sqlite3.connect(folder / "state.sqlite", isolation_level=None)) as stopped,
        ):
            stopped.execute("BEGIN IMMEDIATE")

            with pytest.raises(StateError, match=r"is held by another process for more than 0\.05 s"):
                store.commit(Checkpoint({at("a"): entry(1)}))

            stopped.execute("ROLLBACK")
            store.commit(Checkpoint({at("a"): entry(1)}))


class TestFullDisk:
    @pytest.fixture
    def small_disk(self, tmp_path: Path) -> Iterator[Path]:
        with small_disk(tmp_path / "disk", 3) as folder:
            yield folder

    def test_a_full_disk_keeps_the_last_checkpoint_and_takes_the_next_when_there_is_room(
        self, small_disk: Path
    ) -> None:
        filler = small_disk / "filler"
        filler.write_bytes(b"x" * 1_000_000)
        number = 0
        with closing(opened(small_disk / "state")) as store:
            with pytest.raises(StateError, match=r"the state .* could not be written.*SQLITE_") as refusal:
                while True:
                    store.commit(Checkpoint({at(n): entry([number, "x" * 500]) for n in range(number, number + 100)}))
                    number += 1
            assert "Make room" in refusal.value.advice
            assert "what was committed is kept" in refusal.value.advice
            before = dict(store.scan("counts"))
            for _ in range(3):
                with pytest.raises(StateError):
                    store.commit(Checkpoint({at(0): entry("x" * 2_000_000)}, b"marks", False, [], [], {"n": b""}))
            assert dict(store.scan("counts")) == before

            filler.unlink()
            store.commit(Checkpoint({at("more"): entry("room")}, b"marks"))

        entries, kept = contents(small_disk / "state")
        assert entries == {**before, at("more"): entry("room")}
        assert (kept.marks, kept.facts) == ([b"marks"], {})
        assert number > 3

    def test_a_state_that_is_opened_on_a_full_disk_says_so(self, small_disk: Path) -> None:
        with closing(opened(small_disk / "state")) as store:
            store.commit(Checkpoint({at("a"): entry(1)}))
        filler = fill_up(small_disk)

        for folder in ("state", "new state"):
            with pytest.raises(StateError, match=r"cannot be used now|could not be written"):
                opened(small_disk / folder)

        filler.unlink()
        assert contents(small_disk / "state")[0] == {at("a"): entry(1)}
        assert contents(small_disk / "new state")[0] == {}

    def test_a_state_whose_files_may_not_grow_keeps_its_last_checkpoint_and_goes_on(self, tmp_path: Path) -> None:
        told = finish(start(Program.COMMIT_WITHIN, tmp_path, 400_000))
        last = int(told.split()[0])

        assert "StateError: the state" in told
        assert "Make room" in told
        entries, kept = contents(tmp_path)
        assert kept.facts == {"number": b"%d" % (last + 1)}
        assert Counter(one.value for one in entries.values())[b"%d" % (last + 1)] == 50


class TestDamage:
    @pytest.mark.parametrize("kind", ["closed_state", "killed_state"])
    def test_flipped_and_missing_bytes_are_noticed_wherever_they_change_something(
        self, kind: str, request: pytest.FixtureRequest, tmp_path: Path
    ) -> None:
        original: Path = request.getfixturevalue(kind)
        expected = contents(shutil.copytree(original, tmp_path / "whole"))
        outcomes = Counter[str]()
        for seed in range(200):
            folder = shutil.copytree(original, tmp_path / str(seed))
            what = damage(folder, random.Random(seed))
            try:
                found = contents(folder)
            except StateError as error:
                assert str(folder) in str(error)
                assert error.advice
                outcomes["refused"] += 1
            else:
                assert found == expected, f"seed {seed}: {what}"
                outcomes["kept"] += 1
            shutil.rmtree(folder)

        assert outcomes["refused"] > 50, outcomes
        assert outcomes["kept"] > 10, outcomes

    def test_a_half_written_database_is_refused(self, closed_state: Path, tmp_path: Path) -> None:
        folder = shutil.copytree(closed_state, tmp_path / "state")
        os.truncate(folder / "state.sqlite", (folder / "state.sqlite").stat().st_size // 2)

        with pytest.raises(StateError, match=r"the state .*state\.sqlite is damaged") as refusal:
            opened(folder)
        assert "move the folder aside" in refusal.value.advice

    @pytest.mark.parametrize(
        ("name", "content", "words"),
        [
            pytest.param("state.sqlite", b"a text of mine\n" * 100, "file is not a database", id="another file"),
            pytest.param("state.sqlite", b"", "it is empty, and the files beside it tell", id="an emptied file"),
            pytest.param("count-0.holder", b"a text of mine", "is no file of this version", id="another holder's file"),
        ],
    )
    def test_a_file_that_is_none_of_ours_is_refused_and_left_as_it_is(
        self, name: str, content: bytes, words: str, closed_state: Path, tmp_path: Path
    ) -> None:
        folder = shutil.copytree(closed_state, tmp_path / "state")
        (folder / name).write_bytes(content)

        with pytest.raises(StateError, match=words):
            opened(folder)
        assert (folder / name).read_bytes() == content

    def test_a_database_that_was_removed_is_refused(self, closed_state: Path, tmp_path: Path) -> None:
        folder = shutil.copytree(closed_state, tmp_path / "state")
        (folder / "state.sqlite").unlink()

        with pytest.raises(StateError, match="it is empty, and the files beside it tell of checkpoints"):
            opened(folder, "count-1")


def damage(folder: Path, dice: random.Random) -> str:
    """Flip a few bytes that lie together, or cut the end off, in the database or its write-ahead log."""
    path = dice.choice(sorted(folder.glob("state.sqlite*")))
    size = path.stat().st_size
    if dice.random() < 0.1:
        left = dice.randrange(size)
        os.truncate(path, left)
        return f"{path.name} cut at {left} of {size}"
    at_byte = dice.randrange(size) if dice.random() < 0.8 else dice.randrange(min(4096, size))
    with path.open("r+b") as file:
        file.seek(at_byte)
        old = file.read(dice.randint(1, 16))
        file.seek(at_byte)
        file.write(bytes(byte ^ dice.randint(1, 255) for byte in old))
    return f"{len(old)} bytes at {at_byte} of {path.name}"


class TestStrangers:
    def test_a_state_of_another_version_is_refused(self, closed_state: Path, tmp_path: Path) -> None:
        folder = shutil.copytree(closed_state, tmp_path / "state")
        with closing(sqlite3.connect(folder / "state.sqlite")) as database:
            database.execute("PRAGMA user_version = 2")

        with pytest.raises(StateError, match="is of version 2; this streamer knows version 1") as refusal:
            opened(folder)
        assert "run the version of streamer that wrote it" in refusal.value.advice

    def test_the_state_of_another_node_is_refused(self, closed_state: Path, tmp_path: Path) -> None:
        folder = shutil.copytree(closed_state, tmp_path / "state")

        with pytest.raises(StateError, match="is that of node 'count', and not of 'sum'") as refusal:
            SqliteStateStore(folder, "sum", "sum-0", 1)
        assert "Bring back the folder of the node that is named" in refusal.value.advice

    def test_a_database_of_someone_else_is_refused_and_left_as_it_is(self, tmp_path: Path) -> None:
        with closing(sqlite3.connect(tmp_path / "state.sqlite")) as database:
            database.execute("CREATE TABLE theirs (x)")
            database.commit()
        before = (tmp_path / "state.sqlite").read_bytes()

        with pytest.raises(StateError, match="is a database, and no state of streamer"):
            opened(tmp_path)
        assert (tmp_path / "state.sqlite").read_bytes() == before

    def test_a_folder_that_cannot_be_made_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")

        with pytest.raises(StateError, match=r"cannot be opened: .*Not a directory"):
            opened(tmp_path / "file" / "state")

    @pytest.mark.parametrize("made", [False, True], ids=["no state yet", "the state of another user"])
    def test_a_folder_without_permission_is_told(self, made: bool) -> None:
        """As another user where we are root, whom no permission stops."""
        home = Path(tempfile.mkdtemp())
        home.chmod(0o755)
        folder = home / "state"
        folder.mkdir()
        try:
            if made:
                opened(folder).close()
            folder.chmod(0o000)
            told = finish(start(Program.OPEN, folder, *([NOBODY] if os.geteuid() == 0 else [])))
        finally:
            folder.chmod(0o700)
            shutil.rmtree(home)

        assert told.startswith("StateError: the state ")
        assert "Permission denied" in told
        assert "Give this user the right" in told
