"""Timing one operation on a frame of messages: enough calls for the clock, several rounds, the median of them.

Cases of a module take turns, so that a slow moment of the machine meets all of them. The collector is off meanwhile,
as the engine keeps it nearly off.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

FRAME = 100
PAYLOAD_BYTES = 100


@dataclass(frozen=True, slots=True)
class Case:
    """`operate` treats `messages` messages. `reference` names the case of the same module that it is compared with."""

    operate: Callable[[], object]
    messages: int = FRAME
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """Nanoseconds a message, and how many times as long as its reference."""

    case: str
    ns: float
    ratio: float | None


def message(number: int) -> dict[str, object]:
    return {"id": number, "data": b"x" * PAYLOAD_BYTES}


def time_cases(cases: Mapping[str, Case], rounds: int, round_s: float) -> list[Timing]:
    """Median over the rounds, each of about `round_s` a case."""
    calls = {name: _calls(case, round_s) for name, case in cases.items()}
    taken: dict[str, list[float]] = {name: [] for name in cases}
    collected = gc.isenabled()
    gc.disable()
    try:
        for _ in range(rounds):
            for name, case in cases.items():
                taken[name].append(1e9 * _round_s(case, calls[name]) / (calls[name] * case.messages))
    finally:
        if collected:
            gc.enable()
    ns = {name: statistics.median(values) for name, values in taken.items()}
    return [
        Timing(name, round(ns[name], 1), round(ns[name] / ns[case.reference], 2) if case.reference else None)
        for name, case in cases.items()
    ]


def _calls(case: Case, round_s: float) -> int:
    case.operate()
    once = max(_round_s(case, 3) / 3, 1e-7)
    return max(1, int(round_s / once))


def _round_s(case: Case, calls: int) -> float:
    operate, clock = case.operate, time.perf_counter
    began = clock()
    for _ in range(calls):
        operate()
    return clock() - began
