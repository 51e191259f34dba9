"""Jobs on a cluster through its commands: what works on one machine works there, with the same words."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from tests.cluster.machines import PIPELINE, Machines
from tests.kafka.broker import bootstrap


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    made = Machines(tmp_path, bootstrap())
    yield made
    made.close()


def test_a_job_is_submitted_looked_at_changed_and_stopped(machines: Machines) -> None:
    machines.start("controller", "controller")
    machines.agent("a1", "--capacity", "instances=4")
    machines.agent("a2", "--capacity", "instances=3")
    job = machines.submit("words")

    (row,) = json.loads(machines.ok("ps", "--json"))
    assert (row["job"], row["status"]) == (job, "running")
    status = machines.status("words")
    agents = sorted(one["agent"] for one in status["instances"] if one["node"] == "parse")
    assert agents == ["a1", "a2"], "the instances of a node are spread"

    machines.ok("scale", job, "parse", 3)
    assert len(machines.status(job)["instances"]) == 5
    machines.ok("flows", "set", job, "direct=lines >> save", "--default", "direct")
    shown = json.loads(machines.ok("flows", "show", job, "--json"))
    assert shown["default"] == "direct"
    since = [datetime.fromisoformat(version["since"]).timestamp() for version in shown["versions"]]
    assert all(abs(time.time() - at) < 600 for at in since)
    assert len(machines.ok("tap", job, "lines:save", "-n", 3).splitlines()) == 3

    for command in (["logs", job], ["dlq", "list", job], ["state", "ls", job]):
        assert (
            f"instances of job {job} run under a2; what they have left is read there"
            in machines.run(*command, home="a1").stderr
        ), "and not taken for nothing"
        assert "run under a1, a2;" in machines.run(*command).stderr

    machines.start("too-many", "scale", job, "parse", 7)
    machines.until(lambda: "waits for a machine" in machines.ok("status", job))
    machines.ok("scale", job, "parse", "auto")
    more = machines.pipeline("words", PIPELINE.replace("minStatelessCount: 2", "minStatelessCount: 6"))
    told = machines.run("update", job, more).stderr
    assert re.search(rf"job {job} goes on, and no machine has taken (parse-\d, )*parse-\d so far", told), told
    agents = [one["agent"] for one in machines.status(job)["instances"] if one["state"] != "retired"]
    assert (agents.count("a1"), agents.count("a2")) == (4, 3), "none is given to a machine that has no room"

    account = machines.stopped(job)
    sent = sum(edge["sent"] for edge in account["edges"] if edge["target"] == "save")
    assert machines.lines("words") == sent
    assert json.loads(machines.ok("ps", "--json")) == []
    assert machines.status(job)["account"] == account, "it is kept, though pages lie on other machines"
    machines.until(lambda: not machines.pids(job))


def test_a_run_brings_what_it_needs_and_starts_it_again(machines: Machines) -> None:
    """Its instances are its descendants; the deaths of its agent and of its controller are nobody else's."""
    run = machines.start("run", "run", machines.pipeline("words"), "--json", home="laptop")
    run.until("running")
    (job,) = [row["job"] for row in json.loads(machines.ok("ps", "--json"))]
    before = machines.pids(job)
    assert len(before) == 4
    children = _descendants(run.process.pid)
    assert set(before.values()) <= children

    for helper in ("agent", "controller"):
        (pid,) = [pid for pid in _descendants(run.process.pid) if helper in _words(pid)]
        os.kill(pid, signal.SIGKILL)
        run.until(f"the {helper} has died")
    machines.ok("scale", job, "parse", 3)
    assert {name: pid for name, pid in machines.pids(job).items() if name in before} == before

    run.signal(signal.SIGINT)
    assert run.process.wait() == 0, run.said()
    account = json.loads(next(line for line in run.said().splitlines() if line.startswith("{")))
    assert account["status"] == "stopped"
    assert all(edge["sent"] == edge["settled"] for edge in account["edges"])
    assert not machines.pids(job)


def test_a_job_says_what_it_waits_for(machines: Machines) -> None:
    submit = machines.start("submit", "submit", machines.pipeline("words"))
    submit.until("no controller is there")
    submit.until("no agent is there")
    machines.start("controller", "controller")
    machines.agent("late")
    assert submit.process.wait() == 0, machines.told()
    job = submit.said().splitlines()[-1]
    machines.stopped(job)


def test_a_broker_that_is_not_there_is_named_with_the_way_out(machines: Machines) -> None:
    for command in (["ps"], ["agent"], ["submit", machines.pipeline("words")]):
        done = machines.run(*command, "--kafka", "127.0.0.1:9")
        assert done.code == 1
        assert "127.0.0.1:9" in done.stderr
        assert "See that a broker of Kafka 2.1 or later listens" in done.stderr
        assert "Traceback" not in done.stderr
        assert ("tried again in" in done.stderr) == (command == ["agent"]), "it may be started before its brokers"


def test_what_is_no_address_is_bad_input(machines: Machines) -> None:
    done = machines.run("ps", "--kafka", "somewhere")
    assert done.code == 2
    assert "'somewhere' is no address of a Kafka broker: write HOST:PORT" in done.stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--capacity", "cpu=much,disk=3"], "'disk=3' is none of cpu=, gpu=, mem=, instances="),
        (["--advertise", "203.0.113.9"], "instances cannot be reached there"),
        (["--name", "a/b"], "'a/b' is no name of an agent"),
    ],
)
def test_an_agent_refuses_what_it_cannot_be(machines: Machines, options: list[str], told: str) -> None:
    done = machines.run("agent", *options)
    assert done.code == 2
    assert told in done.stderr


def _words(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    except OSError:
        return []


def _descendants(pid: int) -> set[int]:
    found = {pid}
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue  # gone while we looked
    while more := {child for child, parent in parents.items() if parent in found and child not in found}:
        found |= more
    return found - {pid}
