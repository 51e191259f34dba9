"""The code of a job travels through the control log: by its content, whole or not at all, and no more than can."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from streamer.cluster_limits import CODE_BYTES_MAX, CODE_FILES_MAX
from streamer.control.cluster.code import Arrived, code_entries
from streamer.control.kept_code import ReadCode, digest_of, read_code
from streamer.errors import CodeError, StateError
from streamer.log.base import newest
from streamer.log.memory import MemoryLog, MemoryStore
from streamer.log.topics import Topic
from streamer.plan.assignment import Code, KeptFile
from tests.control.plans import LINE

_CONTENTS = {"work.py": b"import names\n", "names.py": "NAME = 'größe'\n".encode("latin-1")}


class _Way:
    """From a command to a machine, over a log in memory."""

    def __init__(self) -> None:
        self.log = MemoryLog(MemoryStore())
        self.arrived = Arrived()
        self._machine = self.log.follow([Topic.CODE])

    def send(self, job: str, code: ReadCode) -> None:
        self.log.append_all(code_entries(job, code))
        self.arrive()

    def arrive(self) -> None:
        for record in self._machine.poll(0.0):
            self.arrived.take(record)


@pytest.fixture
def way() -> _Way:
    return _Way()


@pytest.fixture
def read(tmp_path: Path) -> ReadCode:
    return _read(tmp_path, _CONTENTS)


def _read(folder: Path, contents: dict[str, bytes]) -> ReadCode:
    """The code of an algorithm of these files, of which two nodes make use."""
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    paths = [str(folder / name) for name in contents]
    code = Code("work", paths[0], tuple(map(KeptFile, paths)))
    nodes = {name: dataclasses.replace(node, code=code) for name, node in LINE.nodes.items() if name != "lines"}
    return read_code(dataclasses.replace(LINE, nodes={**LINE.nodes, **nodes}))


def _code(read: ReadCode) -> Code:
    return read.codes["parse"]


def test_what_was_read_comes_to_a_machine_byte_by_byte(way: _Way, read: ReadCode, tmp_path: Path) -> None:
    way.send("job", read)
    kept = tmp_path / "kept"

    assert way.arrived.put("job", _code(read), kept) == ()

    assert {file.name: file.read_bytes() for file in kept.iterdir()} == {
        digest_of(content): content for content in _CONTENTS.values()
    }


def test_each_file_is_one_record_however_many_nodes_have_it_and_however_often_it_is_sent(
    way: _Way, read: ReadCode
) -> None:
    way.send("job", read)
    way.send("job", read)
    assert len(newest(way.log, Topic.CODE, scope="job")) == len(_CONTENTS)


def test_what_has_not_come_is_named_by_its_path_and_what_has_come_is_there(
    way: _Way, read: ReadCode, tmp_path: Path
) -> None:
    first, second = code_entries("job", read)
    way.log.append_all([second])
    way.arrive()
    kept = tmp_path / "kept"

    assert way.arrived.put("job", _code(read), kept) == (str(tmp_path / "work.py"),)
    assert way.arrived.put("other", _code(read), tmp_path / "other") == tuple(f.path for f in _code(read).files)
    assert len(list(kept.iterdir())) == 1

    way.log.append_all([first])
    way.arrive()
    assert way.arrived.put("job", _code(read), kept) == ()


def test_bytes_that_are_not_those_of_their_digest_are_left_out(way: _Way, read: ReadCode, tmp_path: Path) -> None:
    forged, _ = code_entries("job", read)
    way.log.append_all([dataclasses.replace(forged, value=b"import os\n")])

    with pytest.raises(StateError, match="is not the code that it is said to be"):
        way.arrive()

    assert str(tmp_path / "work.py") in way.arrived.put("job", _code(read), tmp_path / "kept")


def test_a_file_that_a_loss_of_power_has_torn_is_written_again(way: _Way, read: ReadCode, tmp_path: Path) -> None:
    way.send("job", read)
    kept = tmp_path / "kept"
    way.arrived.put("job", _code(read), kept)
    torn = kept / digest_of(_CONTENTS["work.py"])
    torn.write_bytes(b"")

    assert way.arrived.put("job", _code(read), kept) == ()
    assert torn.read_bytes() == _CONTENTS["work.py"]


def test_what_is_on_the_disk_already_need_not_come(read: ReadCode, way: _Way, tmp_path: Path) -> None:
    way.send("job", read)
    way.arrived.put("job", _code(read), tmp_path / "kept")
    assert Arrived().put("job", _code(read), tmp_path / "kept") == ()


def test_code_without_digests_is_read_from_where_it_lies(tmp_path: Path) -> None:
    code = Code("work", "/work.py", (KeptFile("/work.py"),))
    assert Arrived().put("job", code, tmp_path / "kept") == ()
    assert not (tmp_path / "kept").exists()


def test_the_code_of_a_job_that_is_over_is_deleted_and_no_other(way: _Way, read: ReadCode) -> None:
    way.send("job", read)
    way.send("other", read)

    way.log.append_all(way.arrived.removal("job"))
    way.arrive()

    assert {record.scope for record in newest(way.log, Topic.CODE).values()} == {"other"}
    assert way.arrived.removal("job") == []
    assert len(way.arrived.removal("other")) == len(_CONTENTS)


@pytest.mark.parametrize(
    ("contents", "told"),
    [
        pytest.param({"work.py": b"", "table.py": b"#" * CODE_BYTES_MAX + b"\n"}, "table.py", id="too large"),
        pytest.param({f"{n}.py": b"%d" % n for n in range(CODE_FILES_MAX + 1)}, f"{CODE_FILES_MAX + 1}", id="too many"),
    ],
)
def test_more_than_can_travel_is_refused_with_the_limit_and_the_largest_file(
    contents: dict[str, bytes], told: str, tmp_path: Path
) -> None:
    with pytest.raises(CodeError, match=told) as refused:
        code_entries("job", _read(tmp_path, contents))
    assert "at most 2000 files, of 8 MiB in all" in str(refused.value)


def test_as_much_as_can_travel_does(way: _Way, tmp_path: Path) -> None:
    read = _read(tmp_path, {"work.py": b"#" * CODE_BYTES_MAX})
    way.send("job", read)
    assert way.arrived.put("job", _code(read), tmp_path / "kept") == ()
