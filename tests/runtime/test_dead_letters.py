"""The dead letters of a job: what was appended is there, whole, whoever was killed beside it."""

from __future__ import annotations

import dataclasses
import json
import random
import stat
import subprocess
import sys
from collections import Counter
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from streamer.errors import StateError
from streamer.runtime.dead_letters import DeadLetters, read
from tests.runtime import endless_letters
from tests.runtime.endless_letters import letter


def test_letters_are_read_as_they_were_written(tmp_path: Path) -> None:
    letters = [letter("parse-0", number, {"n": number, "text": "ü\n"}) for number in range(3)]
    store = DeadLetters(tmp_path / "dead.jsonl")
    store.append(letters[:2])
    store.append([])
    DeadLetters(tmp_path / "dead.jsonl").append(letters[2:])

    assert list(read(tmp_path / "dead.jsonl")) == letters


def test_a_letter_is_a_line_of_json_that_people_and_tools_can_read(tmp_path: Path) -> None:
    DeadLetters(tmp_path / "dead.jsonl").append([letter("parse-0", 7, {"data": b"\x00"})])

    assert json.loads((tmp_path / "dead.jsonl").read_text()) == {
        "time": "2023-11-14T22:13:20.500000+00:00",
        "node": "parse",
        "instance": "parse-0",
        "reason": "handler",
        "error": "ValueError: bad",
        "traceback": "Traceback (most recent call last):\n  ...\n",
        "route": {"flow": "main", "node": "parse"},
        "source": "lines",
        "id": "7",
        "attempts": 1,
        "message": {"data": {"$base64": "AA=="}},
    }


def test_a_message_is_read_in_its_json_form(tmp_path: Path) -> None:
    DeadLetters(tmp_path / "dead.jsonl").append([letter("parse-0", 7, b"\x00")])

    (found,) = read(tmp_path / "dead.jsonl")

    assert found.message == {"$base64": "AA=="}


def test_a_message_that_has_no_full_json_form_keeps_its_facts(tmp_path: Path) -> None:
    message: Any = 0
    for _ in range(50_000):
        message = [message]
    DeadLetters(tmp_path / "dead.jsonl").append([letter("parse-0", 7, message)])

    (found,) = read(tmp_path / "dead.jsonl")

    assert found == dataclasses.replace(letter("parse-0", 7, None), message=found.message)


def test_without_a_letter_there_is_no_file_and_nothing_to_read(tmp_path: Path) -> None:
    DeadLetters(tmp_path / "dead.jsonl").append([])

    assert list(read(tmp_path / "dead.jsonl")) == []
    assert list(tmp_path.iterdir()) == []


def test_letters_are_for_the_eyes_of_their_owner(tmp_path: Path) -> None:
    DeadLetters(tmp_path / "dead.jsonl").append([letter("parse-0", 0, None)])

    assert stat.S_IMODE((tmp_path / "dead.jsonl").stat().st_mode) == 0o600


@pytest.mark.parametrize("torn", [b"{", b'{"time": "20' + b"x" * 1_000_000], ids=["short", "longer-than-a-block"])
def test_what_a_killed_writer_left_half_written_is_not_read_and_is_cut_off_by_the_next(
    tmp_path: Path, torn: bytes
) -> None:
    path = tmp_path / "dead.jsonl"
    first, second = letter("parse-0", 0, None), letter("parse-0", 1, None)
    DeadLetters(path).append([first])
    with path.open("ab") as file:
        file.write(torn)

    assert list(read(path)) == [first]
    DeadLetters(path).append([second])
    assert list(read(path)) == [first, second]


def test_a_file_of_nothing_but_half_a_letter_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "dead.jsonl"
    path.write_bytes(b'{"half')
    only = letter("parse-0", 0, None)

    assert list(read(path)) == []
    DeadLetters(path).append([only])
    assert list(read(path)) == [only]


def test_a_damaged_line_is_told_with_its_number(tmp_path: Path) -> None:
    path = tmp_path / "dead.jsonl"
    DeadLetters(path).append([letter("parse-0", 0, None)])
    with path.open("ab") as file:
        file.write(b"{}\n")

    with pytest.raises(StateError, match=r"dead\.jsonl, line 2 is no dead letter"):
        list(read(path))


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="dead letters cannot be written to"):
        DeadLetters(tmp_path / "none" / "dead.jsonl").append([letter("parse-0", 0, None)])


def test_letters_that_come_while_reading_do_not_disturb_it(tmp_path: Path) -> None:
    path = tmp_path / "dead.jsonl"
    first, second = letter("parse-0", 0, None), letter("parse-0", 1, None)
    DeadLetters(path).append([first])
    reading = read(path)
    assert next(reading) == first

    DeadLetters(path).append([second])

    assert list(reading) == []


def test_three_instances_killed_at_any_moment_lose_and_tear_no_letter(tmp_path: Path) -> None:
    path = tmp_path / "dead.jsonl"
    chance = random.Random(5)
    told: dict[str, int] = {}
    for life in range(4):
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
    for dead in read(path):
        found.setdefault(dead.instance, []).append(int(dead.message_id))
    for instance, batches in told.items():
        # In order, each once, all that were told, and at most one batch more, which may have lost its end.
        numbers = found.pop(instance)
        assert numbers == list(range(len(numbers)))
        assert batches * endless_letters.BATCH <= len(numbers) <= (batches + 1) * endless_letters.BATCH
    assert found == {}


def test_threads_of_one_process_take_turns_too(tmp_path: Path) -> None:
    path = tmp_path / "dead.jsonl"
    store = DeadLetters(path)

    def append_all(instance: str) -> None:
        for number in range(20):
            store.append([letter(instance, number, "x" * 50_000)])

    threads = [Thread(target=append_all, args=(f"parse-{index}",)) for index in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert Counter(dead.instance for dead in read(path)) == {"parse-0": 20, "parse-1": 20, "parse-2": 20}
