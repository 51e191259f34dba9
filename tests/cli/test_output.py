"""The account as a table: headed by its JSON keys, aligned, and folded before a terminal would have to wrap it."""

from __future__ import annotations

import json
import sys
from io import BytesIO, TextIOWrapper
from typing import Any

import pytest

from streamer.cli.output import account_table, json_line, say_json

EDGE = {
    "source": "lines",
    "target": "parse",
    "sent": 200000,
    "settled": 199990,
    "dead_lettered": 3,
    "dropped": {},
    "abandoned": 7,
    "in_flight": 0,
    "redelivered": 12,
}
ACCOUNT: dict[str, Any] = {
    "job": "abcdefghijkl",
    "pipeline": "words",
    "status": "completed",
    "duration_s": 12.5,
    "edges": [EDGE, {**EDGE, "source": "parse", "target": "save", "dropped": {"reset": 2}}],
    "nodes": [{"node": "lines", "instances": 1, "restarts": 0, "received": 200000, "failed": 0}],
}


def test_the_account_is_headed_by_the_keys_of_its_json_form() -> None:
    words = [line.split() for line in account_table(ACCOUNT).splitlines()]

    assert words[0] == ["job", "pipeline", "status", "duration_s"]
    assert words[1] == ["abcdefghijkl", "words", "completed", "12.500"]
    assert words[3] == list(EDGE)
    assert words[4] == ["lines", "parse", "200000", "199990", "3", "0", "7", "0", "12"]
    assert words[5][5] == "reset=2"
    assert words[7] == ["node", "instances", "restarts", "received", "failed"]


def test_a_name_that_begins_with_a_digit_is_still_a_name() -> None:
    lines = account_table({**ACCOUNT, "job": "6lr28yctdwxb"}).splitlines()

    assert lines[0].startswith("job           pipeline")


def test_numbers_stand_below_each_other() -> None:
    lines = account_table(ACCOUNT).splitlines()

    assert lines[3].index("sent") + len("sent") == lines[4].index("200000") + len("200000")


def test_headings_fold_where_the_terminal_is_narrow() -> None:
    text = account_table(ACCOUNT, width=80)

    assert all(len(line) <= 80 for line in text.splitlines())
    assert "dead_ " in text


def test_a_pipeline_without_edges_has_no_table_of_edges() -> None:
    assert "source" not in account_table({**ACCOUNT, "edges": []})


def test_a_json_document_is_one_line_whatever_it_holds() -> None:
    document = {"text": "a\nb\u2028c\ud800"}

    text = json_line(document)

    assert text.splitlines() == [text]
    assert json.loads(text) == document


@pytest.mark.parametrize("encoding", ["ascii", "iso-8859-1", "utf-8"])
def test_json_stays_json_whatever_the_terminal_knows(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    value = "a\xe9\u05d0\U0001f600\\"
    written = BytesIO()
    monkeypatch.setattr(sys, "stdout", TextIOWrapper(written, encoding=encoding, errors="backslashreplace"))

    say_json(json.dumps(value, ensure_ascii=False))

    assert json.loads(written.getvalue().decode(encoding)) == value
    assert (b"\\u05d0" in written.getvalue()) == (encoding != "utf-8")
