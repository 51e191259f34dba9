"""How many messages a second pass through a pipeline, beside others that carry the same messages over the same hops.

* *straight* is pyzmq and msgpack written straight down. Both sides build the same dicts, call a function of the same
  lines for each message, and are counted in the same way by the same driver; the engine also settles every message (at
  least once), keeps its account and reports. It never uses msgspec; the engine is taken without it, too: its instances
  get a path on which the import fails, as it does where the extra `fast` is not installed.
* *opaque* is pyzmq that joins a hundred payloads, sends them as one piece and counts pieces: the most that ZeroMQ gives
  a Python process, none of whose messages has been looked at.
* *HKube* is its Python wrapper, where the peers are installed.

A round takes all of them, so that each is measured once, whatever it is compared with. The figure to look at is the
lower one of stateless and stateful.

    python -m benchmarks.scenario.throughput [--rounds 5] [--only TEXT] [--json FILE]
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.aims import Aim
from benchmarks.peers import hkube
from benchmarks.scenario.engine import EngineSide, algorithm, plan_of, source
from benchmarks.scenario.rounds import Case, Entrant, Rounds
from benchmarks.scenario.straight import StraightSide
from benchmarks.scenario.straight_stage import OPAQUE
from benchmarks.scenario.tally import Tally

_STRAIGHT, _OPAQUE, _HKUBE = "straight", "opaque", "HKube"
_AIM = Aim("2 and 3 processes beside raw pyzmq with msgpack batches of 100, with msgspec", 1.0)
_AIM_WITHOUT_MSGSPEC = Aim("2 and 3 processes beside raw pyzmq with msgpack batches of 100, without msgspec", 0.75)
_OPAQUE_AIMS = {
    size: Aim(f"2 and 3 processes beside raw pyzmq with opaque batches of 100, {size} B", ratio)
    for size, ratio in ((100, 0.12), (1000, 0.40))
}
_HKUBE_AIMS = {
    (size, relay): Aim(f"{3 if relay else 2} processes beside HKube, {size} B", ratio)
    for size, relay, ratio in ((100, False, 200), (100, True, 130), (1000, False, 150), (1000, True, 80))
}
_HKUBE_CPU_AIMS = {100: Aim("CPU time a message beside HKube, 100 B", 100)}
_HIDES_MSGSPEC = Path(__file__).resolve().parent / "without_msgspec"


@dataclass(frozen=True, slots=True)
class Pipeline:
    """`origin` is what makes the messages, `state_type` what kind of nodes handle them."""

    origin: str
    relay: bool
    state_type: str
    payload_bytes: int


def engine(pipeline: Pipeline, folder: Path, environment: Mapping[str, str] | None = None) -> EngineSide:
    tally = folder / "tally"
    nodes = [
        source(pipeline.payload_bytes)
        if pipeline.origin == "connector"
        else algorithm("source", "stateful", "send", pipeline.payload_bytes)
    ]
    if pipeline.relay:
        nodes.append(algorithm("relay", pipeline.state_type, "relay"))
    nodes.append(algorithm("sink", pipeline.state_type, "count", str(tally)))
    return EngineSide(plan_of(nodes, folder), folder, Tally(tally), environment=environment)


def without_msgspec() -> Mapping[str, str]:
    """Variables of a process that is not to find msgspec."""
    path = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": os.pathsep.join([str(_HIDES_MSGSPEC), *([path] if path else [])])}


def straight(payload_bytes: int, relay: bool, folder: Path) -> StraightSide:
    return StraightSide(folder / "tally", payload_bytes, relay=relay)


def opaque(payload_bytes: int, relay: bool, folder: Path) -> StraightSide:
    return StraightSide(folder / "tally", payload_bytes, relay=relay, way=OPAQUE)


def _references(payload_bytes: int, relay: bool) -> Iterator[Entrant]:
    yield Entrant(_OPAQUE, partial(opaque, payload_bytes, relay))
    yield Entrant(_HKUBE, partial(hkube.side, payload_bytes, relay), packages=hkube.PACKAGES)
    yield Entrant(_STRAIGHT, partial(straight, payload_bytes, relay))


def _ours(payload_bytes: int, relay: bool) -> Iterator[Entrant]:
    aims = {
        _STRAIGHT: _AIM,
        _OPAQUE: _OPAQUE_AIMS[payload_bytes],
        _HKUBE: _HKUBE_AIMS[payload_bytes, relay],
    }
    cpu_aims = {_HKUBE: _HKUBE_CPU_AIMS[payload_bytes]} if payload_bytes in _HKUBE_CPU_AIMS else {}
    for state_type in ("stateless", "stateful"):
        make = partial(engine, Pipeline("connector", relay, state_type, payload_bytes))
        yield Entrant(state_type, make, aims, cpu_aims)
    for state_type in ("stateless", "stateful"):
        pipeline = Pipeline("connector", relay, state_type, payload_bytes)
        make = partial(engine, pipeline, environment=without_msgspec())
        yield Entrant(f"{state_type}, without msgspec", make, {_STRAIGHT: _AIM_WITHOUT_MSGSPEC})
    if not relay:
        make = partial(engine, Pipeline("algorithm", relay, "stateful", payload_bytes))
        yield Entrant("stateful, behind an algorithm", make, {_STRAIGHT: None})


def _case(payload_bytes: int, relay: bool) -> Case:
    name = f"source{' -> relay' if relay else ''} -> sink, {payload_bytes} B"
    return Case(name, [*_references(payload_bytes, relay), *_ours(payload_bytes, relay)])


ROUNDS = Rounds(
    "scenario.throughput",
    "Engine beside raw pyzmq, with and without a codec, and beside HKube's Python wrapper.",
    [_case(payload_bytes, relay) for payload_bytes in _OPAQUE_AIMS for relay in (False, True)],
)

if __name__ == "__main__":
    sys.exit(ROUNDS.main(sys.argv[1:]))
