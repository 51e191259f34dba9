"""What it takes to be there: the time until an instance runs, and the memory of a message that waits.

An instance is added to a job that does nothing else, and its time counts from the start of its process until the
controller knows that it runs. A job of three nodes is timed from its start until its sink has handled a message.

Messages wait where a source sends more than its sink can handle, up to the limit of the edge. Two jobs differ in this
limit alone, and what the one takes more than the other, divided by the messages that it holds more, is what a message
costs: interpreter, libraries and sockets are the same in both.

    python -m benchmarks.scenario.footprint [--rounds 5] [--only TEXT] [--json FILE]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import page
from benchmarks.command import chosen, parser_of, publish
from benchmarks.processes import age_s, rss_bytes
from benchmarks.scenario.engine import EngineSide, Node, algorithm, plan_of, source
from benchmarks.scenario.side import BenchmarkError
from streamer.cli.output import tell
from streamer.control.hosts.home import open_log
from streamer.control.wishes import want_replicas
from streamer.limits import MIB

NAME = "scenario.footprint"
_PAYLOAD_BYTES = 100
_RATE = 100
_LOOK_S = 0.005
_PATIENCE_S = 60.0
_HANDLER_S = 1.0
_FEW_BYTES, _MANY_BYTES = 8 * MIB, 64 * MIB
_STEADY_S = 1.0
_STEADY_MESSAGES = 10
"""So few more or less in that time: the edge is full, and its sink has handled one or two."""
_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class StartUp:
    """How long a start takes; `times_s` takes it so many times."""

    name: str
    times_s: Callable[[int], list[float]]


@dataclass(frozen=True, slots=True)
class Waiting:
    """Messages of this size that wait."""

    payload_bytes: int

    @property
    def name(self) -> str:
        return f"a waiting message of {self.payload_bytes:,} B"


@contextmanager
def _job(*nodes: Node) -> Iterator[EngineSide]:
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        yield EngineSide(plan_of(nodes, Path(folder)), Path(folder), counted=nodes[-1]["nodeName"])


def _until(side: EngineSide, come: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not come():
        if time.monotonic() > deadline:
            raise BenchmarkError(f"{what}: not after {_PATIENCE_S:.0f} s")
        side.go_on(_LOOK_S)


def _until_first_message(side: EngineSide) -> None:
    _until(side, lambda: side.shown > 0, "the first message")


def instances_s(count: int) -> list[float]:
    """So many more instances of a relay, one after the other."""
    found = []
    relay = algorithm("relay", "stateless", "relay")
    with _job(source(_PAYLOAD_BYTES, rate=1), relay, algorithm("sink", "stateless", "take")) as side, side:
        _until_first_message(side)
        with closing(open_log(side.home)) as log:
            for number in range(1, count + 1):
                instance = f"relay-{number}"
                want_replicas(log, side.job, "relay", number + 1)
                _until(side, partial(side.runs, instance), f"{instance} runs")
                found.append(age_s(side.processes()[instance]))
        side.stop()
    return found


def jobs_s(count: int) -> list[float]:
    """So many jobs of a source, a relay and a sink, one after the other."""
    found = []
    for _ in range(count):
        relay, sink = algorithm("relay", "stateless", "relay"), algorithm("sink", "stateless", "take")
        with _job(source(_PAYLOAD_BYTES, rate=_RATE), relay, sink) as side:
            began_s = time.monotonic()
            with side:
                _until_first_message(side)
                found.append(time.monotonic() - began_s)
                side.stop()
    return found


CASES: tuple[StartUp | Waiting, ...] = (
    StartUp("an instance, until it runs", instances_s),
    StartUp("a job of three nodes, until the first message", jobs_s),
    Waiting(100),
    Waiting(1000),
)


def started(case: StartUp, rounds: int) -> dict[str, Any]:
    times_s = case.times_s(rounds)
    return {
        "case": case.name,
        "start_s": round(statistics.median(times_s), 3),
        "start_s_min": round(min(times_s), 3),
        "start_s_max": round(max(times_s), 3),
        "rounds": rounds,
    }


def waited(case: Waiting) -> dict[str, Any]:
    few, few_bytes = _full(case.payload_bytes, _FEW_BYTES)
    many, many_bytes = _full(case.payload_bytes, _MANY_BYTES)
    by_message = (many_bytes - few_bytes) / (many - few)
    return {
        "case": case.name,
        "messages": many - few,
        "rss_bytes": many_bytes - few_bytes,
        "bytes_a_message": round(by_message),
        "bytes_over_payload": round(by_message - case.payload_bytes),
    }


def _full(payload_bytes: int, queue_bytes: int) -> tuple[int, int]:
    """How many messages wait on an edge that is full, and the memory of both its instances."""
    slow = {**algorithm("sink", "stateless", "slow", _HANDLER_S), "queueBytes": queue_bytes}
    with _job(algorithm("source", "stateful", "send", payload_bytes), slow) as side, side:
        deadline, before = time.monotonic() + _PATIENCE_S, -_STEADY_MESSAGES
        while abs((now := _in_flight(side)) - before) > _STEADY_MESSAGES or not now:
            if time.monotonic() > deadline:
                raise BenchmarkError(f"the edge is not full after {_PATIENCE_S:.0f} s")
            before = now
            side.go_on(_STEADY_S)
        return now, sum(map(rss_bytes, side.processes().values()))


def _in_flight(side: EngineSide) -> int:
    (edge,) = side.account().edges
    return edge.in_flight


def table(figures: Sequence[Mapping[str, Any]]) -> str:
    starts = [
        (f["case"], f"**{f['start_s']:.2f}**", f"{f['start_s_min']:.2f} to {f['start_s_max']:.2f}", f["rounds"])
        for f in figures
        if "start_s" in f
    ]
    waiting = [
        (
            f["case"],
            f"{f['messages']:,}",
            f"{f['rss_bytes'] / _MB:.0f}",
            f"{f['bytes_a_message']:,}",
            f"**{f['bytes_over_payload']:,}**",
        )
        for f in figures
        if "messages" in f
    ]
    times = page.table(("start of",), ("seconds", "from to", "times"), starts)
    memory = page.table(("memory of",), ("messages", "RSS, MB", "bytes each", "bytes over the payload"), waiting)
    return "\n\n".join(text for text, rows in ((times, starts), (memory, waiting)) if rows)


def main(arguments: Sequence[str]) -> int:
    parser = parser_of(NAME, "Time of a start, and memory of a waiting message.")
    parser.add_argument("--rounds", type=int, default=5, help="starts of each kind")
    options = parser.parse_args(arguments)
    figures = []
    for case in chosen(parser, CASES, options.only):
        tell(case.name)
        figures.append(started(case, options.rounds) if isinstance(case, StartUp) else waited(case))
    publish(NAME, arguments, figures, table(figures), options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
