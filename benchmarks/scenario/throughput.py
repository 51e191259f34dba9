"""How many messages a second pass through a pipeline, beside pyzmq and msgpack written straight down.

Both sides build the same dicts, call a function of the same lines for each message, and are counted in the same way by
the same driver; the engine also settles every message (at least once), keeps its account and reports. Each pair is
taken within a few seconds, engine first, and the figure is the median of the pairs' ratios: what happens to the machine
in between happens to both.

    python -m benchmarks.scenario.throughput [--pairs 5] [--only TEXT] [--json FILE]
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import page
from benchmarks.command import chosen, parser_of, publish
from benchmarks.scenario.engine import EngineSide, algorithm, plan_of, source
from benchmarks.scenario.pairs import Effort, Pair, median_cpu_us, median_rate, summary, taken
from benchmarks.scenario.straight import StraightSide
from benchmarks.scenario.tally import Tally

NAME = "scenario.throughput"


@dataclass(frozen=True, slots=True)
class Case:
    """One pipeline. `origin` is what makes the messages, `state_type` what kind of nodes handle them."""

    origin: str
    relay: bool
    state_type: str
    payload_bytes: int

    @property
    def name(self) -> str:
        middle = " -> relay" if self.relay else ""
        return f"{self.origin}{middle} -> sink, {self.state_type}, {self.payload_bytes} B"


CASES = tuple(
    Case(origin, relay, state_type, payload_bytes)
    for payload_bytes in (100, 1000)
    for origin, relay, state_type in (
        ("connector", False, "stateless"),
        ("connector", False, "stateful"),
        ("connector", True, "stateless"),
        ("connector", True, "stateful"),
        ("algorithm", False, "stateful"),
    )
)


def engine(case: Case, folder: Path, environment: Mapping[str, str] | None = None) -> EngineSide:
    tally = folder / "tally"
    nodes = [
        source(case.payload_bytes)
        if case.origin == "connector"
        else algorithm("source", "stateful", "send", case.payload_bytes)
    ]
    if case.relay:
        nodes.append(algorithm("relay", case.state_type, "relay"))
    nodes.append(algorithm("sink", case.state_type, "count", str(tally)))
    return EngineSide(plan_of(nodes, folder), folder, Tally(tally), environment=environment)


def straight(case: Case, folder: Path) -> StraightSide:
    return StraightSide(folder / "tally", case.payload_bytes, relay=case.relay)


def compare(cases: Sequence[Case], effort: Effort) -> list[dict[str, Any]]:
    return [_summary(name, pairs) for name, pairs in taken(cases, engine, straight, effort).items()]


def _summary(name: str, pairs: Sequence[Pair]) -> dict[str, Any]:
    ours, theirs = zip(*pairs, strict=True)
    return {
        **summary(name, pairs),
        "engine_per_s": median_rate(ours),
        "straight_per_s": median_rate(theirs),
        "engine_cpu_us": median_cpu_us(ours),
        "straight_cpu_us": median_cpu_us(theirs),
    }


def table(figures: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (
            f["case"],
            f"**{f['ratio']:.2f}**",
            f"{f['ratio_min']:.2f} to {f['ratio_max']:.2f}",
            f"{f['cpu_ratio']:.2f}",
            f"{f['engine_per_s']:,}",
            f"{f['straight_per_s']:,}",
            _by_process(f["engine_cpu_us"]),
            _by_process(f["straight_cpu_us"]),
            f"{f['elsewhere_cores_max']:.2f}",
        )
        for f in figures
    ]
    columns = ("ratio", "from to", "CPU ratio", "messages/s", "straight", "CPU us a message", "straight", "others")
    return page.table(("pipeline",), columns, rows)


def _by_process(cpu_us: Mapping[str, float]) -> str:
    return " + ".join(f"{cpu_us[name]:.2f}" for name in ("source", "relay", "sink") if name in cpu_us)


def main(arguments: Sequence[str]) -> int:
    parser = parser_of(NAME, "Engine beside raw pyzmq.")
    parser.add_argument("--pairs", type=int, default=5, help="measurements of each side")
    parser.add_argument("--window", type=float, default=0.7, metavar="SECONDS", help="length of each")
    options = parser.parse_args(arguments)
    figures = compare(chosen(parser, CASES, options.only), Effort(options.pairs, options.window, warm_up_s=0.5))
    publish(NAME, arguments, figures, table(figures), options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
