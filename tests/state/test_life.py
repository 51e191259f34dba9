"""What an instance leaves about its own life, and what is made of it."""

from __future__ import annotations

import os
from pathlib import Path

from streamer.state.life import Life, begin_life, end_life, read_life


def test_a_life_is_known_from_its_beginning_to_its_end(tmp_path: Path) -> None:
    assert read_life(tmp_path) is None

    begin_life(tmp_path, 3, started=7)
    assert read_life(tmp_path) == Life(3, os.getpid(), 7, None)

    end_life(tmp_path, 0)
    assert read_life(tmp_path) == Life(3, os.getpid(), 7, 0)


def test_an_end_without_a_beginning_says_nothing(tmp_path: Path) -> None:
    end_life(tmp_path, 0)

    assert read_life(tmp_path) is None


def test_a_word_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    (tmp_path / "life.json").write_text("{")

    assert read_life(tmp_path) is None
