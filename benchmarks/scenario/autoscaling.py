"""The autoscaler on real processes, beside the simulation of the same trace.

A load generator outside of the pipeline drives a gateway; behind it stands a node whose handlers sleep for the time of
their work, so that dozens of replicas fit on a small machine. Every second the job is looked at as the simulation looks
at its own: late is a second in which over five seconds of work wait, the cost is replicas (those that start included)
over those of an oracle that holds the least that carry the rate. Each decision that changed something is kept with its
second. Delays are those of the messages themselves.

    python -m benchmarks.scenario.autoscaling [--only TEXT] [--json FILE]
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from autoscaler.embedded import EmbeddedAutoscaler
from autoscaler.journal import journal_of
from autoscaler.settings import DEFAULT, Settings
from autoscaler.simulation.disturbance import Disturbance
from autoscaler.simulation.experiment import Conditions, simulate
from autoscaler.simulation.layout import Layout, Link, Stage
from autoscaler.simulation.rules.streamer import Streamer
from autoscaler.simulation.traces import Trace
from autoscaler.simulation.world import World
from benchmarks import page, record
from benchmarks.command import chosen, parser_of, publish
from benchmarks.scenario.engine import Node, algorithm, plan_of
from benchmarks.scenario.side import BenchmarkError
from streamer import clock
from streamer.cli.output import tell
from streamer.control.hosts.embedded import EmbeddedHost
from streamer.control.hosts.home import open_log
from streamer.control.jobs import JobSnapshot, JobStatus
from streamer.descriptor.resources import Capacity
from streamer.limits import DRAIN_S
from streamer.plan.assignment import Role

NAME = "scenario.autoscaling"
_NODE = "work"
_LATE_S = 5.0
_POLL_S = 0.1
_PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Case:
    """`work_s` are the seconds of work of a message, from the middle of the trace on `then_s`. `gateways` feed it, and
    of each message that comes in by them `copies` come to the work: one POST for each would take more than the work."""

    name: str
    rates: tuple[float, ...]
    work_s: float
    then_s: float | None = None
    gateways: int = 1
    copies: int = 1
    settings: Settings = DEFAULT


def _held(*rows: tuple[float, int]) -> tuple[float, ...]:
    return tuple(rate for rate, seconds in rows for _ in range(seconds))


CASES = (
    Case("step, 100 ms", _held((10, 20), (100, 50), (10, 50)), 0.1),
    Case("spikes, 100 ms", _held(*(((20, 35), (120, 10)) * 3)), 0.1),
    Case("on and off, 100 ms", _held(*(((60, 30), (0, 30)) * 2)), 0.1, settings=Settings(idle_s=15.0)),
    Case("step, 1 ms", _held((40, 15), (300, 40), (40, 15)), 0.001, copies=10),
    Case("step, 2 s", _held((1, 20), (18, 60), (1, 20)), 2.0),
    Case("two gateways, 100 ms", _held((10, 15), (80, 45)), 0.1, gateways=2),
    Case("work grows from 5 to 500 ms", _held((20, 80)), 0.005, then_s=0.5),
)


@dataclass(slots=True)
class Course:
    """What was seen of a run: by second, seconds of work that wait, replicas, and those of the oracle.

    `decisions` are the seconds and replicas of those that changed something; the trace began at `began_at`.
    """

    waits: list[float] = field(default_factory=list)
    replicas: list[int] = field(default_factory=list)
    oracle: list[int] = field(default_factory=list)
    decisions: list[tuple[int, int]] = field(default_factory=list)
    began_at: float = 0.0

    def figures(self) -> dict[str, Any]:
        seconds = max(1, len(self.waits))
        return {
            "late_fraction": round(sum(wait > _LATE_S for wait in self.waits) / seconds, 4),
            "cost": round(sum(self.replicas) / max(1, sum(self.oracle)), 3),
            "max_replicas": max(self.replicas, default=0),
            "waits_p99_s": _quantile(sorted(self.waits), 0.99),
            "decisions": self.decisions,
        }


def measured(case: Case) -> dict[str, Any]:
    """One case live. Raises BenchmarkError if its job does not begin, or loses a message."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        plan = plan_of(_nodes(case, folder), folder, _flow(case))
        host = EmbeddedHost(plan, folder / "home", on_output=lambda *_: None)
        with closing(host):
            host.start()
            autoscaler = EmbeddedAutoscaler(host, Capacity(), tell, case.settings)
            course = Course()
            sent = _driven(case, host, autoscaler, course)
            _until_handled(host, autoscaler)
            host.drain()
            _until_ended(host)
            with closing(open_log(folder / "home")) as log:
                changes = journal_of(log, host.job).nodes[_NODE].changes
            end = course.began_at + len(course.waits)
            course.decisions = [(round(one.at - course.began_at), one.wanted) for one in changes if one.at < end]
        delays = sorted(json.loads(line)["delay_s"] for line in (folder / "out.jsonl").open())
    if len(delays) < sent * case.copies:
        raise BenchmarkError(f"{case.name}: {sent} messages were sent {case.copies} times, {len(delays)} came through")
    return {**course.figures(), "messages": sent, "p50_s": _quantile(delays, 0.5), "p99_s": _quantile(delays, 0.99)}


