"""The registry: connectors by name, and what can be known to be wrong before a job starts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from streamer.connectors.base import START, Owner, SharedSource
from streamer.connectors.file import FileSink, FileSource
from streamer.connectors.follow import FollowedSource
from streamer.connectors.registry import clashes, open_sink, open_source, problems
from streamer.errors import ConnectorError
from streamer.plan.assignment import Connector, Role


def owner(state: Path) -> Owner:
    return Owner("job", "node", "node-0", 1, state)


def file(path: Path) -> Connector:
    return Connector("file", {"path": str(path)})


def test_a_source_is_opened_by_name(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"a\n")
    for connector in (file(tmp_path / "in"), Connector("generator", {"count": 1})):
        source = open_source(connector, owner(tmp_path))
        assert not isinstance(source, SharedSource)
        source.open(START)
        records = source.read(512, 0.0)
        source.close()

        assert records is not None
        assert len(records.values) == 1
    assert open_source(Connector("stdin", {}), owner(tmp_path)).fileno() == 0


def test_a_sink_is_opened_by_name(tmp_path: Path) -> None:
    for connector in (file(tmp_path / "out"), Connector("blackhole", {})):
        sink = open_sink(connector, owner(tmp_path))
        sink.open(restarted=False)
        sink.write([1])
        sink.close()

    assert (tmp_path / "out").read_bytes() == b"1\n"


def test_an_unknown_connector_is_refused_with_the_names_that_exist(tmp_path: Path) -> None:
    with pytest.raises(ConnectorError, match="no source connector 'flie'") as refused:
        open_source(Connector("flie", {}), owner(tmp_path))
    assert refused.value.advice.startswith("Did you mean file? Known are: file, stdin, generator")
    with pytest.raises(ConnectorError, match="no sink connector 'generator'") as refused:
        open_sink(Connector("generator", {}), owner(tmp_path))
    assert refused.value.advice.startswith("Known are: file, sqlite, stdout, blackhole")
    assert problems(Connector("stdout", {}), Role.SOURCE)[0].startswith("there is no source connector 'stdout'")


def test_a_file_is_followed_if_its_spec_says_so(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"a\n")
    spec = {"path": str(tmp_path / "in"), "format": "text"}

    assert isinstance(open_source(Connector("file", {**spec, "follow": False}), owner(tmp_path)), FileSource)
    assert isinstance(open_source(Connector("file", {**spec, "follow": True}), owner(tmp_path)), FollowedSource)


def test_a_file_that_can_be_read_or_written_has_no_problem(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"")

    assert problems(file(tmp_path / "in"), Role.SOURCE) == []
    assert problems(file(tmp_path / "in"), Role.SINK) == []
    assert problems(file(tmp_path / "new"), Role.SINK) == []
    assert problems(Connector("generator", {}), Role.SOURCE) == problems(Connector("blackhole", {}), Role.SINK) == []
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize(
    ("role", "path", "message"),
    [
        pytest.param(Role.SOURCE, "none", "does not exist. Correct spec.path, or create the file.", id="no-source"),
        pytest.param(Role.SOURCE, "folder", "is a folder. Name one file", id="source-is-a-folder"),
        pytest.param(Role.SOURCE, "pipe", "is not a regular file. Use connector: stdin", id="source-is-a-pipe"),
        pytest.param(Role.SOURCE, "file/in", "Not a directory. Correct spec.path", id="source-below-a-file"),
        pytest.param(Role.SINK, "none/out", "its folder does not exist. Make it: mkdir -p ", id="no-folder"),
        pytest.param(Role.SINK, "folder", "is a folder. Name a file", id="sink-is-a-folder"),
        pytest.param(Role.SINK, "pipe", "is not a regular file. Use connector: stdout", id="sink-is-a-pipe"),
        pytest.param(Role.SINK, "file/out", "Not a directory. Correct spec.path", id="sink-below-a-file"),
    ],
)
def test_a_file_that_cannot_be_used_is_a_problem_with_its_remedy(
    tmp_path: Path, role: Role, path: str, message: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"")
    os.mkfifo(tmp_path / "pipe")

    (problem,) = problems(file(tmp_path / path), role)

    assert str(tmp_path / path) in problem
    assert message in problem


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_permissions_are_looked_at(tmp_path: Path) -> None:
    (tmp_path / "file").touch(0o000)
    (tmp_path / "folder").mkdir(0o500)

    assert "permission denied" in problems(file(tmp_path / "file"), Role.SOURCE)[0]
    assert "permission denied" in problems(file(tmp_path / "file"), Role.SINK)[0]
    assert "cannot be written" in problems(file(tmp_path / "folder" / "out"), Role.SINK)[0]


def test_a_file_that_another_job_is_writing_is_a_problem(tmp_path: Path) -> None:
    sink = FileSink({"path": str(tmp_path / "out")}, tmp_path)
    sink.open(restarted=False)
    sink.write([1])

    (problem,) = problems(file(tmp_path / "out"), Role.SINK)

    assert "written by another node or job" in problem
    sink.close()
    assert problems(file(tmp_path / "out"), Role.SINK) == []
    assert (tmp_path / "out").read_bytes() == b"1\n"


def test_a_pipeline_that_writes_the_file_it_reads_is_refused(tmp_path: Path) -> None:
    (tmp_path / "same").symlink_to(tmp_path / "in")
    nodes = {"lines": (Role.SOURCE, file(tmp_path / "in")), "save": (Role.SINK, file(tmp_path / "same"))}

    (problem,) = clashes(nodes)

    assert problem.startswith(f"nodes lines and save share the file {tmp_path / 'in'}.")


def test_nodes_may_read_one_file_and_write_files_of_their_own(tmp_path: Path) -> None:
    nodes = {
        "a": (Role.SOURCE, file(tmp_path / "in")),
        "b": (Role.SOURCE, file(tmp_path / "in")),
        "c": (Role.SINK, file(tmp_path / "out")),
        "d": (Role.SINK, Connector("stdout", {})),
    }

    assert clashes(nodes) == []
