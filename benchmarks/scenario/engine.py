"""The engine as a side of a comparison: a descriptor, compiled and run as `streamer run` does it.

Nothing is made lighter for the measurement: accounts, settlement, reports and heartbeats are what a user's job has.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
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


def plan_of(nodes: Sequence[Node], folder: Path, flow: str = "") -> Plan:
    """A chain of these nodes, or another flow through them, by the same files and checks as anybody's pipeline."""
    flow = flow or " >> ".join(node["nodeName"] for node in nodes)
    pipeline = {"name": "benchmark", "kind": "stream", "nodes": list(nodes), "streaming": {"flows": {"main": flow}}}
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


class EngineSide:
    """A job of this plan below `folder`. `tally` is the page of its last node, if that has one."""

    def __init__(self, plan: Plan, folder: Path, tally: Tally | None = None) -> None:
        self._tally = tally
        self.home = folder
        self._lines: list[str] = []
        self._host = EmbeddedHost(plan, folder, on_output=self._note)

    def _note(self, _node: str, instance: str, line: str) -> None:
        self._lines = [*self._lines[1 - _LINES_KEPT :], f"{instance}: {line}"]

    def __enter__(self) -> EngineSide:
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
        return self._tally.shown if self._tally else 0

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
        """By the name of the node."""
        children = own_children()
        return {
            Path(last).parent.name.rpartition("-")[0]: process
            for last, process in children.items()
            if Path(last).name == ASSIGNMENT_FILE
        }

    def end(self) -> JobAccount:
        """Drain the job; what came of it."""
        self._host.drain()
        deadline = time.monotonic() + _END_S
        while not self._host.poll(_END_S).status.ended:
            if time.monotonic() > deadline:
                raise BenchmarkError(f"the job has not ended {_END_S:.0f} s after the request to drain")
        return self._host.account()

    def stop(self) -> int:
        """Drain the job; every message must be settled, so none is ever lost."""
        account = self.end()
        settled = all(edge.sent == edge.settled for edge in account.edges)
        if account.status is not JobStatus.STOPPED or not settled or not account.balanced:
            raise BenchmarkError(f"the job ended badly: {account.to_json()} {' / '.join(self._lines)}")
        if self._tally and self._tally.shown != account.edges[-1].settled:
            raise BenchmarkError(f"{account.edges[-1].settled} messages were settled, {self._tally.shown} counted")
        return 0
