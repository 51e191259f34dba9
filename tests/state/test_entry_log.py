"""An entry log: what was appended is there again, and what is damaged is cut or refused, never believed."""

from __future__ import annotations

import resource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.errors import EntryLogError, StateError
from streamer.state.entry_log import EntryLog
from streamer.state.log_segment import HEAD_BYTES

payloads = st.lists(st.binary(max_size=40), max_size=3)
lives = st.lists(st.lists(payloads, max_size=4), min_size=1, max_size=3)
"""By life, then by group, the parts of what was appended."""


@contextmanager
def folder() -> Iterator[Path]:
    """A new one: Hypothesis calls a test many times within one `tmp_path`."""
    with tempfile.TemporaryDirectory() as path:
        yield Path(path) / "entry"


def write(path: Path, *groups: list[bytes], segment_bytes: int = 1 << 20) -> None:
    """One life that appends these, three positions each, and is killed."""
    log = EntryLog(path, segment_bytes=segment_bytes)
    for parts in groups:
        log.append(log.next + 3, parts)
    kill(log)


def kill(log: EntryLog) -> None:
    log.close(-1)


def read(path: Path) -> list[bytes]:
    log = EntryLog(path)
    found = [bytes(group.payload) for group in log.groups()]
    assert log.next == log.first + 3 * len(found)
    kill(log)
    return found


def segments(path: Path) -> list[Path]:
    return sorted(path.iterdir())


@given(lives, st.sampled_from([1, 150, 1 << 20]))
def test_what_was_appended_is_there_in_the_next_life(told: list[list[list[bytes]]], segment_bytes: int) -> None:
    with folder() as path:
        for groups in told:
            write(path, *groups, segment_bytes=segment_bytes)

        assert read(path) == [b"".join(parts) for groups in told for parts in groups]


@given(st.lists(payloads, min_size=1, max_size=4), st.data())
def test_any_cut_of_the_last_segment_loses_no_group_before_the_cut(
    groups: list[list[bytes]], data: st.DataObject
) -> None:
    with folder() as path:
        write(path, *groups)
        (segment,) = segments(path)
        whole = segment.read_bytes()
        cut = data.draw(st.integers(0, len(whole)))
        segment.write_bytes(whole[:cut])

        found = read(path)

        assert found == [b"".join(parts) for parts in groups][: len(found)]
        assert cut < len(whole) or len(found) == len(groups)


@given(st.lists(payloads, min_size=1, max_size=4), st.data())
def test_a_flipped_byte_is_refused_or_cut_and_never_believed(groups: list[list[bytes]], data: st.DataObject) -> None:
    with folder() as path:
        write(path, *groups)
        (segment,) = segments(path)
        whole = bytearray(segment.read_bytes())
        whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
        segment.write_bytes(whole)

        try:
            found = read(path)
        except EntryLogError as error:
            assert str(segment) in str(error)
        else:
            assert found == [b"".join(parts) for parts in groups[:-1]]


def test_a_damaged_group_with_another_behind_it_names_file_and_byte(tmp_path: Path) -> None:
    write(tmp_path / "entry", [b"first"], [b"second"])
    (segment,) = segments(tmp_path / "entry")
    segment.write_bytes(segment.read_bytes().replace(b"first", b"FIRST"))

    with pytest.raises(EntryLogError, match=rf"{segment} is damaged at byte {HEAD_BYTES}") as caught:
        EntryLog(tmp_path / "entry")

    assert "copy" in caught.value.advice


def test_an_older_segment_is_never_cut(tmp_path: Path) -> None:
    path = tmp_path / "entry"
    write(path, [b"one"], [b"two"], segment_bytes=1)
    segments(path)[0].write_bytes(segments(path)[0].read_bytes()[:-1])

    with pytest.raises(EntryLogError, match="damaged"):
        EntryLog(path)


def test_a_missing_segment_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "entry"
    write(path, [b"one"], [b"two"], [b"three"], segment_bytes=1)
    segments(path)[1].unlink()

    with pytest.raises(EntryLogError, match="ends before position 3, and the next segment begins at 6"):
        EntryLog(path)


def test_a_piece_of_another_log_inside_a_message_is_no_group(tmp_path: Path) -> None:
    write(tmp_path / "other", [b"a group"])
    (other,) = segments(tmp_path / "other")
    path = tmp_path / "entry"
    write(path, [b"good"], [b"torn ", other.read_bytes()])
    (segment,) = segments(path)
    segment.write_bytes(segment.read_bytes().replace(b"torn", b"TORN"))

    assert read(path) == [b"good"]


