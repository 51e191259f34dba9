"""A followed file: records go on over growth, rotations and restarts, and what is gone is counted and told."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer import limits
from streamer.connectors.base import START, Mark
from streamer.connectors.follow import FollowedSource
from streamer.errors import ConnectorError, StateError
from tests.connectors.followed import Log, Reader


@pytest.fixture
def log(tmp_path: Path) -> Log:
    folder = tmp_path / "logs"
    folder.mkdir()
    return Log(folder)


@pytest.fixture
def reader(log: Log, tmp_path: Path) -> Reader:
    """It has read the line a."""
    log.write("a\n")
    reader = Reader(log, tmp_path / "state")
    assert reader.until_dry() == ["a"]
    return reader


def lines(first: int, last: int) -> str:
    return "".join(f"line {n} of a log that is long enough to be told from others\n" for n in range(first, last))


def numbers(reader: Reader) -> list[int]:
    return [int(str(value).split()[1]) for _, value in sorted(reader.values.items())]


# -- growth -----------------------------------------------------------------------------------------------------------


def test_what_is_there_comes_first_and_then_what_is_written(log: Log, reader: Reader) -> None:
    log.write("b\nc\n")

    assert reader.until_dry() == ["b", "c"]
    assert list(reader.values) == [0, 1, 2]
    assert not reader.source.ended


def test_a_line_is_a_record_when_it_is_whole(log: Log, reader: Reader) -> None:
    log.write("be")
    assert reader.until_dry() == []

    log.write("e\n")
    assert reader.until_dry() == ["bee"]


def test_a_file_in_which_nothing_is_new_is_looked_at_ten_times_a_second(reader: Reader) -> None:
    assert reader.batch() is None
    assert reader.source.wait_s(reader.now) == pytest.approx(limits.FOLLOW_POLL_S)
    assert reader.source.wait_s(reader.now + 0.04) == pytest.approx(limits.FOLLOW_POLL_S - 0.04)
    assert reader.source.fileno() is None


def test_it_is_not_looked_at_before_its_time(log: Log, reader: Reader) -> None:
    assert reader.batch() is None
    log.write("b\n")

    assert reader.batch() is None
    reader.now += limits.FOLLOW_POLL_S
    assert reader.batch() is not None
    assert reader.source.wait_s(reader.now) == 0.0


def test_a_file_that_is_not_there_at_the_start_is_refused(log: Log, tmp_path: Path) -> None:
    with pytest.raises(ConnectorError, match="does not exist"):
        Reader(log, tmp_path / "state")


# -- rotation by renaming ---------------------------------------------------------------------------------------------


def test_a_renamed_file_is_read_to_its_end_and_then_the_new_one(log: Log, reader: Reader) -> None:
    log.write("b\n")
    log.rename()
    log.write("c\n", "access.log.1")
    log.write("d\n")

    assert reader.until_dry() == ["b", "c", "d"]
    assert list(reader.values) == [0, 1, 2, 3]


def test_a_last_line_without_an_end_is_a_record_when_its_file_is_left(log: Log, reader: Reader) -> None:
    log.write("half")
    log.rename()
    log.write("b\n")

    assert reader.until_dry() == ["half", "b"]


def test_a_renamed_file_is_followed_until_there_is_another(log: Log, reader: Reader) -> None:
    log.rename()
    assert reader.until_dry() == []

    log.write("late\n", "access.log.1")
    assert reader.until_dry() == ["late"]

    log.write("new\n")
    assert reader.until_dry() == ["new"]


def test_a_new_file_is_entered_when_the_old_one_has_been_quiet_for_a_while(log: Log, reader: Reader) -> None:
    log.rename()
    log.write("new\n")
    reader.now += limits.FOLLOW_POLL_S
    assert reader.batch() is None

    log.write("late\n", "access.log.1")
    reader.now += limits.ROTATION_GRACE_S
    assert reader.batch() is not None

    assert reader.until_dry() == ["new"]
    assert list(reader.values.values()) == ["a", "late", "new"]


def test_a_new_file_in_which_nothing_stands_yet_is_not_entered(log: Log, reader: Reader) -> None:
    log.rename()
    log.write("")
    assert reader.until_dry() == []

    log.write("late\n", "access.log.1")
    assert reader.until_dry() == ["late"]


def test_files_that_were_rotated_away_unseen_are_read_in_their_order(log: Log, reader: Reader) -> None:
    for name in ("b", "c", "d"):
        log.rename()
        log.write(f"{name}\n")

    assert reader.until_dry() == ["b", "c", "d"]


def test_files_that_were_rotated_away_before_it_began_are_not_read(log: Log, tmp_path: Path) -> None:
    log.write("older\n")
    log.rename()
    log.write("a\n")
    reader = Reader(log, tmp_path / "state")
    assert reader.until_dry() == ["a"]

    log.rename()
    log.write("b\n")
    assert reader.until_dry() == ["b"]


def test_other_files_of_the_folder_are_not_read(log: Log, reader: Reader) -> None:
    log.write("other\n", "access.log-ssl")
    log.write("other\n", "error.log.1")
    log.rename()
    log.write("b\n")

    assert reader.until_dry() == ["b"]


def test_a_line_that_cannot_be_read_is_told_with_the_line_of_its_own_file(log: Log, tmp_path: Path) -> None:
    log.write("1\n2\n")
    reader = Reader(log, tmp_path / "state", "jsonl")
    log.rename()
    log.write("3\nx\n")

    assert reader.until_dry() == [1, 2, 3]
    assert (reader.bad[3].position, reader.bad[3].place) == (3, f"{log.path}, line 2")


# -- rotation by copying and emptying ---------------------------------------------------------------------------------


def test_a_file_that_is_emptied_is_read_from_its_beginning(log: Log, reader: Reader) -> None:
    log.copy_and_empty()
    assert reader.until_dry() == []

    log.write("b\n")
    assert reader.until_dry() == ["b"]
    assert list(reader.values) == [0, 1]


def test_what_was_written_before_it_was_emptied_is_read_from_the_copy(log: Log, tmp_path: Path) -> None:
    log.write(lines(0, 50))
    reader = Reader(log, tmp_path / "state")
    reader.until_dry()
    log.write(lines(50, 60))
    log.copy_and_empty()
    log.write(lines(60, 70))

    reader.until_dry()

    assert numbers(reader) == list(range(70))


def test_a_file_that_was_emptied_and_has_outgrown_what_was_read_is_noticed(log: Log, tmp_path: Path) -> None:
    log.write(lines(0, 30))
    reader = Reader(log, tmp_path / "state")
    reader.until_dry()
    log.copy_and_empty()
    log.write(lines(30, 90))

    reader.until_dry()

    assert numbers(reader) == list(range(90))


def test_a_copy_is_not_read_a_second_time(log: Log, reader: Reader) -> None:
    log.copy_and_empty()
    log.write("b\n")
    reader.until_dry()
    log.rename()
    log.write("c\n")

    assert reader.until_dry() == ["c"]
    assert list(reader.values.values()) == ["a", "b", "c"]


# -- restarts ---------------------------------------------------------------------------------------------------------


def test_after_a_restart_a_mark_leads_into_the_file_that_has_another_name_by_then(log: Log, tmp_path: Path) -> None:
    log.write(lines(0, 2000))
    before = Reader(log, tmp_path / "state")
    for _ in range(3):
        before.batch(limit=100)
    log.rename()
    log.write(lines(2000, 2010))
    log.rename()
    log.write(lines(2010, 2020))

    after = before.again(before.marks[1])
    after.until_dry()

    assert after.partition == before.partition
    assert sorted(after.values) == list(range(100, 2020))
    assert numbers(after) == list(range(100, 2020))
    assert after.bad == {}


def test_records_have_the_same_numbers_when_they_are_read_again_over_a_rotation(log: Log, reader: Reader) -> None:
    log.write("half")
    log.rename()
    log.write("b\nc\n")
    reader.until_dry()
    log.write("er\n", "access.log.1")

    after = reader.again(START)
    after.until_dry()

    assert {**reader.values, 1: "halfer"} == after.values


def test_after_a_restart_the_copy_of_a_file_that_was_emptied_is_found(log: Log, tmp_path: Path) -> None:
    log.write(lines(0, 100))
    before = Reader(log, tmp_path / "state")
    before.batch(limit=40)
    before.batch(limit=40)
    log.copy_and_empty()
    log.write(lines(100, 120))

    after = before.again(before.marks[1])
    after.until_dry()

    assert numbers(after) == list(range(40, 120))
    assert after.bad == {}


def test_a_file_that_is_gone_is_told_for_each_record_that_may_be_lost_and_once_for_its_rest(
    log: Log, tmp_path: Path
) -> None:
    log.write(lines(0, 100))
    before = Reader(log, tmp_path / "state")
    before.batch(limit=40)
    before.batch(limit=10)
    log.rename()
    (log.folder / "access.log.1").unlink()
    log.write(lines(100, 110))

    after = before.again(before.marks[1])
    after.until_dry()

    assert sorted(after.bad) == list(range(40, 51))
    assert "removed, compressed or emptied" in after.bad[40].error
    assert "delaycompress" in after.bad[40].error
    assert after.bad[40].place == f"{log.path}, record 41 since its source began"
    assert (sorted(after.values), numbers(after)) == (list(range(51, 61)), list(range(100, 110)))


def test_what_is_lost_is_told_again_if_the_telling_is_interrupted(log: Log, tmp_path: Path) -> None:
    log.write(lines(0, 100))
    before = Reader(log, tmp_path / "state")
    before.batch(limit=40)
    before.batch(limit=40)
    log.rename()
    (log.folder / "access.log.1").unlink()
    log.write(lines(100, 110))
    first = before.again(before.marks[1])
    first.batch(limit=16)
    first.batch(limit=16)

    second = first.again(first.marks[1])
    second.until_dry()

    assert sorted(first.bad) == list(range(40, 72))
    assert sorted(second.bad) == list(range(56, 81))
    assert numbers(second) == list(range(100, 110))


def test_a_file_that_was_gone_between_two_others_keeps_its_numbers(log: Log, reader: Reader) -> None:
    for name in ("b\nb\n", "c\n"):
        log.rename()
        log.write(name)
        reader.until_dry()
    (log.folder / "access.log.1").unlink()

    after = reader.again(START)
    after.until_dry()

    assert after.values == {0: "a", 3: "c"}
    assert sorted(after.bad) == [1, 2]


def test_a_file_that_was_compressed_before_it_was_read_is_told_once(log: Log, reader: Reader) -> None:
    log.rename()
    log.write("b\nb\n")
    log.rename()
    (log.folder / "access.log.1.gz").write_bytes(gzip.compress((log.folder / "access.log.1").read_bytes()))
    log.write("", "access.log.1.gz")
    (log.folder / "access.log.1").unlink()
    log.write("c\n")

    assert reader.until_dry() == ["c"]
    (told,) = reader.bad.values()
    assert told.error.startswith(f"{log.folder / 'access.log.1.gz'} was rotated and compressed before it was read")
    assert list(reader.values) == [0, 2]


def test_a_new_file_with_the_inode_of_a_deleted_one_is_not_taken_for_it(log: Log, tmp_path: Path) -> None:
    log.write(lines(0, 100))
    before = Reader(log, tmp_path / "state")
    before.batch(limit=40)
    before.source.close()
    (tmp_path / "logs" / "access.log").unlink()
    log.write(lines(500, 700))  # on many file systems the same inode

    after = before.again(before.marks[0])
    after.until_dry()

    assert sorted(after.bad) == list(range(41))
    assert numbers(after) == list(range(500, 700))


def test_a_chain_that_cannot_be_read_is_refused(log: Log, tmp_path: Path) -> None:
    log.write("a\n")
    (tmp_path / "followed.json").write_text("{}")

    with pytest.raises(StateError, match=r"followed.json does not tell which files were followed"):
        FollowedSource({"path": str(log.path), "follow": True}, tmp_path).open(Mark(0, 0))


events = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(1, 60)),
        st.tuples(st.just("rename"), st.just(0)),
        st.tuples(st.just("read"), st.integers(1, 40)),
        st.tuples(st.just("drain"), st.just(0)),
        st.tuples(st.just("kill"), st.integers(0, 10)),
    ),
    max_size=30,
)


@settings(max_examples=150, deadline=None)
@given(events=events)
def test_nothing_is_lost_or_changes_its_number_whatever_happens(
    events: list[tuple[str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Written, rotated, read and killed in any order; `kill` goes back by as many marks."""
    folder = tmp_path_factory.mktemp("logs")
    log = Log(folder)
    written = 0
    log.write(lines(0, 1))
    written = 1
    reader = Reader(log, folder / "state")
    seen: dict[int, object] = {}
    marks = [START]
    for event, size in events:
        if event == "write":
            log.write(lines(written, written + size))
            written += size
        elif event == "rename":
            log.rename()
        elif event == "read":
            reader.batch(size)
        elif event == "drain":
            reader.until_dry()
        marks += reader.marks
        reader.marks.clear()
        if event == "kill":
            marks = marks[: max(1, len(marks) - size)]
            seen |= check_same(seen, reader)
            reader = reader.again(marks[-1])
    log.write(lines(written, written + 1))
    reader.until_dry()
    seen |= check_same(seen, reader)

    assert reader.bad == {}
    assert [seen[n] for n in sorted(seen)] == lines(0, written + 1).splitlines()
    assert sorted(seen) == list(range(written + 1))


def check_same(seen: dict[int, object], reader: Reader) -> dict[int, object]:
    assert all(seen.get(number, value) == value for number, value in reader.values.items())
    return reader.values
