"""The file source: every record of a file with a mark to come back to."""

from __future__ import annotations

import os
from pathlib import Path

import msgpack
import pytest

from streamer.connectors.base import START, Mark, Records
from streamer.connectors.file import FileSource
from streamer.errors import ConnectorError


def read(path: Path, record_format: str, mark: Mark = START, limit: int = 512) -> list[Records]:
    source = FileSource({"path": str(path), "format": record_format})
    source.open(mark)
    batches = []
    while not source.ended:
        batch = source.read(limit, now=0.0)
        if batch is not None:
            batches.append(batch)
    source.close()
    return batches


def numbered(batches: list[Records]) -> list[tuple[int, object]]:
    """Records with their numbers, however they came in batches."""
    return [record for batch in batches for record in zip(batch.positions, batch.values, strict=True)]


@pytest.mark.parametrize(
    ("record_format", "data", "values"),
    [
        pytest.param("text", b'{"n": 1}\nb', ['{"n": 1}', "b"], id="text"),
        pytest.param("jsonl", b'{"n": 1}\n2', [{"n": 1}, 2], id="jsonl"),
        pytest.param("msgpack", msgpack.packb({"n": 1}) + b"\x02", [{"n": 1}, 2], id="msgpack"),
        pytest.param("text", b"", [], id="an-empty-file-ends-at-once"),
    ],
)
def test_a_file_gives_its_records_and_ends(
    tmp_path: Path, record_format: str, data: bytes, values: list[object]
) -> None:
    path = tmp_path / "in"
    path.write_bytes(data)

    assert [value for batch in read(path, record_format) for value in batch.values] == values


def test_without_a_format_a_file_is_text(tmp_path: Path) -> None:
    path = tmp_path / "in"
    path.write_bytes(b"1\n")
    source = FileSource({"path": str(path)})
    source.open(START)

    batch = source.read(1, now=0.0)

    assert batch is not None
    assert batch.values == ["1"]
    source.close()


@pytest.mark.parametrize("record_format", ["text", "jsonl", "msgpack"])
def test_a_file_of_many_blocks_is_read_again_from_any_mark(tmp_path: Path, record_format: str) -> None:
    path = tmp_path / "in"
    pack = msgpack.packb if record_format == "msgpack" else lambda value: f'{{"line": {value["line"]}}}\n'.encode()
    path.write_bytes(b"".join(pack({"line": n}) for n in range(60_000)))
    batches = read(path, record_format)
    assert numbered(batches) == [
        (n, f'{{"line": {n}}}' if record_format == "text" else {"line": n}) for n in range(60_000)
    ]

    for index in range(1, len(batches), 29):
        assert numbered(read(path, record_format, batches[index].mark)) == numbered(batches[index:])


def test_a_bad_line_is_told_with_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b'1\n{"n":\n3\n')

    (batch,) = read(path, "jsonl")

    assert batch.values == [1, 3]
    assert batch.bad[0].place == f"{path}, line 2"


def test_after_a_restart_lines_keep_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"1\n2\nx\n")

    (batch,) = read(path, "jsonl", Mark(1, 2))

    assert batch.bad[0].place == f"{path}, line 3"


def test_another_file_in_the_same_place_is_another_partition(tmp_path: Path) -> None:
    path = tmp_path / "in"
    path.write_bytes(b"a\n")
    first = FileSource({"path": str(path)})
    again = FileSource({"path": str(path)})
    assert first.partition == again.partition
    assert str(path) in first.partition

    (tmp_path / "new").write_bytes(b"a\n")
    (tmp_path / "new").rename(path)

    assert FileSource({"path": str(path)}).partition != first.partition
    first.close()
    again.close()


def test_a_file_that_was_cut_below_its_mark_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "in"
    path.write_bytes(b"a\n")
    source = FileSource({"path": str(path)})

    with pytest.raises(ConnectorError, match="has 2 bytes, but was read up to byte 10 before"):
        source.open(Mark(5, 10))
    source.close()


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConnectorError, match="does not exist"):
        FileSource({"path": str(tmp_path / "none")}).open(START)


def test_a_pipe_in_the_place_of_a_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(ConnectorError, match="not a regular file"):
        FileSource({"path": str(tmp_path / "pipe")}).open(START)
