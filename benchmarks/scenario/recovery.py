"""How long a stream stands still when an instance dies, or when a node is scaled.

A job goes on at full speed, something happens to it, and the *silence* is taken: the longest time for which the node
that is watched handles nothing. It includes all that has to be done before it goes on: to notice, to start a process,
to open the state, to be told by all others. A node with a million keys is filled first, which takes longer than all
else: a key that is new is one more for the checkpoint, and checkpoints have a tenth of the time. So all that can happen
to one job happens to it one after the other.

    python -m benchmarks.scenario.recovery [--events 3] [--keys 1000000] [--after 3] [--only TEXT] [--json FILE]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks import page
from benchmarks.command import chosen, parser_of, publish
from benchmarks.processes import own_children
from benchmarks.scenario.engine import EngineSide, Node, algorithm, plan_of, source
from benchmarks.scenario.side import BenchmarkError
from streamer.cli.output import tell
from streamer.control.hosts.home import open_log
from streamer.control.jobs import JobStatus
from streamer.control.wishes import want_replicas
from streamer.limits import SESSION_TIMEOUT_S

NAME = "scenario.recovery"
KEYS = 1_000_000
_PAYLOAD_BYTES = 100
_SAMPLE_S = 0.005
_FILL_S = 120.0
AFTER_S = 3.0
"""The stream is watched for so long after each event; and longer if it stands still at the end of it."""
_PATIENCE_S = 60.0


Happening = Callable[[EngineSide, int], None]


def _kill(instance: str) -> Happening:
    """Kill this instance, without a word."""

    def happen(_side: EngineSide, _number: int) -> None:
        (process,) = (child for path, child in own_children().items() if Path(path).parent.name == instance)
        process.kill()

    return happen


def _scale(node: str) -> Happening:
    """Ask for two instances of the node, and the next time for one."""

    def happen(side: EngineSide, number: int) -> None:
        with closing(open_log(side.home)) as log:
            want_replicas(log, side.job, node, 1 if number % 2 else 2)

    return happen


@dataclass(frozen=True, slots=True)
class Case:
    """`happen` comes over a job of these nodes once `watched` has handled `fill` messages."""

    name: str
    nodes: Sequence[Node]
    watched: str
    fill: int
    happen: Happening
    limit_s: float


_SOURCE = source(_PAYLOAD_BYTES)
_SINK = {"nodeName": "out", "kind": "sink", "spec": {"connector": "blackhole"}}
_SPREAD = (_SOURCE, {**algorithm("relay", "stateless", "relay"), "minStatelessCount": 3}, _SINK)


def cases(keys: int) -> tuple[Case, ...]:
    """With so many keys in the node that has any. The first two come over one job."""
    counting = algorithm("count", "stateful", "keyed", "tally", keys, "state")
    keyed = (_SOURCE, {**counting, "partitionBy": "id", "minReplicas": 1, "maxReplicas": 2})
    return (
        Case(f"a node with {keys:,} keys is killed", keyed, "count", keys, _kill("count-0"), 5.0),
        Case(f"a partitioned node with {keys:,} keys is scaled", keyed, "count", keys, _scale("count"), 5.0),
        Case(
            "one of three stateless instances is killed", _SPREAD, "out", 100_000, _kill("relay-1"), SESSION_TIMEOUT_S
        ),
    )


def silences_s(alike: Sequence[Case], events: int, after_s: float) -> list[list[float]]:
    """The longest time without a message in `after_s` after each event of each case, which are of one job.

    Raises BenchmarkError if the stream does not go on.
    """
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        nodes = [
            {**node, "input": [str(folder / "tally"), *node["input"][1:]]} if node.get("input") else node
            for node in alike[0].nodes
        ]
        found: list[list[float]] = []
        with EngineSide(plan_of(nodes, folder), folder) as side:
            for case in alike:
                _until(side, case, case.fill, _FILL_S)
                found.append([])
                for number in range(events):
                    case.happen(side, number)
                    found[-1].append(_silence_s(side, case, after_s))
                    tell(f"{number + 1} of {events}, {case.name}: {found[-1][-1]:.2f} s")
            account = side.end()
            if account.status is not JobStatus.STOPPED or not account.balanced:
                raise BenchmarkError(f"{alike[-1].name}: the job ended badly: {account.to_json()}")
        return found


def _until(side: EngineSide, case: Case, count: int, within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while (handled := side.handled(case.watched)) < count:
        if time.monotonic() > deadline:
            raise BenchmarkError(f"{case.name}: {handled} of {count} messages were handled within {within_s:.0f} s")
        side.go_on(_SAMPLE_S)


def _silence_s(side: EngineSide, case: Case, after_s: float) -> float:
    began = last = time.monotonic()
    longest, handled = 0.0, side.handled(case.watched)
    while (now := time.monotonic()) < began + after_s or now - last > after_s / 2:
        if now - last > _PATIENCE_S:
            raise BenchmarkError(f"{case.name}: nothing was handled for {_PATIENCE_S:.0f} s")
        side.go_on(_SAMPLE_S)
        if (more := side.handled(case.watched)) > handled:
            longest, last, handled = max(longest, time.monotonic() - last), time.monotonic(), more
    return longest


def figure_of(case: Case, silences: Sequence[float]) -> dict[str, Any]:
    return {
        "case": case.name,
        "silence_s": round(statistics.median(silences), 3),
        "silence_s_max": round(max(silences), 3),
        "events": len(silences),
        "limit_s": case.limit_s,
    }


def table(figures: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (f["case"], f"**{f['silence_s']:.2f}**", f"{f['silence_s_max']:.2f}", f["events"], f"{f['limit_s']:.0f}")
        for f in figures
    ]
    return page.table(("what happens",), ("silence, s", "longest, s", "events", "limit, s"), rows)


def main(arguments: Sequence[str]) -> int:
    parser = parser_of(NAME, "How long a stream stands still.")
    parser.add_argument("--events", type=int, default=3, help="how often it happens")
    parser.add_argument("--keys", type=int, default=KEYS, help="how many the node with keys has")
    parser.add_argument(
        "--after", type=float, default=AFTER_S, metavar="SECONDS", help="how long the stream is watched each time"
    )
    options = parser.parse_args(arguments)
    figures: list[dict[str, Any]] = []
    for _, group in groupby(chosen(parser, cases(options.keys), options.only), key=lambda case: case.nodes):
        alike = list(group)
        figures += map(figure_of, alike, silences_s(alike, options.events, options.after))
    publish(NAME, arguments, figures, table(figures), options.json)
    late = [figure for figure in figures if figure["silence_s_max"] > figure["limit_s"]]
    for figure in late:
        tell(f"{figure['case']}: the stream stood still for {figure['silence_s_max']:.1f} s")
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
