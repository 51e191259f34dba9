"""What the shape of a pipeline costs: more flows, more consumers, more producers, beside the simplest of each.

A frame carries messages of several flows, so sharing them over flows should cost the names and nothing else. Instances
share the cores: once there are more of them than cores, a ratio below 1 tells what it costs to have them all.

    python -m benchmarks.scenario.shape [--rounds 5] [--only TEXT] [--json FILE]
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from benchmarks.scenario.engine import EngineSide, algorithm, plan_of, source
from benchmarks.scenario.rounds import Case, Entrant, Rounds

_PAYLOAD_BYTES = 100
_FLOWS = (2, 4, 8)
_INSTANCES = (4,)


def flows(count: int, folder: Path) -> EngineSide:
    """A node in the middle sends each message into another flow to the sink, by name."""
    nodes = [
        source(_PAYLOAD_BYTES),
        algorithm("spread", "stateful", "spread", count),
        algorithm("sink", "stateless", "take"),
    ]
    named = {f"f{n}": "spread >> sink" for n in range(count)}
    return EngineSide(plan_of(nodes, folder, more=named), folder, counted="sink")


def consumers(count: int, folder: Path) -> EngineSide:
    """One source, and a sink of so many instances."""
    sink = {**algorithm("sink", "stateless", "take"), "minStatelessCount": count}
    return EngineSide(plan_of([source(_PAYLOAD_BYTES), sink], folder), folder, counted="sink")


def producers(count: int, folder: Path) -> EngineSide:
    """So many sources, and one instance of a sink."""
    sources = [{**source(_PAYLOAD_BYTES), "nodeName": f"source{n}"} for n in range(count)]
    flow = " & ".join(node["nodeName"] for node in sources) + " >> sink"
    plan = plan_of([*sources, algorithm("sink", "stateless", "take")], folder, flow)
    return EngineSide(plan, folder, counted="sink")


def _flows(count: int, beside: Mapping[str, None]) -> Entrant:
    return Entrant(f"{count} flow{'s' if count > 1 else ''}", partial(flows, count), beside)


def _consumers(count: int, beside: Mapping[str, None]) -> Entrant:
    return Entrant(f"1 -> {count}", partial(consumers, count), beside)


def _producers(count: int, beside: Mapping[str, None]) -> Entrant:
    return Entrant(f"{count} -> 1", partial(producers, count), beside)


_ONE_FLOW, _ONE_EACH = _flows(1, {}), _consumers(1, {})
_BESIDE_ONE_FLOW, _BESIDE_ONE_EACH = {_ONE_FLOW.name: None}, {_ONE_EACH.name: None}

ROUNDS = Rounds(
    "scenario.shape",
    "Flows, consumers and producers, beside one of each.",
    [
        Case("flows", [_ONE_FLOW, *(_flows(count, _BESIDE_ONE_FLOW) for count in _FLOWS)]),
        Case(
            "instances",
            [
                _ONE_EACH,
                *(_consumers(count, _BESIDE_ONE_EACH) for count in _INSTANCES),
                *(_producers(count, _BESIDE_ONE_EACH) for count in _INSTANCES),
            ],
        ),
    ],
)

if __name__ == "__main__":
    sys.exit(ROUNDS.main(sys.argv[1:]))
