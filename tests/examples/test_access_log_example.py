"""Example 03 does what its README says: a log is followed over rotations, and its requests are split."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from streamer.testing import fail, kill, run
from tests.cli.command import Desk, Watched
from tests.examples.example import EXAMPLES, Outbox, load_algorithm

EXAMPLE = "03-access-log"
LINE = '10.7.0.23 - - [24/Feb/2026:10:00:01 +0000] "GET /shop/hats?size=L HTTP/1.1" 200 512 "-" "curl/8.5.0"'
REQUEST = {
    "time": "2026-02-24T10:00:01+00:00",
    "address": "10.7.0.23",
    "method": "GET",
    "path": "/shop/hats?size=L",
    "status": 200,
    "size": 512,
    "agent": "curl/8.5.0",
}


def parsed(line: str) -> object:
    return load_algorithm(EXAMPLE, "parse").start({"streamInput": {"message": line}})


@pytest.fixture
def enrich() -> ModuleType:
    loaded = load_algorithm(EXAMPLE, "enrich")
    loaded.init({})
    return loaded


def test_a_line_is_taken_apart() -> None:
    assert parsed(LINE) == REQUEST


def test_an_answer_without_a_body_has_no_size() -> None:
    assert parsed(LINE.replace(" 512 ", " - ")) == REQUEST | {"size": 0}


def test_an_empty_line_is_nothing() -> None:
    assert parsed("") is None


@pytest.mark.parametrize("line", [LINE[:40], "hello", LINE.replace("200", "OK")])
def test_what_is_no_line_of_an_access_log_is_an_error(line: str) -> None:
    with pytest.raises(ValueError, match="combined format"):
        parsed(line)


@pytest.mark.parametrize(
    ("address", "place"),
    [
        pytest.param("10.1.2.3", "office", id="a known network"),
        pytest.param("10.7.0.23", "warehouse", id="the smaller of two networks"),
        pytest.param("2001:db8::1", "partner", id="IPv6"),
        pytest.param("198.51.100.6", "elsewhere", id="no known network"),
    ],
)
def test_a_request_comes_from_a_place(enrich: ModuleType, address: str, place: str) -> None:
    assert enrich.place(address) == place


@pytest.mark.parametrize(
    ("agent", "visitor"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64)", "browser"),
        ("Mozilla/5.0 (compatible; ExampleBot/2.1)", "bot"),
        ("curl/8.5.0", "program"),
    ],
)
def test_a_visitor_is_known_by_its_agent(enrich: ModuleType, agent: str, visitor: str) -> None:
    assert enrich.visitor(agent) == visitor


@pytest.mark.parametrize(("status", "failed"), [(200, False), (499, False), (500, True), (503, True)])
def test_what_the_server_could_not_answer_takes_the_flow_of_failures(
    enrich: ModuleType, status: int, failed: bool
) -> None:
    api = Outbox()

    returned = enrich.start({"input": [500], "streamInput": {"message": REQUEST | {"status": status}}}, api)

    enriched = REQUEST | {"status": status, "section": "shop", "place": "warehouse", "visitor": "program"}
    assert returned == (None if failed else enriched)
    assert api.sent == ([(enriched, "failed")] if failed else [])


def test_lines_are_split_and_what_is_none_is_a_dead_letter() -> None:
    lines = [LINE, "hello", LINE.replace(" 200 ", " 503 "), "", LINE.replace(" 200 ", " 404 ")]

    played = run(EXAMPLES / EXAMPLE, {"log": lines})

    assert {name: sorted(one["status"] for one in ones) for name, ones in played.items()} == {
        "visits": [200, 404],
        "failures": [503],
    }
    assert [(letter.node, letter.message) for letter in played.dead_letters] == [("parse", "hello")]


def test_what_is_not_found_may_count_as_failed() -> None:
    played = run(EXAMPLES / EXAMPLE, {"log": [LINE.replace(" 200 ", " 404 ")]}, inputs=["failedFrom=400"])

    assert [len(played["visits"]), len(played["failures"])] == [0, 1]


def test_no_line_is_lost_whichever_instance_is_killed() -> None:
    lines = [LINE.replace(" 512 ", f" {n} ") for n in range(200)]
    failures = [
        kill("log"),
        kill("parse", after=20),
        kill("enrich", 2, after=50),
        kill("visits"),
        fail("enrich", after=90),
    ]

    played = run(EXAMPLES / EXAMPLE, {"log": lines}, failures=failures)

    given_up: list[Any] = [letter.message for letter in played.dead_letters]
    assert {request["size"] for request in [*played["visits"], *given_up]} == set(range(200))


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def wait_for(job: Watched, folder: Path, count: int) -> None:
    """Until so many requests are in the files of the two sinks."""
    deadline = time.monotonic() + 60
    while sum(len(lines_of(folder / f"{name}.jsonl")) for name in ("visits", "failures")) < count:
        assert time.monotonic() < deadline
        with suppress(subprocess.TimeoutExpired):
            job.process.wait(timeout=0.05)
            raise AssertionError("the job has ended")


def test_every_line_of_a_log_that_is_written_and_rotated_meanwhile_is_split(tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns("*.jsonl", "access.log*", "__pycache__")
    folder = Path(shutil.copytree(EXAMPLES / EXAMPLE, tmp_path / "example", ignore=ignored))
    count, broken = 800, 8
    server = [sys.executable, "visits.py", "--rate", "300", "--rotate", "150", "--count", str(count)]
    (folder / "access.log").write_text(LINE + "\n")

    with Desk(folder).started("run", ".", "--json") as job:
        wait_for(job, folder, 1)
        subprocess.run(server, cwd=folder, check=True, timeout=60)
        wait_for(job, folder, 1 + count - broken)
        job.interrupt()
        done = job.finish()

    visits, failures = lines_of(folder / "visits.jsonl"), lines_of(folder / "failures.jsonl")
    assert done.code == 0, done.stderr
    assert len(list(folder.glob("access.log.*"))) == 5
    assert len(visits) + len(failures) == 1 + count - broken
    assert {visit["status"] for visit in visits} == {200, 304, 404}
    assert {failure["status"] for failure in failures} == {500, 503}
    assert {visit["place"] for visit in visits} == {"office", "warehouse", "partner", "elsewhere"}
    edges = {(edge["source"], edge["target"]): edge for edge in done.account["edges"]}
    assert {name: edge["sent"] for name, edge in edges.items()} == {
        ("log", "parse"): 1 + count,
        ("parse", "enrich"): 1 + count - broken,
        ("enrich", "visits"): len(visits),
        ("enrich", "failures"): len(failures),
    }
    assert edges["log", "parse"]["dead_lettered"] == broken
    assert all(edge["sent"] == edge["settled"] + edge["dead_lettered"] for edge in edges.values())
