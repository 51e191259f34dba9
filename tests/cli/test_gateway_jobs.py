"""A gateway in a job of real processes: what was answered is in the sink, whatever is killed meanwhile."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.cli.clients import Clients
from tests.cli.command import Desk, Watched
from tests.conftest import Tell

DOOR = "  - {nodeName: door, kind: gateway}\n"
RELAY = "  - {nodeName: relay, algorithmName: relay, stateType: stateless, minStatelessCount: 2}\n"
SAVE = "  - {nodeName: save, kind: sink, spec: {connector: file, path: out.jsonl, format: jsonl}}\n"
ALGORITHM = "---\nname: relay\ncode: {path: relay.py}\n"
CODE = "def start(args):\n    return args['streamInput']['message']\n"

REQUESTS = 10_000
CLIENTS = 50
KILLS = {
    1_000: "door-0", 2_000: "relay-0", 3_000: "save-0", 4_000: "door-0", 5_000: "relay-1", 6_000: "save-0",
    7_000: "door-0", 8_000: "relay-0", 9_000: "door-0",
}  # fmt: skip
"""After so many answers this instance is killed."""


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    desk.pipeline(DOOR + RELAY + SAVE, "{main: door >> relay >> save}", ALGORITHM)
    desk.write("relay.py", CODE)
    return desk


def address(job: Watched) -> str:
    """The URL that the command prints when the gateway is there."""
    return job.until(lambda line: line.startswith("gateway door  http://127.0.0.1:")).split()[2]


def saved(desk: Desk) -> Counter[int]:
    return Counter(json.loads(line)["id"] for line in (desk.folder / "out.jsonl").read_text().splitlines())


def test_every_answered_request_is_in_the_sink_whatever_is_killed(desk: Desk, tell: Tell) -> None:
    with desk.started("run", "pipeline.yaml", "--json") as job:
        clients = Clients(address(job))
        clients.start(range(REQUESTS), CLIENTS)
        answered = []
        for count in range(1, REQUESTS + 1):
            answered.append(clients.answered.get(timeout=60))
            if count in KILLS:
                desk.kill(KILLS[count])
        job.interrupt()
        done = job.finish()

    found = saved(desk)
    lost = set(answered) - set(found)
    tell(
        f"{len(answered)} requests of {CLIENTS} clients answered 2xx, {len(KILLS)} kills: {len(lost)} lost, "
        f"{found.total() - len(found)} more than once in the sink, {len(clients.broken)} broken connections, "
        f"{len(clients.refused)} refused"
    )
    assert done.code == 0, done.stderr
    assert sorted(answered) == list(range(REQUESTS))
    assert not lost
    restarts = {node["node"]: node["restarts"] for node in done.account["nodes"]}
    assert restarts == Counter(instance.rpartition("-")[0] for instance in KILLS.values())
    for edge in done.account["edges"]:
        ends = edge["settled"] + edge["dead_lettered"] + edge["abandoned"] + edge["in_flight"]
        assert edge["sent"] == ends, edge


def test_a_drain_answers_what_was_accepted_and_ends_in_order(desk: Desk) -> None:
    with desk.started("run", "pipeline.yaml", "--json") as job:
        clients = Clients(address(job))
        clients.start(range(100_000), 10)
        answered = [clients.answered.get(timeout=60) for _ in range(500)]
        job.interrupt()
        done = job.finish()
        clients.over.set()

    while not clients.answered.empty():
        answered.append(clients.answered.get())
    assert (done.code, done.account["status"]) == (0, "stopped"), done.stderr
    assert set(clients.refused) <= {503}
    assert set(answered) <= set(saved(desk))
    assert len(answered) == done.account["edges"][0]["settled"]
    assert [edge["in_flight"] for edge in done.account["edges"]] == [0, 0]


def test_a_gateway_name_and_a_port_in_use_are_bad_input_and_change_nothing(desk: Desk) -> None:
    with desk.started("run", "pipeline.yaml", "--json") as job:
        port = address(job).split(":")[2].partition("/")[0]
        again = desk.run(
            "run", "pipeline.yaml", "--json", "--set", f"nodes.door.spec.port={port}", "--set", "nodes.save.spec.path=b"
        )
        named = desk.run("run", "pipeline.yaml", "--set", "nodes.door.spec.name=window", "--for", "0s")
        jobs = desk.jobs()
        job.interrupt()
        job.finish()

    assert (again.code, again.stdout) == (2, "")
    assert f"node door: the gateway name door is in use by job {jobs[0].name}" in again.stderr
    assert f"node door: port {port} of 127.0.0.1 cannot be taken" in again.stderr
    assert "gateway name" not in named.stderr
    assert len(jobs) == 1
