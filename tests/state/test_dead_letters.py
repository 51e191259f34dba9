"""The dead letters of a job: what was appended is there, whole and once, whoever was killed beside it."""

from __future__ import annotations

import random
import sqlite3
import stat
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest

from streamer import limits
from streamer.errors import StateError
from streamer.protocol.codec import careful, pack_headers, packer
from streamer.state.dead_letters import DeadLetter, DeadLetters
from streamer.state.letter_search import LetterSearch
from tests.state import endless_letters
from tests.state.endless_letters import letter


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "dead.sqlite"


def letters_in(path: Path) -> list[DeadLetter]:
    return [kept.letter for kept in DeadLetters(path).find()]


def test_letters_are_read_as_they_were_written(path: Path) -> None:
    letters = [letter("parse-0", number, {"n": number, "text": "ü\n", "data": b"\x00"}) for number in range(3)]
    letters[1] = replace(letters[1], headers=pack_headers({"tenant": 7}, None), occurrence=2, version=3)
    store = DeadLetters(path)
    store.append(letters[:2])
    store.append([])
    DeadLetters(path).append(letters[2:])

    kept = DeadLetters(path).find()

    assert [one.letter for one in kept] == letters
    assert [(one.number, one.state, one.replays) for one in kept] == [(n, "dead", 0) for n in (1, 2, 3)]
    assert kept[1].headers == {"tenant": 7}
    assert kept[2].letter.message == {"n": 2, "text": "ü\n", "data": b"\x00"}


def test_a_message_that_fails_again_has_one_letter_with_all_its_attempts(path: Path) -> None:
    store = DeadLetters(path)
    first = letter("parse-0", 7, "seven")
    store.append([first, letter("parse-0", 8, "eight")])

    store.append([replace(first, instance="parse-1", error="KeyError: 'b'", attempts=4, time_s=first.time_s + 9)])

    (kept, _) = store.find()
    assert (kept.letter.instance, kept.letter.error, kept.letter.attempts) == ("parse-1", "KeyError: 'b'", 5)
    assert (kept.first_s, kept.letter.time_s) == (first.time_s, first.time_s + 9)
    assert kept.letter.message == "seven"


def test_a_letter_that_failed_before_it_was_given_up_tells_both_times(path: Path) -> None:
    store = DeadLetters(path)
    given_up = letter("parse-0", 7, "seven")

    store.append([replace(given_up, first_s=given_up.time_s - 9)])

    (kept,) = store.find()
    assert (kept.first_s, kept.letter.time_s) == (given_up.time_s - 9, given_up.time_s)


def test_the_same_message_at_two_places_has_two_letters(path: Path) -> None:
    first = letter("parse-0", 7, "seven")

    DeadLetters(path).append([first, replace(first, target="save"), replace(first, occurrence=1)])

    assert len(letters_in(path)) == 3


def test_a_large_message_is_kept_in_parts(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamer.state.dead_letters.DEAD_LETTER_PART_BYTES", 100_000)
    data = random.Random(3).randbytes(350_001)
    packed = careful(packer())({"data": data, "more": [data[:200_000], 1]})
    assert len(packed) > limits.LARGE_BYTES

    DeadLetters(path).append([replace(letter("parse-0", 7, None), packed=packed)])

    (kept,) = DeadLetters(path).find()
    assert kept.letter.message == {"data": data, "more": [data[:200_000], 1]}


def test_a_message_that_cannot_be_read_is_shown_as_its_bytes_and_cannot_be_replayed(path: Path) -> None:
    DeadLetters(path).append([replace(letter("parse-0", 7, None), packed=b"\xc1\x00", reason="unreadable")])

    (kept,) = DeadLetters(path).find()
    assert (kept.letter.message, kept.letter.replayable) == (b"\xc1\x00", False)


def test_texts_of_any_length_and_of_any_characters_are_kept(path: Path) -> None:
    long = "x" * 3 * limits.DEAD_LETTER_TEXT_CHARS_MAX
    DeadLetters(path).append([replace(letter("parse-0", 7, 1), error="lone \ud800", traceback=f"begin{long}end")])

    (kept,) = letters_in(path)
    assert kept.error == "lone \\ud800"
    assert kept.traceback.startswith("begin") and kept.traceback.endswith("end")
    assert len(kept.traceback) < limits.DEAD_LETTER_TEXT_CHARS_MAX + 10


def test_without_a_letter_there_is_no_file_and_nothing_to_read(path: Path) -> None:
    DeadLetters(path).append([])

    assert (DeadLetters(path).find(), DeadLetters(path).count(), DeadLetters(path).purge(LetterSearch())) == ([], 0, 0)
    assert list(path.parent.iterdir()) == []


def test_letters_are_for_the_eyes_of_their_owner(path: Path) -> None:
    DeadLetters(path).append([letter("parse-0", 0, None)])

    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}


