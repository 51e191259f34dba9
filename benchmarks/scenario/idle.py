"""What an edge costs that carries nothing: the CPU time of a job that has nothing to do.

An idle job still has heartbeats on every edge, reports of every instance and the supervisor that reads them. A source
gives one message, so that every edge is seen to be open, and the next one is due after hours. CPU times are read to the
nanosecond where the system has them, since an idle process uses less than the hundredth of a second that is usual. A
job is watched for several windows in a row, and the figure is their median.

    python -m benchmarks.scenario.idle [--rounds 5] [--window 1.6] [--only TEXT] [--json FILE]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks import aims, page
from benchmarks.aims import Aim
from benchmarks.command import chosen, parser_of, publish
from benchmarks.processes import CpuMeter, exact_cpu_s
from benchmarks.scenario.engine import EngineSide, algorithm, plan_of, source
from benchmarks.scenario.side import warm_up
from streamer.cli.output import tell

NAME = "scenario.idle"
_PER_HOUR = 1 / 3600
_PAYLOAD_BYTES = 100
_AIM = Aim("idle edge, % of a core", 0.5, at_most=True)
_SETTLE_S = 2.0
"""After the first message: what a start leaves behind is done by then."""


@dataclass(frozen=True, slots=True)
class Case:
    """A source, so many instances of a relay, and a sink."""

    relays: int

    @property
    def name(self) -> str:
        return f"source -> {'relay' if self.relays == 1 else f'{self.relays} relays'} -> sink"

    @property
    def edges(self) -> int:
        """Between two instances each."""
        return 2 * self.relays

    def engine(self, folder: Path) -> EngineSide:
        relay = {**algorithm("relay", "stateless", "relay"), "minStatelessCount": self.relays}
        nodes = [source(_PAYLOAD_BYTES, rate=_PER_HOUR), relay, algorithm("sink", "stateless", "take")]
        return EngineSide(plan_of(nodes, folder), folder, counted="sink")


CASES = (Case(1), Case(4))


def watch(case: Case, rounds: int, window_s: float) -> dict[str, Any]:
    """Percent of a core that each instance and this process, the supervisor, used: medians of the rounds."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder, case.engine(Path(folder)) as side:
        warm_up(side, _SETTLE_S)
        watched = {**side.processes(), "supervisor": psutil.Process()}
        meter = CpuMeter(side.processes())
        found = [_percent(side, watched, window_s) for _ in range(rounds)]
        elsewhere_cores = meter.read().elsewhere_cores
        side.stop()
    percent = {name: statistics.median(one[name] for one in found) for name in watched}
    supervisor = percent.pop("supervisor")
    figure = {
        "case": case.name,
        "edges": case.edges,
        "percent_an_edge": round(sum(percent.values()) / case.edges, 3),
        "percent_by_instance": {name: round(value, 3) for name, value in percent.items()},
        "percent_supervisor": round(supervisor, 3),
        "elsewhere_cores": round(elsewhere_cores, 2),
    }
    return {**figure, "aims": aims.judge({"percent_an_edge": _AIM}, figure)}


def _percent(side: EngineSide, watched: Mapping[str, psutil.Process], window_s: float) -> dict[str, float]:
    """Of one core, in one window."""
    began_s, before = time.monotonic(), {name: exact_cpu_s(process) for name, process in watched.items()}
    side.go_on(window_s)
    length_s = time.monotonic() - began_s
    return {name: 100 * (exact_cpu_s(process) - before[name]) / length_s for name, process in watched.items()}


def table(figures: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (
            f["case"],
            f["edges"],
            f"**{f['percent_an_edge']:.2f}**",
            *aims.cells(f["aims"].get("percent_an_edge")),
            " + ".join(f"{percent:.2f}" for percent in f["percent_by_instance"].values()),
            f"{f['percent_supervisor']:.2f}",
            f"{f['elsewhere_cores']:.2f}",
        )
        for f in figures
    ]
    columns = ("edges", "% of a core an edge", *aims.COLUMNS, "by instance", "supervisor", "others, cores")
    return page.table(("idle job",), columns, rows)


def main(arguments: Sequence[str]) -> int:
    parser = parser_of(NAME, "CPU time of a job that carries nothing.")
    parser.add_argument("--rounds", type=int, default=5, help="windows in which each job is watched")
    parser.add_argument("--window", type=float, default=1.6, metavar="SECONDS", help="length of each")
    options = parser.parse_args(arguments)
    figures = []
    for case in chosen(parser, CASES, options.only):
        tell(case.name)
        figures.append(watch(case, options.rounds, options.window))
    publish(NAME, arguments, figures, table(figures), options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
