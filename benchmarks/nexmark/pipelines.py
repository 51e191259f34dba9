"""The queries as pipelines of the engine, and how one of them is passed through: in peace, or with every node killed.

A pipeline is what a user would write: events >> algorithms of the query >> a file. Nothing is made lighter for the
measurement; it is taken from the moment at which all instances are there to the end of the job, when all is settled
and every line is in the file.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.nexmark import connector
from benchmarks.nexmark.gate import Gate
from benchmarks.processes import FamilyMeter, Passage
from benchmarks.scenario.engine import EngineSide, Node, algorithm, plan_of
from benchmarks.scenario.side import BenchmarkError

ALGORITHMS = Path(__file__).resolve().parent
_BEGIN_S = 60.0
_KILL_S = 60.0
_COMPLETE_S = 180.0
_POLL_S = 0.002
_SOURCE, _SINK = "events", "results"


@dataclass(frozen=True, slots=True)
class Query:
    """`nodes` are its algorithms, of which the first one gets all events."""

    name: str
    nodes: Sequence[Node]


def _one(name: str, state_type: str) -> Query:
    return Query(name, (algorithm(name, state_type, name),))


QUERIES = (
    _one("q0", "stateless"),
    _one("q1", "stateless"),
    _one("q2", "stateless"),
    Query("q3", (algorithm("sides", "stateless", "q3"), algorithm("join", "stateful", "q3"))),
    _one("q14", "stateless"),
    _one("q18", "stateful"),
    _one("q19", "stateful"),
)


def passed(query: Query, count: int, folder: Path, out: Path) -> Passage:
    """Let `count` events through, and the results into `out`."""
    with _side(query, count, folder, out) as side:
        gate = _started(side, folder)
        meter = FamilyMeter()
        gate.open(count)
        side.complete(_COMPLETE_S)
        return meter.read()


def killed(query: Query, count: int, folder: Path, out: Path) -> Passage:
    """The same, but every instance is killed once, one after the other.

    The events come in as many parts as there are kills, and one more. While a part goes through at full speed, its
    instance is killed when half of it has been handled; the next part is let in only then, so no kill comes too late.
    """
    with _side(query, count, folder, out) as side:
        gate = _started(side, folder)
        victims = [*(node["nodeName"] for node in query.nodes), _SINK, _SOURCE]
        part = count // (len(victims) + 1)
        meter = FamilyMeter()
        for number, victim in enumerate(victims):
            gate.open(part * (number + 1))
            _wait(side, partial(_handled, side, query, part * number + part // 2), _KILL_S)
            side.processes()[victim].kill()
        gate.open(count)
        side.complete(_COMPLETE_S)
        return meter.read()


def _side(query: Query, count: int, folder: Path, out: Path) -> EngineSide:
    source = {"connector": connector.NAME, "count": count, "gate": str(folder / "gate")}
    nodes = [
        {"nodeName": _SOURCE, "kind": "source", "spec": source},
        *query.nodes,
        {"nodeName": _SINK, "kind": "sink", "spec": {"connector": "file", "path": str(out)}},
    ]
    return EngineSide(plan_of(nodes, folder, algorithms=ALGORITHMS), folder)


def _started(side: EngineSide, folder: Path) -> Gate:
    """The gate of this side, once all instances are there to wait for it."""
    _wait(side, lambda: side.running, _BEGIN_S)
    return Gate(folder / "gate")


def _handled(side: EngineSide, query: Query, count: int) -> bool:
    """Whether the query has had so many events; those that it has had twice count twice."""
    return side.handled(query.nodes[0]["nodeName"]) >= count


def _wait(side: EngineSide, done: Callable[[], bool], within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while not done():
        if time.monotonic() > deadline:
            raise BenchmarkError(f"the job stands still: nothing more came within {within_s:.0f} s")
        side.go_on(_POLL_S)
