"""`streamer update` on real processes: code, replicas and flows change under load; no message is lost or doubled."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import Desk
from tests.cli.detached import Detached, detached, is_one_message
from tests.conftest import Tell

RATE = 400
NODES = (
    "  - {nodeName: numbers, kind: source, spec: {connector: generator, rate: %d, count: 10000000}}\n"
    "  - {nodeName: mark, algorithmName: mark, stateType: stateless, minStatelessCount: %d}\n"
    "  - {nodeName: count, algorithmName: count, stateType: stateful}\n"
    "  - {nodeName: save, kind: sink, spec: {connector: file, path: out.jsonl, format: jsonl}}\n"
)
SIDE = "  - {nodeName: side, kind: sink, spec: {connector: file, path: side.jsonl, format: jsonl}}\n"
ALGORITHMS = "---\nname: mark\ncode: {path: mark.py}\n---\nname: count\ncode: {path: count.py}\n"
MARK = """
import version

def start(args, api):
    return {**args["streamInput"]["message"], "mark": version.VERSION}
"""
COUNT = """
VERSION = %d

def start(args, api):
    total = api.state.counter("total")

    def on_message(message, origin):
        counted = {**message, "total": total.add("all"), "count": VERSION}
        api.sendMessage(counted%s)

    api.registerInputListener(on_message)
    api.startMessageListening()
"""
CRASHES = """
import os, sys

def start(args, api):
    message = args["streamInput"]["message"]
    if message["id"] % 50 == 7:
        sys.stderr.write("the table of users is gone\\n")
        sys.stderr.flush()
        os._exit(9)
    return {**message, "mark": 99}
