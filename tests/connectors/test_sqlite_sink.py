"""A SQLite sink writes rows and the note of a checkpoint together, or neither, and begins at its last checkpoint."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from streamer import limits
from streamer.connectors.base import CheckpointedSink, RefusedRecordsError
from streamer.connectors.sqlite import SqliteSink, sqlite_problems
from streamer.errors import ConnectorError


def spec(folder: Path, *columns: str) -> dict[str, Any]:
    named = {"columns": list(columns)} if columns else {}
    return {"path": str(folder / "out.db"), "table": "results", **named}


def rows(folder: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / "out.db")) as db:
        return db.execute("SELECT * FROM results").fetchall()


@contextmanager
def killed(folder: Path, *columns: str, restarted: bool = False) -> Iterator[SqliteSink]:
    """A sink that is open, and of which nobody says goodbye."""
    sink = SqliteSink(spec(folder, *columns), folder)
    sink.open(restarted)
    yield sink
    del sink


def test_messages_fill_the_columns_that_are_named(tmp_path: Path) -> None:
    with killed(tmp_path, "id", "tags", "at") as sink:
        sink.write([{"id": 1, "tags": ["a"], "more": 2}, {"id": b"x", "at": datetime(2026, 1, 1, tzinfo=UTC)}, "odd"])
        sink.checkpoint(b"")
    assert rows(tmp_path) == [
        (1, '["a"]', None),
        (b"x", None, '{"$timestamp":"1767225600.000000000"}'),
        ('"odd"', None, None),
    ]


def test_without_columns_a_row_is_the_json_form_of_its_message(tmp_path: Path) -> None:
    with killed(tmp_path) as sink:
        sink.write([{"n": 1}, [2]])
        sink.checkpoint(b"")
    assert rows(tmp_path) == [('{"n":1}',), ("[2]",)]


def test_a_sink_that_comes_back_begins_at_its_last_checkpoint(tmp_path: Path) -> None:
    with killed(tmp_path) as sink:
        assert isinstance(sink, CheckpointedSink)
        assert sink.restore() == b""
        sink.write([1, 2])
        sink.checkpoint(b"one and two")
        sink.write([3])

    with killed(tmp_path, restarted=True) as sink:
        assert sink.restore() == b"one and two"
        assert rows(tmp_path) == [("1",), ("2",)]


def test_another_job_appends_and_knows_nothing_of_the_one_before(tmp_path: Path) -> None:
    with killed(tmp_path) as sink:
        sink.write([1])
        sink.checkpoint(b"of the first job")

    with killed(tmp_path) as sink:
        assert sink.restore() == b""
        sink.write([2])
        sink.checkpoint(b"of the second")
        sink.close()
    assert rows(tmp_path) == [("1",), ("2",)]


def test_a_transaction_that_fails_has_written_nothing_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SQLITE_SINK_BUSY_S", 0.05)
    with killed(tmp_path) as sink:
        sink.checkpoint(b"before")
        with closing(sqlite3.connect(tmp_path / "out.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            sink.write([1])
            with pytest.raises(
                ConnectorError, match=r"table results of .*out.db cannot be written: database is locked"
            ):
                sink.checkpoint(b"after")
            assert sink.restore() == b"before"
            other.execute("ROLLBACK")
        sink.checkpoint(b"after")
        assert sink.restore() == b"after"
    assert rows(tmp_path) == [("1",)]


@pytest.mark.parametrize(
    "table",
    [
        pytest.param("(id INTEGER PRIMARY KEY)", id="by itself"),
        pytest.param("(id INTEGER PRIMARY KEY ON CONFLICT ROLLBACK)", id="with all before it"),
    ],
)
def test_rows_that_the_table_refuses_are_told_and_the_others_are_written(tmp_path: Path, table: str) -> None:
    with closing(sqlite3.connect(tmp_path / "out.db")) as db:
        db.execute(f"CREATE TABLE results {table}")
    with killed(tmp_path, "id") as sink:
        sink.write([{"id": 1}, {"id": 1}, {"id": 2}])
        sink.write([{"id": 1 << 64}, {"id": "no number"}, {"id": 3}])
        refused: dict[int, str] = {}
        while True:
            try:
                sink.checkpoint(b"note")
                break
            except RefusedRecordsError as error:
                refused.update({number: str(reason) for number, reason in error.reasons.items()})
        assert sink.restore() == b"note"
    assert rows(tmp_path) == [(1,), (2,), (3,)]
    assert {"UNIQUE constraint failed: results.id", "datatype mismatch"} <= set(refused.values())
    assert any("too large" in reason for reason in refused.values())


def test_names_are_quoted(tmp_path: Path) -> None:
    sink = SqliteSink({"path": str(tmp_path / "out.db"), "table": 'my "own"', "columns": ["a b", "select"]}, tmp_path)
    sink.open(restarted=False)
    sink.write([{"a b": 1, "select": 2}])
    sink.checkpoint(b"")
    with closing(sqlite3.connect(tmp_path / "out.db")) as db:
        assert db.execute('SELECT "a b", "select" FROM "my ""own"""').fetchall() == [(1, 2)]


# -- bad input ----------------------------------------------------------------------------------------------------


def test_a_table_without_the_columns_is_refused_before_the_job(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "out.db")) as db:
        db.execute("CREATE TABLE results (id, name)")
    assert sqlite_problems(spec(tmp_path, "id", "Name")) == []
    (problem,) = sqlite_problems(spec(tmp_path, "id", "size"))
    assert "has no column size" in problem
    with pytest.raises(ConnectorError, match="has no column size"), killed(tmp_path, "id", "size"):
        pass


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out.db").write_bytes(b"precious text" * 100)
    (problem,) = sqlite_problems(spec(tmp_path))
    assert "cannot be read: file is not a database" in problem
    with pytest.raises(ConnectorError, match="cannot be written: file is not a database"), killed(tmp_path):
        pass


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    (problem,) = sqlite_problems(spec(tmp_path / "none"))
    assert problem.endswith(f"Make it: mkdir -p {tmp_path / 'none'}.")
    assert sqlite_problems(spec(tmp_path)) == []
