"""`flows show` and `flows set`: other ways for the messages of a job that goes on, whatever dies meanwhile."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streamer.cli.flows import change_flows
from streamer.errors import FlowsError
from streamer.limits import FLOW_VERSIONS_MAX
from tests.cli.command import Desk
from tests.cli.detached import Detached, detached, tell

CHANGES = 100
KILL_EVERY = 6
"""An instance is killed after so many changes, and the supervising process once, half way."""
PATIENCE_S = 30.0
NODES = (
    "  - {nodeName: numbers, kind: source, spec: {connector: generator, rate: %s, count: 10000000}}\n"
    "  - {nodeName: first, algorithmName: first, stateType: stateless, minStatelessCount: 2}\n"
    "  - {nodeName: second, algorithmName: second, stateType: stateless, minStatelessCount: 2}\n"
    "  - {nodeName: out, kind: sink, spec: {connector: file, path: out.jsonl, format: jsonl}}\n"
    "  - {nodeName: rest, kind: sink, spec: {connector: file, path: rest.jsonl, format: jsonl}}\n"
)
ALGORITHMS = "---\nname: first\ncode: {path: first.py}\n---\nname: second\ncode: {path: second.py}\n"
MARKS = (
    "def start(args, api):\n"
    "    message = args['streamInput']['message']\n"
    "    return {**message, 'way': message.get('way', '') + '%s'}\n"
)
"""Each node leaves its letter on a message, so that a message tells its way."""
FLOWS = {
    "numbers >> first >> second >> out": {("out", "fs")},
    "numbers >> second >> first >> out": {("out", "sf")},
    "numbers >> first & second >> out": {("out", "f"), ("out", "s")},
    "numbers >> first >> rest | numbers >> second >> out": {("rest", "f"), ("out", "s")},
    "numbers >> first >> second >> first >> out": {("out", "fsf")},
    "numbers >> out & rest": {("out", ""), ("rest", "")},
}
"""Flows, and what of each message comes into which sink. Together they have a cycle, and a sink is idle at times."""
FIRST = next(iter(FLOWS))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    for name in ("first", "second"):
        desk.write(f"{name}.py", MARKS % name[0])
    yield desk
    for row in json.loads(desk.run("ps", "--json").stdout or "[]"):
        desk.run("stop", row["job"], "--now")


def going_on(desk: Desk, *, rate: int) -> Detached:
    desk.pipeline(NODES % rate, f"{{main: {FIRST}}}", ALGORITHMS)
    return detached(desk)


def shown(job: Detached) -> dict[str, Any]:
    done = job.desk.run("flows", "show", job.job, "--json")
    assert done.code == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def ways(desk: Desk) -> tuple[dict[int, set[tuple[str, str]]], int]:
    """By message, the sinks and ways that are seen of it; and the number of lines."""
    found: dict[int, set[tuple[str, str]]] = {}
    lines = 0
    for sink in ("out", "rest"):
        path = desk.folder / f"{sink}.jsonl"
        for line in path.read_text().splitlines() if path.exists() else ():
            message = json.loads(line)
            found.setdefault(message["id"], set()).add((sink, message.get("way", "")))
            lines += 1
    return found, lines


def changed(job: Detached, text: str) -> int:
    """Set the flow; gives how often it was told that too many versions are alive."""
    deadline, refused = time.monotonic() + PATIENCE_S, 0
    while True:
        try:
            assert change_flows(job.job, [f"main={text}"], "", as_json=True) == 0
        except FlowsError as error:
            assert f"{FLOW_VERSIONS_MAX} versions" in str(error), error
            assert time.monotonic() < deadline, error
            refused += 1
        else:
            return refused


def test_flows_change_a_hundred_times_under_load_and_kills_and_no_message_is_lost_or_goes_two_ways(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STREAMER_HOME", str(desk.home))
    job = going_on(desk, rate=1_000)
    chance, began, kills, refused, flow = random.Random(4), time.monotonic(), 0, 0, FIRST
    for number in range(1, CHANGES + 1):
        flow = chance.choice([text for text in FLOWS if text != flow])
        refused += changed(job, flow)
        if number == CHANGES // 2:
            job.kill_supervisor()
        elif number % KILL_EVERY == 0:
            os.kill(chance.choice(list(job.pids().values())), signal.SIGKILL)
            kills += 1
    took_s = time.monotonic() - began
    assert shown(job)["version"] == CHANGES + 1
    capsys.readouterr()

    done = desk.run("stop", job.job, "--json")

    account = json.loads(done.stdout)
    seen, lines = ways(desk)
    read = next(node["received"] for node in account["nodes"] if node["node"] == "numbers")
    tell(
        capsys,
        f"{CHANGES} changes in {took_s:.1f} s, {kills} instances and 1 supervisor killed, {refused} refusals; "
        f"{read} messages, {lines} lines, {sum(edge['redelivered'] for edge in account['edges'])} redelivered, "
        f"{len({frozenset(way) for way in seen.values()})} of {len(FLOWS)} ways taken",
    )
    assert done.code == 0, done.stderr
    assert sum(node["restarts"] for node in account["nodes"]) == kills
    assert not (job.folder / "dead-letters.jsonl").exists()
    for edge in account["edges"]:
        assert (edge["in_flight"], edge["dead_lettered"], edge["dropped"]) == (0, 0, {}), edge
        assert edge["sent"] == edge["settled"] + edge["abandoned"], edge
    assert set(seen) == set(range(read)), "a message is lost"
    assert [way for way in seen.values() if way not in FLOWS.values()] == [], "a message took no version's way whole"