def test_a_segment_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "entry"
    write(path, [b"one"])
    (segment,) = segments(path)
    head = bytearray(segment.read_bytes())
    head[7:8] = b"2"
    _sign(head)
    segment.write_bytes(head)

    with pytest.raises(EntryLogError, match="is of version 2; this is version 1"):
        EntryLog(path)


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "entry"
    path.mkdir()
    (path / "access.log").write_text("hello")

    with pytest.raises(EntryLogError, match=r"access\.log is no segment"):
        EntryLog(path)


def test_two_lives_cannot_have_it_at_once(tmp_path: Path) -> None:
    log = EntryLog(tmp_path / "entry")

    with pytest.raises(StateError, match="held by another process"):
        EntryLog(tmp_path / "entry")
    kill(log)


def test_segments_below_the_floor_are_deleted_and_the_rest_is_there(tmp_path: Path) -> None:
    path = tmp_path / "entry"
    log = EntryLog(path, segment_bytes=1)
    for n in range(5):
        log.append(log.next + 3, [b"%d" % n])
    size = log.size

    log.cut(8)
    assert (log.first, len(segments(path))) == (6, 3)
    assert log.size == sum(one.stat().st_size for one in segments(path)) < size

    log.cut(100)
    kill(log)
    assert read(path) == [b"4"]


def test_the_last_segment_of_a_former_life_stays_when_all_is_settled(tmp_path: Path) -> None:
    path = tmp_path / "entry"
    write(path, [b"one"], [b"two"], segment_bytes=1)

    log = EntryLog(path)
    log.cut(100)
    kill(log)

    again = EntryLog(path)
    assert (again.first, again.next) == (3, 6)
    kill(again)


def test_groups_below_a_position_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "entry"
    write(path, *([b"%d" % n] for n in range(5)), segment_bytes=120)

    log = EntryLog(path)
    assert [bytes(group.payload) for group in log.groups(7)] == [b"2", b"3", b"4"]
    kill(log)


def test_a_life_that_ends_with_all_settled_leaves_where_it_was_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "entry"
    log = EntryLog(path)
    log.append(3, [b"x" * 1000])
    log.close(3)

    again = EntryLog(path)
    assert (again.first, again.next, again.size) == (3, 3, HEAD_BYTES)
    again.append(6, [b"more"])
    kill(again)
    assert read(path) == [b"more"]


def test_a_full_disk_leaves_nothing_half_written_and_the_group_can_be_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "entry"
    log = EntryLog(path)
    log.append(3, [b"before"])

    with _file_bytes_at_most(1000), pytest.raises(OSError, match="too large"):
        log.append(6, [b"x" * 5000])
    assert (log.next, log.size) == (3, sum(one.stat().st_size for one in segments(path)))
    with _file_bytes_at_most(1), pytest.raises(OSError, match="too large"):
        log.append(6, [b"x" * 5000])
    log.append(6, [b"after"])

    kill(log)
    assert read(path) == [b"before", b"after"]


def test_what_could_not_be_cut_after_a_failure_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "entry"
    write(path, [b"one"], [b"never on the disk"])
    first = segments(path)[0]
    whole = first.read_bytes()
    at = whole.index(b"never")
    first.unlink()
    write(path, [b"one"])
    write(path, [b"written again"])
    first.write_bytes(whole[:at] + b"NEVER" + whole[at + 5 :])

    assert read(path) == [b"one", b"written again"]


@contextmanager
def _file_bytes_at_most(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _sign(head: bytearray) -> None:
    head[HEAD_BYTES - 4 : HEAD_BYTES] = crc32(head[: HEAD_BYTES - 4]).to_bytes(4, "little")


def test_a_log_that_is_begun_anew_begins_where_it_is_told_to_and_goes_on_from_there(tmp_path: Path) -> None:
    path = tmp_path / "entry"
    log = EntryLog(path, begins_at=1 << 40)
    assert (log.first, log.next) == (1 << 40, 1 << 40)
    log.append((1 << 40) + 2, [b"two messages"])
    log.close(0)

    again = EntryLog(path, begins_at=5 << 40)

    assert (again.first, again.next) == (1 << 40, (1 << 40) + 2)
