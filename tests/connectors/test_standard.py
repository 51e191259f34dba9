"""Standard input and output: records as they come, without waiting, and whole records out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from threading import Thread

import msgpack
import pytest

from streamer.connectors.base import START, Mark
from streamer.connectors.standard import StdinSource, StdoutSink, stdin_problems, stdout_problems
from streamer.errors import ConnectorError


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    for fd in (reader, writer):
        try:
            os.close(fd)
        except OSError:  # the test closed this end
            continue


def opened(fd: int, record_format: str = "text") -> StdinSource:
    source = StdinSource({"format": record_format}, fd)
    source.open(START)
    return source


def values(source: StdinSource) -> list[object] | None:
    records = source.read(512, now=0.0)
    return None if records is None else records.values


def test_where_nothing_has_come_reading_gives_nothing_and_does_not_wait(pipe: tuple[int, int]) -> None:
    source = opened(pipe[0])

    assert values(source) is None
    assert source.wait_s(0.0) is None
    assert source.fileno() == pipe[0]
    assert not source.ended


def test_records_are_given_as_soon_as_they_are_whole(pipe: tuple[int, int]) -> None:
    source = opened(pipe[0])

    os.write(pipe[1], b"one\ntw")
    assert values(source) == ["one"]
    assert values(source) is None
    os.write(pipe[1], b"o\n")
    assert values(source) == ["two"]


def test_whoever_waits_for_the_descriptor_leaves_no_record_behind(pipe: tuple[int, int]) -> None:
    source = opened(pipe[0])
    os.write(pipe[1], b"one\ntwo\n")

    given = []
    while source.wait_s(0.0) == 0.0:
        records = source.read(1, now=0.0)
        given += [] if records is None else records.values

    assert given == ["one", "two"]


def test_a_last_line_without_its_end_counts_when_the_input_ends(pipe: tuple[int, int]) -> None:
    source = opened(pipe[0])
    os.write(pipe[1], b"one\ntwo")
    os.close(pipe[1])

    assert values(source) == ["one"]
    assert values(source) == ["two"]
    assert values(source) is None
    assert source.ended


@pytest.mark.parametrize(
    ("record_format", "data", "value"),
    [
        pytest.param("jsonl", b'{"n": 1}\n', {"n": 1}, id="jsonl"),
        pytest.param("msgpack", msgpack.packb({"n": 1}), {"n": 1}, id="msgpack"),
    ],
)
def test_the_spec_names_the_format(pipe: tuple[int, int], record_format: str, data: bytes, value: object) -> None:
    source = opened(pipe[0], record_format)
    os.write(pipe[1], data)

    assert values(source) == [value]


def test_a_bad_line_is_told_with_its_number(pipe: tuple[int, int]) -> None:
    source = opened(pipe[0], "jsonl")
    os.write(pipe[1], b"1\n{\n")

    records = source.read(512, now=0.0)

    assert records is not None
    assert [record.place for record in records.bad] == ["stdin, line 2"]


def test_standard_input_does_not_come_again(pipe: tuple[int, int]) -> None:
    source = StdinSource({}, pipe[0])
    source.open(Mark(7, 100))
    os.write(pipe[1], b"a\n")

    records = source.read(512, now=0.0)

    assert not source.replayable
    assert records is not None
    assert list(records.positions) == [7]


def test_the_descriptor_stays_blocking_for_those_who_share_it(pipe: tuple[int, int]) -> None:
    source = opened(pipe[0])
    values(source)

    assert os.get_blocking(pipe[0])


def test_a_descriptor_that_another_program_made_non_blocking_is_read(pipe: tuple[int, int]) -> None:
    os.set_blocking(pipe[0], False)
    source = opened(pipe[0])
    assert values(source) is None
    os.write(pipe[1], b"a\n")

    assert values(source) == ["a"]


def test_standard_output_gets_one_record_a_line(pipe: tuple[int, int]) -> None:
    sink = StdoutSink({}, pipe[1])
    sink.open(restarted=False)
    sink.write([{"n": 1}, "a"])
    sink.write([])
    sink.close()

    assert os.read(pipe[0], 100) == b'{"n":1}\n"a"\n'


@pytest.mark.parametrize("blocking", [True, False])
def test_a_slow_reader_gets_all_of_a_write_larger_than_the_pipe(pipe: tuple[int, int], blocking: bool) -> None:
    os.set_blocking(pipe[1], blocking)
    sink = StdoutSink({"format": "text"}, pipe[1])
    text = "x" * 1_000_000
    writer = Thread(target=sink.write, args=([text],))
    writer.start()
    data = b""
    while len(data) < len(text) + 1:
        data += os.read(pipe[0], 65_536)
    writer.join()

    assert data == text.encode() + b"\n"


def test_a_reader_that_went_away_is_told(pipe: tuple[int, int]) -> None:
    sink = StdoutSink({}, pipe[1])
    os.close(pipe[0])

    with pytest.raises(ConnectorError, match="stdout cannot be written: Broken pipe"):
        sink.write([1])


def test_a_closed_descriptor_is_a_problem_with_a_remedy(pipe: tuple[int, int]) -> None:
    assert stdin_problems({}, pipe[0]) == stdout_problems({}, pipe[1]) == []
    for fd in pipe:
        os.close(fd)

    assert "command < FILE" in stdin_problems({}, pipe[0])[0]
    assert "command > FILE" in stdout_problems({}, pipe[1])[0]
    with pytest.raises(ConnectorError, match="stdin is closed"):
        StdinSource({}, pipe[0]).open(START)
    with pytest.raises(ConnectorError, match="stdout is closed"):
        StdoutSink({}, pipe[1]).open(restarted=False)
