"""Pages and words that survive the kill of their process: the old record or the new one, and never a part of either."""

from __future__ import annotations

import os
import random
import stat
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.errors import StateError
from streamer.mapped import MappedPage, MappedWords
from tests.state import endless_page
from tests.state.endless_page import SLOT_BYTES, record_of

_KILLS = 20


def test_a_new_page_holds_nothing(tmp_path: Path) -> None:
    with MappedPage(tmp_path / "page", 100) as page:
        assert page.read() == b""


def test_the_last_record_is_in_force_and_survives_its_process(tmp_path: Path) -> None:
    with MappedPage(tmp_path / "page", 100) as page:
        for record in (b"first", b"a longer second", b"", b"x" * 100):
            page.write(record)
            assert page.read() == record
    with MappedPage(tmp_path / "page", 100) as page:
        assert page.read() == b"x" * 100
        page.write(b"next")
    with MappedPage.existing(tmp_path / "page") as page:
        assert page.read() == b"next"


@given(st.lists(st.binary(max_size=64), min_size=1, max_size=20))
def test_whatever_is_written_the_last_of_it_is_read(records: list[bytes]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "page"
        with MappedPage(path, 64) as page:
            for record in records:
                page.write(record)
        with MappedPage.existing(path) as page:
            assert page.read() == records[-1]


def test_a_reader_sees_what_a_writer_has_in_force(tmp_path: Path) -> None:
    with MappedPage(tmp_path / "page", 100) as writer, MappedPage.existing(tmp_path / "page") as reader:
        for n in range(5):
            writer.write(bytes([n]))
            assert reader.read() == bytes([n])


def test_a_record_that_does_not_fit_gets_a_larger_page_and_the_next_life_finds_it(tmp_path: Path) -> None:
    with MappedPage(tmp_path / "page", 10) as page:
        page.write(b"old")
        page.write(b"x" * 11)
        assert page.read() == b"x" * 11
        page.write(b"short again")
    with MappedPage(tmp_path / "page", 10) as page:
        assert page.read() == b"short again"


def test_a_page_that_is_wanted_larger_keeps_its_record(tmp_path: Path) -> None:
    with MappedPage(tmp_path / "page", 10) as page:
        page.write(b"old")
    with MappedPage(tmp_path / "page", 10_000) as page:
        assert page.read() == b"old"
        page.write(b"x" * 10_000)
        assert page.read() == b"x" * 10_000


def test_a_reader_that_came_before_a_page_grew_has_the_record_of_then(tmp_path: Path) -> None:
    with MappedPage(tmp_path / "page", 10) as writer:
        writer.write(b"old")
        with MappedPage.existing(tmp_path / "page") as reader:
            writer.write(b"x" * 100)
            assert reader.read() == b"old"
        with MappedPage.existing(tmp_path / "page") as reader:
            assert reader.read() == b"x" * 100


@pytest.mark.parametrize("written", [0, 40, 1_000], ids=["nothing", "half a head", "a part"])
def test_a_page_whose_growth_was_cut_by_a_kill_is_the_old_one_and_can_grow_again(tmp_path: Path, written: int) -> None:
    with MappedPage(tmp_path / "page", 10) as page:
        page.write(b"old")
    (tmp_path / "page.new").write_bytes(b"STRPAGE1" + b"x" * written)
    with MappedPage(tmp_path / "page", 10) as page:
        assert page.read() == b"old"
        page.write(b"y" * 5_000)
    with MappedPage.existing(tmp_path / "page") as page:
        assert page.read() == b"y" * 5_000


def test_a_page_is_for_the_eyes_of_its_owner_and_takes_no_room_before_it_is_written(tmp_path: Path) -> None:
    with MappedPage(tmp_path / "page", 64 << 20):
        found = (tmp_path / "page").stat()
    assert stat.S_IMODE(found.st_mode) == 0o600
    assert found.st_blocks * 512 < 1 << 20


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"something else entirely, and long enough for a head", id="foreign"),
        pytest.param(b"STRPAGE1" + bytes(8), id="a head that is cut short"),
        pytest.param(b"STRPAGE0" + bytes(300), id="of another version"),
    ],
)
def test_a_file_that_is_no_page_is_refused_and_left_as_it_was(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "page"
    path.write_bytes(content)
    with pytest.raises(StateError, match="is not a page"):
        MappedPage(path, 100)
    with pytest.raises(StateError, match="is not a page"):
        MappedPage.existing(path)
    assert path.read_bytes() == content


def test_a_page_that_was_cut_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    MappedPage(tmp_path / "page", 100_000).close()
    os.truncate(tmp_path / "page", 5_000)
    with pytest.raises(StateError):
        MappedPage.existing(tmp_path / "page")


@pytest.mark.parametrize("length", [0, 10, 224])
def test_a_page_whose_maker_was_killed_at_once_is_made_again(tmp_path: Path, length: int) -> None:
    (tmp_path / "page").write_bytes(bytes(length))
    with MappedPage(tmp_path / "page", 100) as page:
        page.write(b"here")
        assert page.read() == b"here"


def test_a_page_killed_at_any_moment_has_the_old_record_or_the_new_one(tmp_path: Path) -> None:
    path, chance, last = tmp_path / "page", random.Random(11), 0
    for _ in range(_KILLS):
        command = [sys.executable, endless_page.__file__, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            assert writer.stdout.read(1) == b"."
            with pytest.raises(subprocess.TimeoutExpired):
                writer.wait(timeout=chance.uniform(0.0, 0.01))
            with MappedPage.existing(path) as page:
                beside = page.read()
            writer.kill()
        number = int.from_bytes(beside[:8], "little")
        assert beside == record_of(number)
        with MappedPage(path, SLOT_BYTES) as page:
            left = page.read()
        assert left == record_of(int.from_bytes(left[:8], "little"))
        assert int.from_bytes(left[:8], "little") >= number > last
        last = number


# -- words -------------------------------------------------------------------------------------------------------------


def test_words_survive_their_process(tmp_path: Path) -> None:
    first = MappedWords(tmp_path / "hand", 3)
    assert list(first.words) == [0, 0, 0]
    first.words[1] = (1 << 64) - 1
    first.close()
    second = MappedWords(tmp_path / "hand", 3)
    assert list(second.words) == [0, (1 << 64) - 1, 0]
    second.close()


def test_words_go_on_while_somebody_holds_them(tmp_path: Path) -> None:
    words = MappedWords(tmp_path / "hand", 1).words
    words[0] = 7
    assert (tmp_path / "hand").read_bytes() == (7).to_bytes(8, sys.byteorder)


def test_a_file_of_fewer_records_is_made_longer_and_what_one_of_more_has_beyond_is_read(tmp_path: Path) -> None:
    MappedWords(tmp_path / "hand", 2, records=2).words[1] = 7
    longer = MappedWords(tmp_path / "hand", 4, records=2)
    assert list(longer.words) == [0, 7, 0, 0]
    longer.words[3] = 9

    assert list(MappedWords(tmp_path / "hand", 2, records=2).words) == [0, 7, 0, 9]
    with pytest.raises(StateError, match="is not a file of 3 words"):
        MappedWords(tmp_path / "hand", 3, records=3)


def test_a_file_of_another_count_of_words_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "hand").write_bytes(b"x" * 16)
    with pytest.raises(StateError, match="is not a file of 3 words"):
        MappedWords(tmp_path / "hand", 3)
    assert (tmp_path / "hand").read_bytes() == b"x" * 16
