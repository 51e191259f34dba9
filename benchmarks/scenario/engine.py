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
    """A node of one instance that runs `benchmarks/scenario/<state_type>/<code>.py`."""
    return {
        "nodeName": name,
        "kind": "algorithm",
        "algorithmName": f"{state_type}-{code}",
        "stateType": state_type,
        "input": list(inputs),
    }


def plan_of(nodes: Sequence[Node], folder: Path, flow: str = "", more: Mapping[str, str] | None = None) -> Plan:
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
        path = str(_ALGORITHMS / state_type / f"{code}.py")
        files[-1].write_text(json.dumps({"name": name, "code": {"path": path}}))
    loaded = load(files)
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
        """By the name of the node; the second instance of a node and those after it by their own."""
        found: dict[str, psutil.Process] = {}
        for path, process in sorted((Path(last), process) for last, process in own_children().items()):
            if path.name == ASSIGNMENT_FILE:
                node = path.parent.name.rpartition("-")[0]
                found[path.parent.name if node in found else node] = process
        return found

    def runs(self, instance: str) -> bool:
        """Whether this instance has told the controller that it runs."""
        return self._host.poll(0.0).instances.get(instance) == InstancePhase.RUNNING

    def account(self) -> JobAccount:
        """What has become of the messages so far."""
        return self._host.account()

    def end(self) -> JobAccount:
        """Drain the job; what came of it."""
        self._host.drain()
        deadline = time.monotonic() + _END_S
        while not self._host.poll(_END_S).status.ended:
            if time.monotonic() > deadline:
                raise BenchmarkError(f"the job has not ended {_END_S:.0f} s after the request to drain")
        return self.account()

    def stop(self) -> None:
        """Drain the job; every message must be settled."""
        account = self.end()
        settled = all(edge.sent == edge.settled for edge in account.edges)
        if account.status is not JobStatus.STOPPED or not settled or not account.balanced:
            raise BenchmarkError(f"the job ended badly: {account.to_json()} {' / '.join(self._lines)}")
        last = self._counted or account.edges[-1].target
        expected = sum(edge.settled for edge in account.edges if edge.target == last)
        if (self._tally or self._counted) and self.shown != expected:
            raise BenchmarkError(f"{expected} messages were settled, {self.shown} counted")
