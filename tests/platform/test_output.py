"""What one instance prints, at the limits: a log that grows too large, a disk that is full."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from streamer import limits
from streamer.platform.output import Output


def reader_of(text: bytes) -> int:
    """The reading end of a pipe in which `text` stands, its writer gone."""
    reader, writer = os.pipe()
    os.write(writer, text)
    os.close(writer)
    return reader


def read_all(text: bytes, log: Path) -> list[str]:
    lines: list[str] = []
    output = Output(reader_of(text), log, lines.append)
    output.finish()
    return lines


def test_a_log_that_is_full_is_set_aside_once_and_begun_anew(tmp_path: Path) -> None:
    log = tmp_path / "parse-0.log"
    log.touch()
    os.truncate(log, limits.LOG_BYTES_MAX - 1)
    read_all(b"one more\n", log)
    assert log.read_text() == "one more\n"
    assert (tmp_path / "parse-0.log.1").stat().st_size == limits.LOG_BYTES_MAX - 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full is there on Linux only")
def test_a_full_disk_ends_the_log_and_not_the_output(tmp_path: Path) -> None:
    log = tmp_path / "parse-0.log"
    log.symlink_to("/dev/full")
    lines = read_all(b"one\ntwo\n", log)
    assert lines[0].startswith("... the log ends here")
    assert lines[1:] == ["one", "two"]


def test_a_carriage_return_at_a_line_s_end_is_not_shown(tmp_path: Path) -> None:
    assert read_all(b"one\r\n", tmp_path / "log") == ["one"]


def test_the_end_of_the_pipe_is_told(tmp_path: Path) -> None:
    output = Output(reader_of(b""), tmp_path / "log", lambda _: None)
    assert not output.read()
    output.finish()
