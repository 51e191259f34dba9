"""What is kept of a measurement: a record that says where it comes from, and a table in its place on the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import page, record
from benchmarks.page import PageError
from benchmarks.record import RECORDED

_PAGE = "# Title\n\n<!-- begin a -->\nold\n<!-- end a -->\n\nText.\n\n<!-- begin b -->\n<!-- end b -->\n"


def test_a_table_replaces_the_one_before_it_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(_PAGE)

    page.put("a", "new \\1", path)

    assert path.read_text() == _PAGE.replace("old\n", "\nnew \\1\n\n")


def test_a_table_without_a_place_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(_PAGE)

    with pytest.raises(PageError, match=r"page\.md has no place for the table 'c'"):
        page.put("c", "new", path)


def test_a_table_has_names_to_the_left_and_figures_to_the_right() -> None:
    assert page.table(("node",), ("rate",), [("sink", 7)]) == "| node | rate |\n| --- | ---: |\n| sink | 7 |"


@pytest.mark.parametrize("name", RECORDED)
def test_every_benchmark_has_its_place_on_the_page_and_a_record_of_its_own(name: str) -> None:
    assert f"<!-- begin {name} -->" in page.page_of(name).read_text()
    assert len({record.home_of(other) for other in RECORDED}) == len(RECORDED)


def test_a_record_tells_where_its_figures_come_from(tmp_path: Path) -> None:
    made = record.document("scenario.throughput", ["--rounds", "7"], [{"case": "a", "ratio": 0.5}])
    record.write(made, tmp_path / "new" / "out.json")

    told = json.loads((tmp_path / "new" / "out.json").read_text())
    assert told["command"] == "python -m benchmarks.scenario.throughput --rounds 7"
    assert told["figures"] == [{"case": "a", "ratio": 0.5}]
    assert set(told) == {"benchmark", "command", "date", "commit", "machine", "versions", "figures"}
    assert told["command"] in page.provenance(told)
    assert told["commit"] in page.provenance(told)


@pytest.mark.parametrize("path", sorted(record.RESULTS.glob("*.json")), ids=lambda path: path.stem)
def test_a_record_of_the_repository_can_be_taken_again(path: Path) -> None:
    told = json.loads(path.read_text())

    assert told["benchmark"] in RECORDED
    assert record.home_of(told["benchmark"]) == path
    assert told["commit"] != "unknown"
    assert told["figures"]
