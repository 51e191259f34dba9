"""Partitioned nodes in real processes: scaled under load, and under kills, with every key in its order."""

from __future__ import annotations

import json
import os
import signal
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import Desk
from tests.cli.detached import Detached, detached, is_one_message
from tests.conftest import Tell

KEYS = 40
NODES = (
    "  - {nodeName: numbers, kind: source, spec: {connector: generator, rate: 1000}}\n"
    "  - {nodeName: tag, algorithmName: tag, stateType: stateless}\n"
    "  - {nodeName: count, algorithmName: count, stateType: stateful, partitionBy: tag.key, maxReplicas: 4}\n"
    "  - {nodeName: save, kind: sink, spec: {connector: file, path: out.jsonl, format: jsonl}}\n"
)
FLOW = "{main: numbers >> tag >> count >> save}"
ALGORITHMS = "---\nname: tag\ncode: {path: tag.py}\n---\nname: count\ncode: {path: count.py}\n"
TAG = f"""
def start(args, api):
    n = args["streamInput"]["message"]["id"]
    return {{"n": n, "tag": {{"key": f"key-{{n % {KEYS}}}"}} if n % 1000 != 999 else None}}
"""
COUNT = """
import time

def start(args, api):
    def on_message(message, origin):
        api.sendMessage({"n": message["n"], "key": message["tag"]["key"], "at_ns": time.monotonic_ns()})

    api.registerInputListener(on_message)
    api.startMessageListening()
"""


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    desk.pipeline(NODES, FLOW, ALGORITHMS)
    desk.write("tag.py", TAG)
    desk.write("count.py", COUNT)
    yield desk
    for row in json.loads(desk.run("ps", "--json").stdout or "[]"):
        desk.run("stop", row["job"], "--now")


def handled(desk: Desk) -> list[dict[str, Any]]:
    """What the handlers of `count` have sent, in the order in which they were called."""
    rows = [json.loads(line) for line in (desk.folder / "out.jsonl").read_text().splitlines()]
    return sorted(rows, key=lambda row: int(row["at_ns"]))


def assert_each_key_is_in_order(rows: list[dict[str, Any]]) -> None:
    last: dict[str, int] = defaultdict(lambda: -1)
    seen = set()
    for row in rows:
        if row["n"] not in seen:
            assert row["n"] > last[row["key"]], f"{row} comes after {last[row['key']]}"
            last[row["key"]] = row["n"]
            seen.add(row["n"])


def assert_nothing_is_lost(account: dict[str, Any], rows: list[dict[str, Any]]) -> int:
    """All records but those without a key are there; gives how many there were."""
    for edge in account["edges"]:
        ends = edge["settled"] + edge["dead_lettered"] + sum(edge["dropped"].values()) + edge["abandoned"]
        assert edge["sent"] == ends, edge
    count: int = account["nodes"][0]["received"]
    assert {row["n"] for row in rows} == {n for n in range(count) if n % 1000 != 999}
    return count


def scaled(desk: Desk, replicas: int) -> None:
    done = desk.run("scale", "words", "count", replicas, "--json")
    assert done.code == 0, done.stderr
    assert json.loads(done.stdout)["replicas"] == replicas


def groups(job: Detached) -> dict[str, list[int]]:
    """The first and the last key group of each owner."""
    return {one["instance"]: one["keyGroups"] for one in job.status()["instances"] if one["keyGroups"]}


def test_keys_move_under_load_in_order_and_nothing_is_lost_or_comes_twice(desk: Desk, tell: Tell) -> None:
    job = detached(desk)
    assert groups(job) == {"count-0": [0, 255]}
    assert is_one_message(desk.run("scale", "words", "count", 5), "5 replicas", "maxReplicas")
    assert is_one_message(desk.run("scale", "words", "count", 0), "0 replicas", "minReplicas")

    for replicas in (3, 1, 2):
        scaled(desk, replicas)
    assert groups(job) == {"count-0": [0, 127], "count-1": [128, 255]}

    account = desk.run("stop", job.job, "--json").account
    rows = handled(desk)
    count = assert_nothing_is_lost(account, rows)
    pauses_ms = sorted((b["at_ns"] - a["at_ns"]) // 1_000_000 for a, b in pairwise(rows))
    tell(f"{count} messages through 1, 3, 1, 2 owners of {KEYS} keys; longest pauses {pauses_ms[:-4:-1]} ms")
    assert len(rows) == len({row["n"] for row in rows})
    assert_each_key_is_in_order(rows)
    assert account["edges"][1]["dead_lettered"] == count // 1000, "what has no key"


def test_keys_stay_in_order_when_processes_are_killed_while_they_move(desk: Desk, tell: Tell) -> None:
    job = detached(desk)

    def strike(instance: str, number: signal.Signals) -> None:
        if (pid := job.pids().get(instance)) is not None:
            os.kill(pid, number)

    for replicas, victim in ((3, "count-0"), (1, "count-2"), (4, "tag-0"), (2, "save-0")):
        with desk.started("scale", "words", "count", replicas) as scaling:
            strike(victim, signal.SIGKILL)
            assert scaling.finish().code == 0
        strike(f"count-{replicas - 1}", signal.SIGKILL)
    with desk.started("scale", "words", "count", 3) as scaling:
        job.kill_supervisor()
        assert scaling.finish().code == 0

    restarts = sum(node["restarts"] for node in job.status()["account"]["nodes"])
    account = desk.run("stop", job.job, "--json").account
    rows = handled(desk)
    count = assert_nothing_is_lost(account, rows)
    tell(f"{count} messages, {restarts} restarts and 5 moves: {len(rows) - len({r['n'] for r in rows})} came twice")
    assert restarts > 0
    assert_each_key_is_in_order(rows)
