"""The file sink: whole records, a file begun anew once a job, and no torn line after a kill."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgpack
import pytest

from streamer.connectors.file import FileSink
from streamer.errors import ConnectorError
from tests.connectors import endless_sink


@contextmanager
def opened(path: Path, *, restarted: bool = False, **spec: object) -> Iterator[FileSink]:
    sink = FileSink({"path": str(path), **spec}, path.parent)
    sink.open(restarted)
    try:
        yield sink
    finally:
        sink.close()


def test_one_record_a_line_is_json_unless_the_spec_says_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with opened(path) as sink:
        sink.write([{"n": 1}, "a"])
        sink.write([])
        sink.write([b"\x00"])

    assert path.read_bytes() == b'{"n":1}\n"a"\n{"$base64":"AA=="}\n'


@pytest.mark.parametrize(
    ("record_format", "data"),
    [
        pytest.param("text", b"a\n1\n", id="text"),
        pytest.param("jsonl", b'"a"\n1\n', id="jsonl"),
        pytest.param("msgpack", msgpack.packb("a") + msgpack.packb(1), id="msgpack"),
    ],
)
def test_the_spec_names_the_format(tmp_path: Path, record_format: str, data: bytes) -> None:
    with opened(tmp_path / "out", format=record_format) as sink:
        sink.write(["a", 1])

    assert (tmp_path / "out").read_bytes() == data


def test_a_job_starts_its_file_anew(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"of an earlier job\n")

    with opened(path) as sink:
        sink.write([1])

    assert path.read_bytes() == b"1\n"


def test_append_keeps_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"0\n")

    with opened(path, append=True) as sink:
        sink.write([1])

    assert path.read_bytes() == b"0\n1\n"


def test_append_closes_a_line_that_somebody_left_open(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"0")

    with opened(path, append=True) as sink:
        sink.write([1])

    assert path.read_bytes() == b"0\n1\n"


@pytest.mark.parametrize("append", [False, True])
def test_an_instance_that_comes_back_cuts_the_torn_line_and_goes_on(tmp_path: Path, append: bool) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"0\n")
    with opened(path, append=append) as sink:
        sink.write([1, 2])
        sink.checkpoint(b"")
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"half": ')

    with opened(path, append=append, restarted=True) as sink:
        assert path.read_bytes() == whole
        sink.write([3])

    assert path.read_bytes() == whole + b"3\n"


def test_an_instance_that_comes_back_begins_where_the_last_checkpoint_stood(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with opened(path) as sink:
        assert sink.restore() == b""
        sink.write([1, 2])
        sink.checkpoint(b"one and two")
        sink.write([3])

    with opened(path, restarted=True) as sink:
        assert (sink.restore(), path.read_bytes()) == (b"one and two", b"1\n2\n")
        sink.write([4])
        sink.checkpoint(b"x" * 100_000)

    with opened(path, restarted=True) as sink:
        assert (sink.restore(), path.read_bytes()) == (b"x" * 100_000, b"1\n2\n4\n")


def test_an_instance_killed_before_it_began_its_file_begins_it_when_it_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"of an earlier job\n")

    with opened(path, restarted=True) as sink:
        sink.write([1])

    assert path.read_bytes() == b"1\n"


def test_a_file_that_another_program_cut_meanwhile_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with opened(path) as sink:
        sink.write([1, 2])
        sink.checkpoint(b"")
    path.write_bytes(b"1\n")

    with pytest.raises(ConnectorError, match="was cut or replaced by another program after 4 bytes"):
        FileSink({"path": str(path)}, tmp_path).open(restarted=True)


def test_a_file_that_another_program_put_in_its_place_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with opened(path) as sink:
        sink.write([1])
    (tmp_path / "other").write_bytes(b"precious data\n")
    (tmp_path / "other").rename(path)

    with pytest.raises(ConnectorError, match="replaced by another program"):
        FileSink({"path": str(path)}, tmp_path).open(restarted=True)

    assert path.read_bytes() == b"precious data\n"


def test_emptying_the_file_while_it_is_written_leaves_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with opened(path) as sink:
        sink.write([1, 2])
        path.write_bytes(b"")
        sink.write([3])
        sink.checkpoint(b"")

    with opened(path, restarted=True) as sink:
        sink.write([4])

    assert path.read_bytes() == b"3\n4\n"


def test_a_file_has_one_writer(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with opened(path) as sink:
        sink.write([1])
        (tmp_path / "other").mkdir()
        second = FileSink({"path": str(path)}, tmp_path / "other")

        with pytest.raises(ConnectorError, match="written by another node or job"):
            second.open(restarted=False)
        second.close()

    assert path.read_bytes() == b"1\n"


def test_a_device_in_the_place_of_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConnectorError, match="not a regular file"):
        FileSink({"path": "/dev/null"}, tmp_path).open(restarted=False)


def test_a_full_disk_leaves_whole_lines(tmp_path: Path) -> None:
    # A process of its own, because the limit on the size of files, our full disk, holds for all that it writes.
    script = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from streamer.connectors.file import FileSink\n"
        "from streamer.errors import ConnectorError\n"
        "sink = FileSink({'path': sys.argv[1]}, Path(sys.argv[1]).parent)\n"
        "sink.open(False)\n"
        "sink.write(['whole'])\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "try:\n"
        "    sink.write(['x' * 1000])\n"
        "except ConnectorError as error:\n"
        "    sys.exit(str(error))\n"
    )
    path = tmp_path / "out"

    found = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, timeout=60)

    assert found.stderr.startswith(f"sink file {path} cannot be written: ")
    assert path.read_bytes() == b'"whole"\n'


def test_a_kill_at_any_moment_tears_no_line_and_loses_no_record_that_was_written(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    chance = random.Random(3)
    checked_bytes = 0
    for life in range(20):
        command = [sys.executable, endless_sink.__file__, str(path), str(tmp_path), "restarted" if life else "first"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            told = writer.stdout.read(chance.randint(1, 4))
            with pytest.raises(subprocess.TimeoutExpired):
                writer.wait(timeout=chance.uniform(0.0, 0.01))
            writer.kill()
            told += writer.stdout.read()

        with opened(path, restarted=True), path.open("rb") as file:
            file.seek(checked_bytes)
            numbers = [json.loads(line)["n"] for line in file]
            checked_bytes = file.tell()

        batches = len(numbers) // endless_sink.BATCH
        assert numbers == list(range(endless_sink.BATCH)) * batches
        # The batch of which the writer was killed before it could tell may be there too, whole.
        assert batches in (len(told), len(told) + 1)
