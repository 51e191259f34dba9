"""How much memory instances take while ten times too much is offered: the queues are bounded, but is the process?

A source offers ten times what the last node handles (or, as an algorithm, as much as it can make), and the resident
memory of every process is watched for as long as that lasts. An instance may take what its limits let it hold and
100 MB for the interpreter, the libraries and what lies between two places. More would be a queue that nobody bounds.

    python -m benchmarks.scenario.memory [--window 3] [--only TEXT] [--json FILE]
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import page
from benchmarks.command import chosen, parser_of, publish
from benchmarks.processes import rss_bytes
from benchmarks.scenario.engine import EngineSide, algorithm, plan_of, source
from benchmarks.scenario.side import BenchmarkError
from streamer.cli.output import tell
from streamer.limits import CREDIT_BYTES, RETAINED_BYTES_MAX
from streamer.plan.compile import Plan

NAME = "scenario.memory"
OVERLOAD = 10
ALLOWANCE_BYTES = 100_000_000
"""What an instance may take beside what its limits let it hold."""
_HANDLER_S = 0.001
_HANDLER_BYTES_S = 20_000_000
"""Large messages are handled so slowly that ten times as many can still be made and sent by one machine."""
_SAMPLE_S = 0.05
_BEGIN_S = 30.0
_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Case:
    """`origin` is what makes the messages. The relay is as fast as it can be, the last node takes `handler_s` each."""

    origin: str
    payload_bytes: int

    @property
    def name(self) -> str:
        return f"{self.origin} -> relay -> slow node, {self.payload_bytes:,} B"

    @property
    def handler_s(self) -> float:
        return max(_HANDLER_S, self.payload_bytes / _HANDLER_BYTES_S)

    def plan(self, folder: Path) -> Plan:
        first = (
            source(self.payload_bytes, rate=OVERLOAD / self.handler_s)
            if self.origin == "connector"
            else algorithm("source", "stateful", "send", self.payload_bytes)
        )
        relay = algorithm("relay", "stateless", "relay")
        return plan_of([first, relay, algorithm("sink", "stateless", "slow", self.handler_s)], folder)


CASES = tuple(Case(origin, size) for origin in ("connector", "algorithm") for size in (100, 10_000, 1_000_000))


def limit_bytes(plan: Plan, node: str) -> int:
    """What an instance of this node may take."""
    planned = plan.nodes[node]
    held = (CREDIT_BYTES if planned.inputs else 0) + (RETAINED_BYTES_MAX if planned.outputs else 0)
    return held + ALLOWANCE_BYTES


def watch(case: Case, window_s: float) -> list[dict[str, Any]]:
    """One figure for each process: the most that it was seen to take."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        plan = case.plan(Path(folder))
        with EngineSide(plan, Path(folder)) as side:
            most = most_rss(side, len(plan.nodes), window_s)
            return [
                {
                    "case": case.name,
                    "node": node,
                    "rss_bytes_max": most[node],
                    "limit_bytes": limit_bytes(plan, node),
                    "handled": side.received(node),
                }
                for node in plan.nodes
            ]


def most_rss(side: EngineSide, count: int, window_s: float) -> dict[str, int]:
    """The most memory that each of so many instances takes from the moment when all are there; by node."""
    deadline = time.monotonic() + _BEGIN_S
    while len(processes := side.processes()) < count:
        if time.monotonic() > deadline:
            raise BenchmarkError(f"only {len(processes)} of {count} processes are there after {_BEGIN_S:.0f} s")
        side.go_on(_SAMPLE_S)
    most = dict.fromkeys(processes, 0)
    ended_s = time.monotonic() + window_s
    while time.monotonic() < ended_s:
        side.go_on(_SAMPLE_S)
        for node, process in processes.items():
            most[node] = max(most[node], rss_bytes(process))
    return most


def table(figures: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (
            f["case"],
            f["node"],
            f"{f['rss_bytes_max'] / _MB:.0f}",
            f"{f['limit_bytes'] / _MB:.0f}",
            f"{f['handled']:,}",
        )
        for f in figures
    ]
    return page.table(("pipeline", "node"), ("RSS at most, MB", "limit, MB", "messages received"), rows)


def over_limit(figures: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        f"{f['case']}: {f['node']} took {f['rss_bytes_max']:,} bytes, over its limit of {f['limit_bytes']:,}"
        for f in figures
        if f["rss_bytes_max"] > f["limit_bytes"]
    ]


def main(arguments: Sequence[str]) -> int:
    parser = parser_of(NAME, "Memory under overload.")
    parser.add_argument("--window", type=float, default=3.0, metavar="SECONDS", help="how long the overload lasts")
    options = parser.parse_args(arguments)
    figures: list[dict[str, Any]] = []
    for case in chosen(parser, CASES, options.only):
        tell(case.name)
        figures += watch(case, options.window)
    publish(NAME, arguments, figures, table(figures), options.json)
    for problem in over_limit(figures):
        tell(problem)
    return 1 if over_limit(figures) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
