"""What a controller of a cluster costs and how soon it answers, and how soon a change reaches every instance.

The controller is a process as its users start it, on a real broker. Of a thousand instances only the reports are real:
agents that run nothing write them, with counters that all move. Deaths are then reported one after the other; each is
answered once the order to start again is in the log. Changes are made to a job with real instances on two agents: of
flows, from the command's record until the last instance has said that it knows the version which is in force by then;
and of peers, from the first report of a new instance until a message has come to it from a peer and is settled by
another one.

It needs a broker, Java for one of its own, so it is no part of `make bench`.

    python -m benchmarks.scenario.control_plane [--jobs 100] [--settle 5] [--window 2] [--windows 10] [--deaths 100]
        [--flows 100] [--scales 20] [--only TEXT] [--json FILE]
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks import aims, page
from benchmarks.aims import Aim
from benchmarks.command import chosen, parser_of, publish
from benchmarks.processes import CpuMeter, exact_cpu_s
from benchmarks.scenario.change import Changed
from benchmarks.scenario.cluster import PATIENCE_S, Commands, opened_commands
from benchmarks.scenario.engine import Node, algorithm, plan_of, source
from benchmarks.scenario.pretended import PretendedAgents
from benchmarks.scenario.side import BenchmarkError
from streamer.cli.output import tell
from streamer.control.cluster.wire import submit_entry
from streamer.control.hosts.home import new_job
from streamer.plan.compile import Plan

NAME = "scenario.control_plane"
_INSTANCES_A_JOB = 10
_AGENTS = 10
_DEATHS_A_S = 5.0
_BEGUN = Aim("100 jobs submitted until all of their instances are placed, s", 20, at_most=True)
_CORES = Aim("controller of 1,000 instances and 100 jobs, cores", 0.5, at_most=True)
_ANSWER = Aim("a death among 1,000 instances until the order to start again: p99, ms", 1000, at_most=True)
_FLOWS = Aim("a change of flows until every instance has acknowledged it: p99, ms", 1000, at_most=True)
_PEERS = Aim("a new instance's first report until messages go through it: p99, ms", 1000, at_most=True)

Figure = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """One of the two clusters, and what is measured in it."""

    name: str
    take: Callable[[Commands, Namespace], list[Figure]]


def _load(commands: Commands, options: Namespace) -> list[Figure]:
    """The controller's CPU time while all goes well, and then the answers to deaths."""
    controller = psutil.Process(commands.start("controller", "controller").pid)
    log = commands.open_log()
    wanted = options.jobs * _INSTANCES_A_JOB
    names = [f"agent-{number}" for number in range(_AGENTS)]
    agents = PretendedAgents(log, names, wanted)
    _go_on(agents, options.settle)
    plan = _plan(commands.folder, _INSTANCES_A_JOB - 2)
    log.append_all([submit_entry(new_job(plan, commands.folder, detached=True), plan) for _ in range(options.jobs)])
    began_s = time.monotonic()
    _until(agents, lambda: agents.lives == wanted)
    begun = [time.monotonic() - began_s]
    _go_on(agents, options.settle)
    tell(f"{agents.lives} instances of {options.jobs} jobs")

    meter = CpuMeter({"controller": controller})
    cores = []
    for _ in range(options.windows):
        began_s, before = time.monotonic(), exact_cpu_s(controller)
        _go_on(agents, options.window)
        cores.append((exact_cpu_s(controller) - before) / (time.monotonic() - began_s))
    elsewhere = meter.read().elsewhere_cores
    case = f"{wanted:,} instances of {options.jobs} jobs"
    found = [
        _figure(f"{case}: submitted until all are placed", "s", begun, _BEGUN, aim_of="highest"),
        _figure(f"{case}: controller", "cores", cores, _CORES, aim_of="median", elsewhere_cores=elsewhere),
    ]

    dice = random.Random(1)
    for _ in range(options.deaths):
        agents.kill_one(dice)
        _go_on(agents, 1 / _DEATHS_A_S)
    _until(agents, lambda: agents.dead == 0)
    answers = [1000 * wait_s for wait_s in agents.waits_s]
    log.close()
    if answers:
        found.append(_figure(f"{case}: death until the order to start again", "ms", answers, _ANSWER))
    return found


def _change(commands: Commands, options: Namespace) -> list[Figure]:
    """Changes of a job with real instances."""
    commands.start("controller", "controller")
    for name in ("agent-0", "agent-1"):
        commands.start(name, "agent")
    with Changed(commands, _plan(commands.folder, 2, rate=200)) as job:
        flows = [1000 * job.flows(number) for number in range(options.flows)]
        peers = [1000 * job.peers() for _ in range(options.scales)]
    found = []
    if flows:
        found.append(_figure("flows set, 4 instances on 2 agents: until all have acknowledged", "ms", flows, _FLOWS))
    if peers:
        found.append(_figure("scale, 2 agents: a new instance's first report until it is in use", "ms", peers, _PEERS))
    return found


CASES = (Case("load", _load), Case("change", _change))


def _plan(folder: Path, works: int, **spec: Any) -> Plan:
    work: Node = {**algorithm("work", "stateless", "relay"), "minStatelessCount": works}
    return plan_of([source(100, **spec), work, algorithm("sink", "stateless", "take")], folder)


def _go_on(agents: PretendedAgents, length_s: float) -> None:
    until = time.monotonic() + length_s
    while time.monotonic() < until:
        agents.turn()


def _until(agents: PretendedAgents, true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        if time.monotonic() > deadline:
            raise BenchmarkError(f"after {PATIENCE_S:g} s {agents.lives} instances live, {agents.dead} wait for a life")
        agents.turn()


def _figure(case: str, unit: str, found: Sequence[float], aim: Aim, *, aim_of: str = "p99", **more: float) -> Figure:
    ordered = sorted(found)
    figure: Figure = {
        "case": case,
        "unit": unit,
        "count": len(ordered),
        "median": round(statistics.median(ordered), 3),
        "p99": round(ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)], 3),
        "highest": round(ordered[-1], 3),
        **{name: round(value, 2) for name, value in more.items()},
    }
    return {**figure, "aims": aims.judge({aim_of: aim}, figure)}


def table(figures: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (
            f["case"],
            f["unit"],
            f["count"],
            *(f"{f[name]:.2f}" if f["unit"] == "cores" else f"{f[name]:,.0f}" for name in ("median", "p99", "highest")),
            *aims.cells(next(iter(f["aims"].values()))),
        )
        for f in figures
    ]
    return page.table(("what", "in"), ("taken", "median", "p99", "highest", *aims.COLUMNS), rows)


def main(arguments: Sequence[str]) -> int:
    parser = parser_of(NAME, "A controller of a thousand instances, and changes until they are everywhere.")
    parser.add_argument("--jobs", type=int, default=100, help=f"jobs of {_INSTANCES_A_JOB} instances each")
    parser.add_argument("--settle", type=float, default=5.0, metavar="SECONDS", help="before and after they begin")
    parser.add_argument("--windows", type=int, default=10, help="windows in which the controller is watched")
    parser.add_argument("--window", type=float, default=2.0, metavar="SECONDS", help="length of each")
    parser.add_argument("--deaths", type=int, default=100, help="instances that die")
    parser.add_argument("--flows", type=int, default=100, help="changes of flows")
    parser.add_argument("--scales", type=int, default=20, help="changes of peers")
    options = parser.parse_args(arguments)
    figures = []
    for case in chosen(parser, CASES, options.only):
        tell(case.name)
        with opened_commands() as commands:
            figures += case.take(commands, options)
    publish(NAME, arguments, figures, table(figures), options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
