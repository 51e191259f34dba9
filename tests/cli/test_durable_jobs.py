"""`durability: log` in jobs of real processes: what was accepted before a kill -9 arrives, to the message.

Out of a node with a log, sent - abandoned is the number of roots that it has accepted, over all its lives.
"""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import Any

import pytest

from tests.cli.clients import Clients
from tests.cli.command import Desk
from tests.cli.test_gateway_jobs import address
from tests.conftest import Tell

RELAY = "  - {nodeName: relay, algorithmName: relay, stateType: stateless}\n"
ALGORITHM = "---\nname: relay\ncode: {path: relay.py}\n"
CODE = "def start(args):\n    return args['streamInput']['message']\n"
SENDER = """
import os, time

def start(args, api):
    for number in range(3_000):
        api.sendMessage(f"{os.getpid()} {number}")
        time.sleep(0.0005)
"""
PATIENCE_S = 60.0


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    desk.write("relay.py", CODE)
    desk.write("sender.py", SENDER)
    return desk


def saved(desk: Desk) -> list[str]:
    path = desk.folder / "out.txt"
    return path.read_text().splitlines() if path.exists() else []


def until(done: Callable[[], bool]) -> None:
    deadline, never = monotonic() + PATIENCE_S, Event()
    while not done():
        assert monotonic() < deadline
        never.wait(0.01)


def until_more(desk: Desk, lines: int) -> None:
    before = len(saved(desk))
    until(lambda: len(saved(desk)) > before + lines)


def kill(desk: Desk, instance: str) -> None:
    """As soon as it is there again."""
    until(lambda: desk.process_of(instance) is not None)
    desk.kill(instance)


def accepted(account: dict[str, Any], node: str) -> int:
    """Roots of this node, which has one edge."""
    (edge,) = [edge for edge in account["edges"] if edge["source"] == node]
    ends = edge["settled"] + edge["dead_lettered"] + edge["abandoned"] + edge["in_flight"]
    assert edge["sent"] == ends and not edge["dead_lettered"] and not edge["in_flight"], edge
    return int(edge["sent"] - edge["abandoned"])


def test_a_gateway_that_is_killed_sends_what_it_had_accepted_though_nobody_waits_for_it(desk: Desk, tell: Tell) -> None:
    requests, every, kills = 2_000, 400, 4
    desk.pipeline(
        "  - {nodeName: door, kind: gateway, durability: log}\n"
        + RELAY
        + "  - {nodeName: save, kind: sink, spec: {connector: file, path: out.txt, format: jsonl}}\n",
        "{main: door >> relay >> save}",
        ALGORITHM,
    )
    with desk.started("run", "pipeline.yaml", "--json") as job:
        clients = Clients(address(job), query="?wait=false")
        clients.start(range(requests), 20)
        answered = []
        for number in range(1, requests + 1):
            answered.append(clients.answered.get(timeout=PATIENCE_S))
            if number % every == 0 and number < requests:
                kill(desk, "door-0")
        job.interrupt()
        done = job.finish()

    assert done.code == 0, done.stderr
    found = Counter(json.loads(line)["id"] for line in saved(desk))
    tell(f"{requests} requests answered 202, {kills} kills: {len(set(answered) - set(found))} lost")
    assert set(found) == set(answered) == set(range(requests))
    assert accepted(done.account, "door") == done.account["nodes"][0]["received"] >= requests
    assert done.account["nodes"][0]["restarts"] == kills


def test_a_pipe_whose_reader_is_killed_loses_no_line_that_was_accepted(desk: Desk, tell: Tell) -> None:
    kills, killed, lines = 5, Event(), count(1)
    desk.pipeline(
        "  - {nodeName: lines, kind: source, durability: log, spec: {connector: stdin}}\n"
        "  - {nodeName: save, kind: sink, spec: {connector: file, path: out.txt, format: text}}\n",
        "{main: lines >> save}",
    )
    with desk.started("run", "pipeline.yaml", "--json", stdin=subprocess.PIPE) as job:
        stdin = job.process.stdin
        assert stdin is not None

        def feed() -> None:
            while not killed.is_set():
                stdin.writelines(f"line {next(lines):08}\n" for _ in range(200))
                stdin.flush()
                killed.wait(0.005)
            stdin.close()

        Thread(target=feed, daemon=True).start()
        for _ in range(kills):
            until_more(desk, 2_000)
            kill(desk, "lines-0")
        killed.set()
        job.process.wait(timeout=PATIENCE_S)
        job.process.stdin = None
        done = job.finish()

    assert done.code == 0, done.stderr
    found, sent = saved(desk), next(lines) - 1
    received = accepted(done.account, "lines")
    tell(f"{sent} lines, {kills} kills: {received} accepted, {len(set(found))} in the sink, {len(found)} times")
    assert len(set(found)) == received == done.account["nodes"][0]["received"]
    assert done.account["nodes"][0]["restarts"] == kills
    assert received > sent - kills * 10_000, "what was read and not accepted is a few batches"


def test_a_stateful_node_that_is_killed_sends_what_it_had_sent_of_its_own_accord(desk: Desk, tell: Tell) -> None:
    kills = 4
    desk.pipeline(
        "  - {nodeName: sender, algorithmName: sender, stateType: stateful, durability: log}\n"
        "  - {nodeName: save, kind: sink, spec: {connector: file, path: out.txt, format: text}}\n",
        "{main: sender >> save}",
        "---\nname: sender\ncode: {path: sender.py}\n",
    )
    with desk.started("run", "pipeline.yaml", "--json") as job:
        for _ in range(kills):
            until_more(desk, 300)
            kill(desk, "sender-0")
        done = job.finish()

    assert done.code == 0, done.stderr
    found = saved(desk)
    sent = accepted(done.account, "sender")
    tell(f"{kills} kills: {sent} accepted, {len(set(found))} in the sink, {len(found)} times")
    assert len(set(found)) == sent
    assert Counter(line.split()[0] for line in set(found)).most_common(1)[0][1] == 3_000


def test_a_damaged_log_is_refused_with_file_and_byte_and_the_job_fails(desk: Desk) -> None:
    desk.pipeline(
        "  - {nodeName: door, kind: gateway, durability: log}\n"
        "  - {nodeName: wait, algorithmName: wait, stateType: stateless}\n",
        "{main: door >> wait}",
        "---\nname: wait\ncode: {path: wait.py}\n",
    )
    desk.write("wait.py", "import time\ndef start(args):\n    time.sleep(600)\n")
    with desk.started("run", "pipeline.yaml", "--json") as job:
        clients = Clients(address(job), query="?wait=false")
        clients.start(range(10), 1)
        for _ in range(10):
            clients.answered.get(timeout=PATIENCE_S)
        (home,) = desk.jobs()
        (segment,) = (home / "instances" / "door-0" / "entry").glob("*.log")
        with segment.open("r+b") as file:
            file.seek(100)
            file.write(b"\x00\xff\x00\xff")
        desk.kill("door-0")
        done = job.finish()

    assert done.code == 1
    assert f"{segment} is damaged at byte 24" in done.stderr
    assert "Bring the folder back from a copy" in done.stderr
    assert "Traceback" not in done.stderr