"""
MAIN = "numbers >> mark >> count >> save"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """With a pipeline that marks messages with its version, counts them in its state, and writes them exactly once."""
    desk = Desk(tmp_path)
    described(desk, f"{{main: {MAIN}}}")
    desk.write("mark.py", MARK)
    coded(desk, 1)
    yield desk
    for row in json.loads(desk.run("ps", "--json").stdout or "[]"):
        desk.run("stop", row["job"], "--now")


def described(desk: Desk, flows: str, *, rate: int = RATE, marks: int = 2, more: str = "") -> None:
    desk.pipeline(NODES % (rate, marks) + more, flows, ALGORITHMS)
    if "," in flows:
        path = desk.folder / "pipeline.yaml"
        path.write_text(path.read_text().replace("streaming: {", "streaming: {defaultFlow: main, "))


def coded(desk: Desk, version: int, flow: str = "") -> None:
    """The marking algorithm takes its version from a file beside it."""
    desk.write("version.py", f"VERSION = {version}\n")
    desk.write("count.py", COUNT % (version, flow))


def rows(desk: Desk, name: str = "out") -> list[dict[str, Any]]:
    path = desk.folder / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def versions(desk: Desk) -> Counter[tuple[int, int]]:
    return Counter((row["mark"], row["count"]) for row in rows(desk))


def is_exact(desk: Desk, job: Detached, tell: Tell) -> bool:
    """Stop the job; every number that was read is written once, and counted once, in whichever version."""
    done = desk.run("stop", job.job, "--json")
    assert done.code == 0, done.stderr
    found = [*rows(desk), *rows(desk, "side")]
    numbers = done.account["edges"][0]
    read = numbers["sent"] - numbers["abandoned"]
    redelivered = sum(edge["redelivered"] for edge in done.account["edges"])
    tell(f"{read} read, {len(found)} written, {redelivered} redelivered, by versions {dict(versions(desk))}")
    assert all(edge["dead_lettered"] == edge["in_flight"] == 0 for edge in done.account["edges"])
    ids, totals = (sorted(row[key] for row in found) for key in ("id", "total"))
    return ids == list(range(read)) and totals == list(range(1, read + 1))


def killed(job: Detached, *instances: str) -> None:
    pids = job.pids()
    for instance in instances:
        if instance in pids:  # else it is being started again just now
            os.kill(pids[instance], signal.SIGKILL)


def test_code_changes_under_load_and_kills_of_instances_and_of_the_supervisor_and_every_message_counts_once(
    desk: Desk, tell: Tell
) -> None:
    job = detached(desk)
    before = job.pids()
    coded(desk, 2)
    with desk.started("update", job.job, "pipeline.yaml", "--json") as update:
        update.until(lambda line: "1 of 3" in line)
        killed(job, "count-0", "numbers-0")
        update.until(lambda line: "2 of 3" in line)
        killed(job, "mark-1", "save-0")
        job.kill_supervisor()
        done = update.finish()

    assert done.code == 0, done.stderr
    assert json.loads(done.stdout) == {"job": job.job, "result": "updated", "generation": 2, "error": ""}
    after = job.pids()
    assert all(before[one] != after[one] for one in ("mark-0", "mark-1", "count-0"))
    wanted = versions(desk)[2, 2]
    job.until(lambda: versions(desk)[2, 2] > wanted)
    assert versions(desk)[1, 1] > 0
    assert job.ps()["update"] == "done, generation 2"
    assert is_exact(desk, job, tell)


def test_replicas_and_flows_come_with_the_code_that_names_them(desk: Desk, tell: Tell) -> None:
    described(desk, f"{{main: {MAIN}}}", marks=1, more=SIDE)
    job = detached(desk)
    before = job.pids()
    described(desk, f"{{main: {MAIN}, new: count >> side}}", marks=2, more=SIDE)
    coded(desk, 2, ', "new"')
    done = desk.run("update", job.job, "pipeline.yaml")

    assert done.code == 0, done.stderr
    assert "adding flows" in done.stderr
    job.until(lambda: "mark-1" in job.pids() and bool(rows(desk, "side")))
    assert before["side-0"] == job.pids()["side-0"], "who has nothing new is left alone"
    assert is_exact(desk, job, tell)


def test_a_version_that_crashes_is_rolled_back_by_itself_and_says_why(desk: Desk, tell: Tell) -> None:
    job = detached(desk)
    desk.write("mark.py", CRASHES)
    done = desk.run("update", job.job, "pipeline.yaml", "--json")

    assert done.code == 1, done.stderr
    document = json.loads(done.stdout)
    assert (document["result"], document["generation"]) == ("rolled back", 1)
    assert "died with exit code 9" in document["error"]
    assert "the table of users is gone" in document["error"]
    status = job.status()
    assert document["error"] in status["update"]
    assert "rolled back" in job.ps()["update"]
    assert status["status"] == "running"
    assert [line["generation"] for line in status["instances"]] == [1] * 5

    before = job.pids()
    killed(job, "mark-0", "mark-1")  # an edit reaches nobody without an update, and so no life that is started again
    job.until(lambda: all(job.pids().get(name, before[name]) != before[name] for name in ("mark-0", "mark-1")))
    coming = versions(desk)[1, 1]
    job.until(lambda: versions(desk)[1, 1] > coming + RATE)
    assert is_exact(desk, job, tell)


def test_what_cannot_change_is_refused_all_at_once_and_so_is_code_that_does_not_import(desk: Desk) -> None:
    described(desk, f"{{main: {MAIN}}}", marks=1)
    job = detached(desk)
    before = job.status()
    described(desk, "{main: numbers >> mark >> save}", rate=7, marks=1)
    path = desk.folder / "pipeline.yaml"
    path.write_text(path.read_text().replace("stateful}", "stateful, durability: log}"))
    done = desk.run("update", job.job, "pipeline.yaml")
    assert is_one_message(done, "node numbers: spec.rate is 7, and was 400", "node count: durability is log")

    described(desk, f"{{main: {MAIN}}}", marks=1)
    desk.write("mark.py", "import nothing_like_this\n\ndef start(args):\n    return args\n")
    done = desk.run("update", job.job, "pipeline.yaml")
    assert (done.code, done.stdout) == (2, "")
    assert "node mark: algorithm mark" in done.stderr

    desk.write("mark.py", MARK)
    done = desk.run("update", job.job, "pipeline.yaml", "--json")
    assert (done.code, json.loads(done.stdout)["result"]) == (0, "unchanged")
    assert [line["starts"] for line in job.status()["instances"]] == [line["starts"] for line in before["instances"]]

    assert is_one_message(desk.run("update", "nobody", "pipeline.yaml"), "there is no job nobody")
