"""The autoscaler and real processes: a load gets its replicas, and what waits for a node without any wakes it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from autoscaler.embedded import EmbeddedAutoscaler
from autoscaler.journal import journal_of
from autoscaler.service import ServiceOptions, service_of
from autoscaler.settings import Settings
from streamer.cli.run import observation
from streamer.control.hosts.embedded import EmbeddedHost
from streamer.control.hosts.home import open_log
from streamer.control.jobs import JobSnapshot
from streamer.descriptor.load import load
from streamer.descriptor.resources import Capacity
from streamer.metrics.endpoint import Endpoint
from streamer.plan.compile import compile_plan
from tests.cli.command import Desk

_PATIENCE_S = 60.0
QUICK = Settings(
    tick_s=0.5, window_s=1.0, catch_up_s=2.0, scale_in_least_s=1.0, scale_in_s=1.0, idle_s=1.0, start_up_s=1.0
)
NODES = """\
  - {nodeName: numbers, kind: source, spec: %s}
  - {nodeName: nap, algorithmName: nap, stateType: stateless, maxStatelessCount: 3}
  - {nodeName: gone, kind: sink, spec: {connector: blackhole}}
"""
ALGORITHM = "---\nname: nap\ncode: {path: nap.py}\n"
NAP = "import time\ndef start(args):\n    time.sleep(0.1)\n    return 1\n"

Look = Callable[[JobSnapshot], object]


def host_of(folder: Path, source: str, *, metrics: str = "") -> EmbeddedHost:
    desk = Desk(folder)
    desk.write("nap.py", NAP)
    path = desk.pipeline(NODES % source, "{main: numbers >> nap >> gone}", ALGORITHM)
    loaded = load([path])
    assert loaded.pipeline is not None, loaded.findings
    plan = compile_plan(loaded.pipeline, loaded.algorithms, folder=folder)
    return EmbeddedHost(plan, desk.home, on_output=lambda *_: None, metrics=metrics)


def until(host: EmbeddedHost, look: Look, seen: Callable[[JobSnapshot], bool]) -> JobSnapshot:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        snapshot = host.poll(0.05)
        look(snapshot)
        if seen(snapshot):
            return snapshot
        assert time.monotonic() < deadline, snapshot
        assert not snapshot.status.ended, snapshot.error


def running(snapshot: JobSnapshot) -> int:
    return sum(name.startswith("nap-") and phase == "running" for name, phase in snapshot.instances.items())


def received(snapshot: JobSnapshot, node: str) -> int:
    return sum(sample.received for sample in snapshot.samples.values() if sample.node == node)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with closing(Endpoint()) as served:
        yield served


def test_replicas_follow_the_load_to_zero_and_the_first_message_wakes_the_node(tmp_path: Path) -> None:
    lines = tmp_path / "lines.txt"
    lines.write_text("a line\n" * 150)
    host = host_of(tmp_path, "{connector: file, path: lines.txt, format: text, follow: true}")
    with closing(host):
        host.start()
        look = EmbeddedAutoscaler(host, Capacity(), lambda _: None, QUICK).look
        until(host, look, lambda snapshot: running(snapshot) > 1)
        until(host, look, lambda snapshot: running(snapshot) == 0 and not snapshot.leaving)
        with lines.open("a") as file:
            file.write("one more\n")
        awake = until(host, look, lambda snapshot: received(snapshot, "gone") == 151)
        assert awake.desired["nap"] == 1
        with closing(open_log(tmp_path / "home")) as log:
            changes = journal_of(log, host.job).nodes["nap"].changes
        host.drain()
        while not host.poll(0.05).status.ended:
            pass
        account = host.account()

    assert account.balanced
    assert max(change.wanted for change in changes) in (2, 3)
    assert 0 in {change.wanted for change in changes}
    assert all(change.reasons for change in changes)


def test_a_service_scales_a_job_by_its_pages_and_through_the_control_log(tmp_path: Path, endpoint: Endpoint) -> None:
    host = host_of(tmp_path, "{connector: generator, rate: 25}", metrics=endpoint.url)
    with closing(host), closing(open_log(tmp_path / "home")) as log:
        host.start()
        service = service_of(ServiceOptions(tmp_path / "home", settings=QUICK), log, lambda _: None)

        def look(snapshot: JobSnapshot) -> None:
            endpoint.publish(observation(snapshot))
            service.look()

        scaled = until(host, look, lambda snapshot: running(snapshot) == 3)
        journal = journal_of(log, host.job)

    assert scaled.desired["nap"] == 3
    assert [change.wanted for change in journal.nodes["nap"].changes][-1] == 3
