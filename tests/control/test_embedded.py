"""The embedded host with real processes: what its user sees of a job that completes, drains, is killed or fails."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streamer.control.hosts.embedded import EmbeddedHost
from streamer.control.jobs import JobSnapshot, JobStatus
from streamer.descriptor.load import load
from streamer.errors import HomeError
from streamer.plan.compile import Plan, compile_plan

_PATIENCE_S = 60.0

_ENDLESS = "{connector: generator, rate: 200}"
_SHORT = "{connector: generator, count: 500}"


def plan_of(folder: Path, algorithm: str, source: str = _SHORT) -> Plan:
    """A source, two replicas of `algorithm`, and a file of what they return."""
    (folder / "parse.py").write_text(algorithm)
    document = folder / "pipeline.yaml"
    document.write_text(
        f"""
name: words
kind: stream
nodes:
  - {{nodeName: lines, kind: source, spec: {source}}}
  - {{nodeName: parse, kind: algorithm, algorithmName: parse, stateType: stateless, minStatelessCount: 2}}
  - {{nodeName: save, kind: sink, spec: {{connector: file, path: out.jsonl, format: jsonl}}}}
streaming: {{flows: {{main: lines >> parse >> save}}}}
---
name: parse
code: {{path: parse.py}}
"""
    )
    loaded = load([document])
    assert loaded.pipeline is not None, loaded.findings
    return compile_plan(loaded.pipeline, loaded.algorithms, folder=folder)


class Job:
    """A host with patience; `lines` are what instances printed."""

    def __init__(self, plan: Plan, home: Path) -> None:
        self.lines: list[tuple[str, str, str]] = []
        self.host = EmbeddedHost(plan, home, on_output=lambda *line: self.lines.append(line))

    def until(self, seen: Callable[[JobSnapshot], bool]) -> JobSnapshot:
        deadline = time.monotonic() + _PATIENCE_S
        snapshot = self.host.poll(0.05)
        while not seen(snapshot):
            assert time.monotonic() < deadline, f"{snapshot}\n{self.lines[-20:]}"
            assert not snapshot.status.ended, f"ended too early: {snapshot.error}\n{self.lines[-20:]}"
            snapshot = self.host.poll(0.05)
        return snapshot

    def until_ended(self) -> JobSnapshot:
        return self.until(lambda snapshot: snapshot.status.ended)

    def until_flowing(self) -> JobSnapshot:
        return self.until(lambda s: "save-0" in s.samples and s.samples["save-0"].received > 20)


Begin = Callable[..., Job]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    jobs: list[Job] = []

    def begin(algorithm: str = "def start(args):\n    return args['streamInput']['message']\n", **more: str) -> Job:
        job = Job(plan_of(tmp_path, algorithm, **more), tmp_path / "home")
        jobs.append(job)
        job.host.start()
        return job

    yield begin
    for job in jobs:
        job.host.close()


def pid_of(instance: str, folder: Path) -> int:
    """The process of an instance, known by the path of its assignment."""
    path = str(folder / "instances" / instance / "assignment.json").encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if path in (entry / "cmdline").read_bytes().split(b"\0"):
                    return int(entry.name)
            except OSError:
                continue  # gone while we looked
    raise AssertionError(f"{instance} has no process")


def lines_of(folder: Path) -> list[str]:
    return (folder / "out.jsonl").read_text().splitlines()


def test_a_job_with_an_end_completes_with_a_balanced_account(begin: Begin, tmp_path: Path) -> None:
    job = begin()
    assert job.until_ended().status is JobStatus.COMPLETED
    account = job.host.account()
    assert account.balanced
    assert [(e.source, e.target, e.sent, e.settled, e.in_flight) for e in account.edges] == [
        ("lines", "parse", 500, 500, 0),
        ("parse", "save", 500, 500, 0),
    ]
    assert len(lines_of(tmp_path)) == 500


def test_an_endless_job_that_is_drained_stops_in_order(begin: Begin, tmp_path: Path) -> None:
    job = begin(source=_ENDLESS)
    job.until_flowing()
    job.host.drain()
    ended = job.until_ended()
    assert (ended.status, ended.killed, ended.error) == (JobStatus.STOPPED, False, None)
    first, second = job.host.account().edges
    assert first.sent == first.settled == second.sent == second.settled == len(lines_of(tmp_path))


def test_a_job_that_is_killed_stops_at_once_and_its_account_is_balanced(begin: Begin) -> None:
    job = begin(source=_ENDLESS)
    job.until_flowing()
    job.host.kill()
    ended = job.until_ended()
    assert (ended.status, ended.killed) == (JobStatus.STOPPED, True)
    assert set(ended.instances.values()) == {"dead"}
    assert job.host.account().balanced


@pytest.mark.parametrize("instance", ["lines-0", "parse-1", "save-0"])
def test_a_killed_instance_is_started_again_and_nothing_is_lost(begin: Begin, tmp_path: Path, instance: str) -> None:
    job = begin(source="{connector: generator, rate: 400, count: 1200}")
    job.until_flowing()
    os.kill(pid_of(instance, job.host.folder), signal.SIGKILL)
    assert job.until_ended().status is JobStatus.COMPLETED
    account = job.host.account()
    assert account.balanced
    assert {node.node: node.restarts for node in account.nodes}[instance.rpartition("-")[0]] == 1
    assert account.edges[0].sent - account.edges[0].abandoned == 1200
    assert set(lines_of(tmp_path)) == {f'{{"id":{n}}}' for n in range(1200)}


def test_an_algorithm_that_always_crashes_fails_the_job_naming_it(begin: Begin) -> None:
    job = begin("import os\ndef init(args):\n    print('on my way')\n    os._exit(3)\ndef start(args):\n    return 1\n")
    ended = job.until_ended()
    assert ended.status is JobStatus.FAILED
    assert ended.error is not None
    assert ended.error.startswith("node parse: instance parse-")
    assert "with exit code 3" in ended.error


def test_what_algorithms_print_is_told_with_node_and_instance_and_stands_in_their_logs(begin: Begin) -> None:
    job = begin("def init(args):\n    print('hello')\ndef start(args):\n    return args['streamInput']['message']\n")
    job.until_ended()
    assert {line for line in job.lines if line[2] == "hello"} == {
        ("parse", "parse-0", "hello"),
        ("parse", "parse-1", "hello"),
    }
    assert "hello" in (job.host.folder / "logs" / "parse-0.log").read_text()


def test_a_home_that_cannot_be_used_is_refused_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    plan = plan_of(tmp_path, "def start(args):\n    return 1\n")
    host = EmbeddedHost(plan, tmp_path / "home", on_output=lambda *_: None)
    with pytest.raises(HomeError, match="cannot be made") as raised:
        host.start()
    assert "STREAMER_HOME" in raised.value.advice
    host.close()
