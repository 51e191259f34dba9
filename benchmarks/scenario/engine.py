"""The engine as a side of a comparison: a descriptor, compiled and run as `streamer run` does it.

Nothing is made lighter for the measurement: accounts, settlement, reports and heartbeats are what a user's job has.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from benchmarks.processes import own_children
from benchmarks.scenario.side import BenchmarkError
from benchmarks.scenario.tally import Tally
from streamer.connectors.installed import connector_tables
from streamer.control.hosts.embedded import EmbeddedHost
from streamer.control.hosts.home import INSTANCES_FOLDER, pages_of
from streamer.control.jobs import JobAccount, JobStatus
from streamer.control.lifecycle import InstancePhase
from streamer.descriptor.load import load
from streamer.plan.compile import Plan, compile_plan
from streamer.platform.local import ASSIGNMENT_FILE

_ALGORITHMS = Path(__file__).resolve().parent
_END_S = 60.0
_LINES_KEPT = 20

Node = Mapping[str, Any]


def source(payload_bytes: int, **spec: Any) -> Node:
    """A generator of `{"id": n, "data": bytes}`."""
    return {
        "nodeName": "source",
        "kind": "source",
        "spec": {"connector": "generator", "size": payload_bytes, **spec},
    }


def algorithm(name: str, state_type: str, code: str, *inputs: object) -> Node:
    """A node of one instance that runs `<state_type>/<code>.py` of the plan's folder of algorithms."""
    return {
        "nodeName": name,
        "kind": "algorithm",
        "algorithmName": f"{state_type}-{code}",
        "stateType": state_type,
        "input": list(inputs),
    }


def plan_of(
    nodes: Sequence[Node],
    folder: Path,
    flow: str = "",
    more: Mapping[str, str] | None = None,
    algorithms: Path = _ALGORITHMS,
) -> Plan:
    """A chain of these nodes, or another flow through them, by the same files and checks as anybody's pipeline.

    `more` are flows beside it, by name.
    """
    flow = flow or " >> ".join(node["nodeName"] for node in nodes)
    streaming = {"defaultFlow": "main", "flows": {"main": flow, **(more or {})}}
    pipeline = {"name": "benchmark", "kind": "stream", "nodes": list(nodes), "streaming": streaming}
    names = sorted({node["algorithmName"] for node in nodes if "algorithmName" in node})
    files = [folder / "pipeline.json"]
    files[0].write_text(json.dumps(pipeline))
    for name in names:
        state_type, _, code = name.partition("-")
        files.append(folder / f"{name}.json")
        path = str(algorithms / state_type / f"{code}.py")
        files[-1].write_text(json.dumps({"name": name, "code": {"path": path}}))
    loaded = load(files, connectors=connector_tables())
    if loaded.pipeline is None:
        raise BenchmarkError("; ".join(map(str, loaded.findings)))
    return compile_plan(loaded.pipeline, loaded.algorithms, folder=folder)


@contextmanager
def _with_variables(variables: Mapping[str, str]) -> Iterator[None]:
    """Processes that are started meanwhile have these: a platform hands on what its own process has."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class EngineSide:
    """A job of this plan below `folder`.

    `tally` is the page of its last node, if that has one; without it, what the node `counted` has handled is shown.
    Instances get the variables of `environment` beside those of this process.
    """

    def __init__(
        self,
        plan: Plan,
        folder: Path,
        tally: Tally | None = None,
        *,
        counted: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._nodes = list(plan.nodes)
        self._tally = tally
        self._counted = counted
        self._environment = environment or {}
        self.home = folder
        self._lines: list[str] = []
        self._host = EmbeddedHost(plan, folder, on_output=self._note)

    def _note(self, _node: str, instance: str, line: str) -> None:
        self._lines = [*self._lines[1 - _LINES_KEPT :], f"{instance}: {line}"]

    def __enter__(self) -> EngineSide:
        with _with_variables(self._environment):
            self._host.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._host.close()

    @property
    def job(self) -> str:
        return self._host.job

    @property
    def shown(self) -> int:
        if self._tally:
            return self._tally.shown
        return self.handled(self._counted) if self._counted else 0

    def go_on(self, duration_s: float) -> None:
        deadline = time.monotonic() + duration_s
        while (left_s := deadline - time.monotonic()) > 0:
            last = self._host.poll(left_s)
            if last.status.ended:
                raise BenchmarkError(f"the job has ended: {last.error}; {' / '.join(self._lines)}")

    def received(self, node: str) -> int:
        """Messages that the instance of this node has handled, by its last sample."""
        sample = self._host.poll(0.0).samples.get(f"{node}-0")
        return sample.received if sample else 0

    def handled(self, node: str) -> int:
        """Messages that all instances of this node, in all lives, have handled by now, by their pages."""
        pages = pages_of(self._host.folder, (f.name for f in (self._host.folder / INSTANCES_FOLDER).glob(f"{node}-*")))
        return sum(page.received for page in pages.values())

    def processes(self) -> dict[str, psutil.Process]:
        """In the order of the plan by the names of the nodes; the second instance of a node and more by their own."""
        running = [(Path(last), process) for last, process in own_children().items()]
        instances = {path.parent.name: process for path, process in running if path.name == ASSIGNMENT_FILE}
        found: dict[str, psutil.Process] = {}
        for node in self._nodes:
            for instance in sorted(name for name in instances if name.rpartition("-")[0] == node):
                found[instance if node in found else node] = instances[instance]
        return found

    def runs(self, instance: str) -> bool:
        """Whether this instance has told the controller that it runs."""
        return self._host.poll(0.0).instances.get(instance) == InstancePhase.RUNNING

    def account(self) -> JobAccount:
        """What has become of the messages so far."""
        return self._host.account()

    @property
    def running(self) -> bool:
        """Whether all instances are there."""
        return self._host.poll(0.0).status is JobStatus.RUNNING

    def end(self) -> JobAccount:
        """Drain the job; what came of it."""
        self._host.drain()
        return self._ended(_END_S, f"the job has not ended {_END_S:.0f} s after the request to drain")

    def complete(self, within_s: float) -> None:
        """Wait until the sources have ended, and the job with them; all that they gave must be settled."""
        account = self._ended(within_s, f"the job has not completed within {within_s:.0f} s")
        unsettled = any(edge.dead_lettered or edge.in_flight or edge.dropped for edge in account.edges)
        if account.status is not JobStatus.COMPLETED or unsettled or not account.balanced:
            raise BenchmarkError(f"the job ended badly: {account.to_json()} {' / '.join(self._lines)}")

    def _ended(self, within_s: float, complaint: str) -> JobAccount:
        deadline = time.monotonic() + within_s
        while not self._host.poll(max(0.0, deadline - time.monotonic())).status.ended:
            if time.monotonic() > deadline:
                raise BenchmarkError(f"{complaint}: {self.account().to_json()} {' / '.join(self._lines)}")
        return self.account()

    def stop(self) -> int:
        """Drain the job; every message must be settled, so none is ever lost."""
        account = self.end()
        settled = all(edge.sent == edge.settled for edge in account.edges)
        if account.status is not JobStatus.STOPPED or not settled or not account.balanced:
            raise BenchmarkError(f"the job ended badly: {account.to_json()} {' / '.join(self._lines)}")
        last = self._counted or account.edges[-1].target
        expected = sum(edge.settled for edge in account.edges if edge.target == last)
        if (self._tally or self._counted) and self.shown != expected:
            raise BenchmarkError(f"{expected} messages were settled, {self.shown} counted")
        return 0