def _nodes(case: Case, folder: Path) -> list[Node]:
    gateways = [{"nodeName": f"door{n}", "kind": "gateway", "spec": {"name": f"door{n}"}} for n in range(case.gateways)]
    spec = {"connector": "file", "path": str(folder / "out.jsonl"), "format": "jsonl"}
    sink = {"nodeName": "out", "kind": "sink", "spec": spec}
    fan = [algorithm("fan", "stateless", "fan", case.copies)] if case.copies > 1 else []
    return [*gateways, *fan, algorithm(_NODE, "stateless", "nap"), sink]


def _flow(case: Case) -> str:
    first = "fan" if case.copies > 1 else _NODE
    doors = [f"door{n} >> {first}" for n in range(case.gateways)]
    return " | ".join([*doors, *([f"fan >> {_NODE}"] if case.copies > 1 else []), f"{_NODE} >> out"])


def _driven(case: Case, host: EmbeddedHost, autoscaler: EmbeddedAutoscaler, course: Course) -> int:
    """Serve the job while its load comes, and look at it every second; gives the messages that were sent."""
    snapshot = _until_open(case, host)
    urls = [snapshot.addresses[f"door{n}"] for n in range(case.gateways)]
    middle = len(case.rates) // 2
    parts = [(case.work_s, case.rates)]
    if case.then_s is not None:
        parts = [(case.work_s, case.rates[:middle]), (case.then_s, case.rates[middle:])]
    sent = second = 0
    course.began_at = clock.wall()
    for work_s, rates in parts:
        command = [sys.executable, "-m", "benchmarks.scenario.load", str(work_s), json.dumps(rates), *urls]
        began = second
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=record.ROOT) as load:
            begun_at = time.monotonic()
            while load.poll() is None:
                snapshot = host.poll(_POLL_S)
                autoscaler.look(snapshot)
                if time.monotonic() - begun_at >= second - began and second - began < len(rates):
                    _note(course, snapshot, work_s, rates[second - began] * case.copies)
                    second += 1
            assert load.stdout is not None
            sent += json.load(load.stdout)["sent"]
        second = began + len(rates)
    return sent


def _note(course: Course, snapshot: JobSnapshot, work_s: float, rate: float) -> None:
    states = [state for name, state in snapshot.instances.items() if name.startswith(f"{_NODE}-")]
    ready = max(1, states.count("running"))
    waiting = sum(e.backlog_messages for s in snapshot.samples.values() for e in s.edges if e.target == _NODE)
    course.waits.append(waiting * work_s / ready)
    course.replicas.append(len(states))
    course.oracle.append(math.ceil(rate * work_s - 1e-9))


