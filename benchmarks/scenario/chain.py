"""Whether a hop costs the same however long the chain is: the CPU time of all processes, by message and hop.

With more processes than cores a longer chain carries fewer messages a second, and that says nothing about the engine.
What one message costs on one hop should stay the same; if it grew, something would be paid for twice.

    python -m benchmarks.scenario.chain [--rounds 5] [--json FILE]
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import aims, page
from benchmarks.aims import Aim
from benchmarks.scenario.engine import EngineSide, algorithm, plan_of, source
from benchmarks.scenario.pairs import cpu_us, median_rate
from benchmarks.scenario.rounds import Case, Entrant, Rounds, Taken
from benchmarks.scenario.tally import Tally

_PAYLOAD_BYTES = 100
_PROCESSES = (3, 4, 5)
_AIM = Aim("a fourth and fifth process in the chain: CPU time a message and hop beside three", 1.1, at_most=True)
_WARM_UP_S = 0.8
_WINDOW_S = 0.8
"""Five processes that have just started find their caches cold for longer than two."""


def engine(processes: int, folder: Path) -> EngineSide:
    """A source, relays and a sink, all of one instance."""
    tally = folder / "tally"
    relays = [algorithm(f"relay{n}", "stateful", "relay") for n in range(1, processes - 1)]
    sink = algorithm("sink", "stateful", "count", str(tally))
    return EngineSide(plan_of([source(_PAYLOAD_BYTES), *relays, sink], folder), folder, Tally(tally))


def _entrant(processes: int) -> Entrant:
    return Entrant(f"{processes} processes", partial(engine, processes))


def summarize(case: Case, taken: Taken) -> list[dict[str, Any]]:
    """One figure for each chain; ratios are to the shortest one in the same round."""
    hops = {_entrant(processes).name: processes - 1 for processes in _PROCESSES}
    by_hop = {name: [cpu_us(one) / hops[name] for one in figures] for name, figures in taken.items()}
    first = case.entrants[0].name
    found = []
    for name, figures in taken.items():
        ratios = [one / other for one, other in zip(by_hop[name], by_hop[first], strict=True)]
        figure = {
            "case": name,
            "cpu_us_hop": round(statistics.median(by_hop[name]), 2),
            "cpu_ratio": round(statistics.median(ratios), 3),
            "cpu_ratio_min": round(min(ratios), 3),
            "cpu_ratio_max": round(max(ratios), 3),
            "per_s": median_rate(figures),
            "rate_ratio": round(
                statistics.median(a.rate / b.rate for a, b in zip(figures, taken[first], strict=True)), 3
            ),
            "elsewhere_cores_max": max(one.elsewhere_cores for one in figures),
        }
        found.append({**figure, "aims": aims.judge({"cpu_ratio": None if name == first else _AIM}, figure)})
    return found


def table(figures: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (
            f["case"],
            f"{f['cpu_us_hop']:.2f}",
            f"**{f['cpu_ratio']:.2f}**",
            f"{f['cpu_ratio_min']:.2f} to {f['cpu_ratio_max']:.2f}",
            *aims.cells(f["aims"].get("cpu_ratio")),
            f"{f['per_s']:,}",
            f"{f['rate_ratio']:.2f}",
            f"{f['elsewhere_cores_max']:.2f}",
        )
        for f in figures
    ]
    columns = ("CPU us a message and hop", "ratio", "from to", *aims.COLUMNS, "messages/s", "ratio", "others")
    return page.table(("chain of",), columns, rows)


CHAIN = Case(f"chains, {_PAYLOAD_BYTES} B", list(map(_entrant, _PROCESSES)), _WARM_UP_S)
ROUNDS = Rounds(
    "scenario.chain", "CPU time a hop, in chains of several lengths.", (CHAIN,), summarize, table, _WINDOW_S
)

if __name__ == "__main__":
    sys.exit(ROUNDS.main(sys.argv[1:]))