# -- searching ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("search", "numbers"),
    [
        pytest.param(LetterSearch(), [1, 2, 3], id="all"),
        pytest.param(LetterSearch(node="save"), [3], id="by the node that was to handle it"),
        pytest.param(LetterSearch(error="Key"), [2], id="by a part of the error"),
        pytest.param(LetterSearch(error="%"), [], id="which is no pattern"),
        pytest.param(LetterSearch(since_s=20.0), [2, 3], id="since"),
        pytest.param(LetterSearch(until_s=20.0), [1, 2], id="until"),
        pytest.param(LetterSearch(numbers=(3, 1, 9)), [1, 3], id="by number"),
        pytest.param(LetterSearch(node="parse", since_s=15.0, until_s=25.0), [2], id="by several at once"),
    ],
)
def test_letters_are_searched_for(path: Path, search: LetterSearch, numbers: list[int]) -> None:
    first = replace(letter("parse-0", 1, None), time_s=10.0)
    second = replace(letter("parse-0", 2, None), time_s=20.0, error="KeyError: 'a'")
    third = replace(letter("parse-0", 3, None), time_s=30.0, target="save")
    store = DeadLetters(path)
    store.append([first, second, third])

    assert [kept.number for kept in store.find(search)] == numbers
    assert store.count(search) == len(numbers)


def test_purged_letters_are_gone_and_their_numbers_are_not_given_again(path: Path) -> None:
    store = DeadLetters(path)
    store.append([letter("parse-0", number, "x" * 100) for number in range(3)])

    assert store.purge(LetterSearch(numbers=(2, 3))) == 2
    store.append([letter("parse-0", 5, None)])

    assert [kept.number for kept in store.find()] == [1, 4]
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT DISTINCT number FROM parts").fetchall() == [(1,), (4,)]


# -- files that are none of ours, and places that cannot be written ----------------------------------------------------


def test_a_store_of_another_version_is_refused(path: Path) -> None:
    DeadLetters(path).append([letter("parse-0", 0, None)])
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 9")

    with pytest.raises(StateError, match=r"dead\.sqlite is of version 9; this streamer knows version 1"):
        DeadLetters(path).find()


def test_a_foreign_database_is_refused(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE mine (a)")

    with pytest.raises(StateError, match=r"is a database, and no dead-letter store of streamer"):
        DeadLetters(path).append([letter("parse-0", 0, None)])


def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path) -> None:
    path.write_bytes(b"my notes" * 1_000)

    with pytest.raises(StateError, match=r"the dead-letter store .* is damaged"):
        DeadLetters(path).append([letter("parse-0", 0, None)])
    assert path.read_bytes() == b"my notes" * 1_000


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"the dead-letter store .* cannot be opened"):
        DeadLetters(tmp_path / "none" / "dead.sqlite").append([letter("parse-0", 0, None)])


def test_a_full_disk_is_told_and_nothing_is_half_written(path: Path) -> None:
    store = DeadLetters(path)
    store.append([letter("parse-0", 0, "small")])
    with store.writing() as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + 10}")

    with pytest.raises(StateError, match="could not be written or read: database or disk is full") as told:
        store.append([letter("parse-0", number, "x" * 30_000) for number in range(1, 5)])

    assert "Make room" in told.value.advice
    assert [kept.message for kept in letters_in(path)] == ["small"]


# -- several writers ---------------------------------------------------------------------------------------------------


def test_three_instances_killed_at_any_moment_lose_and_tear_no_letter(path: Path) -> None:
    chance = random.Random(5)
    told: dict[str, int] = {}
    for life in range(3):
        writers = {}
        for index in range(3):
            instance = f"parse-{index}-{life}"
            command = [sys.executable, endless_letters.__file__, str(path), instance]
            writers[instance] = subprocess.Popen(command, stdout=subprocess.PIPE)
        for instance, writer in writers.items():
            assert writer.stdout is not None
            told[instance] = len(writer.stdout.read(chance.randint(1, 3)))
            with pytest.raises(subprocess.TimeoutExpired):
                writer.wait(timeout=chance.uniform(0.0, 0.01))
            writer.kill()
        for instance, writer in writers.items():
            with writer:
                told[instance] += len(writer.communicate()[0])

    found: dict[str, list[int]] = {}
    for dead in letters_in(path):
        assert dead.message == endless_letters.DATA
        found.setdefault(dead.instance, []).append(int(dead.message_id.partition("/")[2]))
    for instance, batches in told.items():
        # In order, each once, all that were told, and at most one batch more, which may not have been told.
        numbers = found.pop(instance)
        assert numbers == list(range(len(numbers)))
        assert batches * endless_letters.BATCH <= len(numbers) <= (batches + 1) * endless_letters.BATCH
    assert found == {}


@pytest.mark.parametrize("shared", [True, False], ids=["one store", "a store for each"])
def test_threads_of_one_process_take_turns_too(path: Path, shared: bool) -> None:
    store = DeadLetters(path)

    def append_all(instance: str) -> None:
        mine = store if shared else DeadLetters(path)
        for number in range(20):
            mine.append([letter(instance, number, "x" * 50_000)])

    threads = [Thread(target=append_all, args=(f"parse-{index}",)) for index in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert Counter(dead.instance for dead in letters_in(path)) == {"parse-0": 20, "parse-1": 20, "parse-2": 20}