def _until_open(case: Case, host: EmbeddedHost) -> JobSnapshot:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        snapshot = host.poll(_POLL_S)
        if snapshot.status is JobStatus.RUNNING and len(snapshot.addresses) == case.gateways:
            return snapshot
    raise BenchmarkError(f"{case.name}: the job does not begin")


def _until_handled(host: EmbeddedHost, autoscaler: EmbeddedAutoscaler) -> None:
    """A drain has its time, which a backlog may not be worked off in: it is not what is measured here."""
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        snapshot = host.poll(_POLL_S)
        autoscaler.look(snapshot)
        if not any(edge.in_flight for sample in snapshot.samples.values() for edge in sample.edges):
            return


def _until_ended(host: EmbeddedHost) -> None:
    deadline = time.monotonic() + DRAIN_S + _PATIENCE_S
    while not host.poll(_POLL_S).status.ended:
        if time.monotonic() > deadline:
            raise BenchmarkError("the job does not end")


def _quantile(ordered: Sequence[float], share: float) -> float:
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3)


def simulated(case: Case, start_up_s: int = 1) -> dict[str, Any]:
    """The same trace in the simulation, with a start-up as it is on this machine."""
    stage = Stage(_NODE, 1.0 / case.work_s, min_replicas=0, contention=0.0)
    layout = Layout("live", (Stage("door", role=Role.SOURCE), stage), (Link("door", _NODE),))
    change = Disturbance()
    if case.then_s is not None:
        change = Disturbance(work=case.then_s / case.work_s, work_at=len(case.rates) // 2)
    conditions = Conditions(start_up_s=start_up_s, noise=0.0, initial={_NODE: 1}, disturbance=change)
    decisions: list[tuple[int, int]] = []

    def note(world: World, _rate: float) -> None:
        held = world.by_name[_NODE].held
        if held != (decisions[-1][1] if decisions else 1):
            decisions.append((world.now, held))

    trace = Trace("live", tuple(rate * case.copies for rate in case.rates))
    rule = Streamer(replace(case.settings, start_up_s=float(start_up_s)))  # instances tell how long they took to start
    criteria = simulate(layout, trace, rule, conditions, note)
    return {
        "late_fraction": round(criteria.late_fraction, 4),
        "cost": round(criteria.oracle_ratio, 3),
        "max_replicas": criteria.max_replicas,
        "waits_p99_s": round(criteria.queueing_p99_s, 3),
        "decisions": decisions,
    }


def table(figures: Sequence[dict[str, Any]]) -> str:
    """Live, and simulated after the slash; then the decisions of both."""
    criteria, decisions = [], []
    for one in figures:
        live, sim = one["live"], one["simulated"]
        criteria.append(
            (
                one["case"],
                f"{100 * live['late_fraction']:.1f} / {100 * sim['late_fraction']:.1f}",
                f"{live['cost']:.2f} / {sim['cost']:.2f}",
                f"{live['max_replicas']} / {sim['max_replicas']}",
                f"{live['waits_p99_s']:.1f} s / {sim['waits_p99_s']:.1f} s",
                f"{live['p50_s']:.2f} s, {live['p99_s']:.2f} s",
            )
        )
        decisions.append((one["case"], _told(live["decisions"]), _told(sim["decisions"])))
    heads = ("late, % of the time", "cost ÷ oracle", "most replicas", "work that waits, p99", "live delay p50, p99")
    parts = (
        page.table(("trace and work",), heads, criteria),
        page.table(("trace and work", "decisions live", "decisions simulated"), (), decisions),
    )
    return "\n\n".join(parts)


def _told(decisions: Sequence[tuple[int, int]]) -> str:
    return ", ".join(f"{replicas} at {second} s" for second, replicas in decisions)


def main(arguments: Sequence[str]) -> int:
    parser = parser_of(NAME, "Run the autoscaler on real processes beside its simulation.")
    options = parser.parse_args(arguments)
    figures = []
    for case in chosen(parser, CASES, options.only):
        figures.append({"case": case.name, "live": measured(case), "simulated": simulated(case)})
        tell(f"{case.name}: {figures[-1]}")
    publish(NAME, arguments, figures, table(figures), options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
