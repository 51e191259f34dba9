"""Rates that change with time: how many messages are due after so many seconds, and when a message is due.

A program is a function of the time since its start and of nothing else, so that two jobs with the same program can be
compared, and a test can ask it for any moment. It is kept as the *count* of messages due, the integral of the rate, and
not as the rate itself: adding up `rate * interval` would depend on how often it is asked, and drift. The time of a
message is looked for in the count by halving, which one function does for every shape, waves included; it costs some
microseconds per batch.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

_COUNT_MAX = 1e18
"""More than any position; keeps absurd rates from becoming infinite."""
_HALVINGS = 60


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a program: `count(u)` messages are due in its first `u` seconds, and it never falls."""

    seconds: float
    count: Callable[[float], float]


class Program:
    """Stretches one after the other; then they repeat, or the rate `hold` goes on for ever."""

    def __init__(self, stretches: Sequence[Stretch], hold: float | None) -> None:
        self._stretches = stretches
        self._hold = hold
        self._times = [0.0, *accumulate(stretch.seconds for stretch in stretches)]
        self._counts = [0.0, *accumulate(stretch.count(stretch.seconds) for stretch in stretches)]

    @property
    def seconds(self) -> float:
        """How long the stretches take."""
        return self._times[-1]

    def count(self, elapsed_s: float) -> float:
        """Messages due in the first `elapsed_s` seconds."""
        if self._hold is not None and elapsed_s >= self.seconds:
            return min(_COUNT_MAX, self._counts[-1] + self._hold * (elapsed_s - self.seconds))
        rounds, rest_s = divmod(elapsed_s, self.seconds)
        at = min(bisect_right(self._times, rest_s), len(self._stretches)) - 1
        within = self._counts[at] + self._stretches[at].count(rest_s - self._times[at])
        return min(
            _COUNT_MAX, rounds * self._counts[-1] + max(0.0, within)
        )  # a wave rounds to just below 0 at its start

    def when(self, count: float) -> float:
        """The moment at which more than `count` messages begin to be due; infinite if that never comes."""
        if self._hold is not None:
            if count >= self._counts[-1]:
                over = count - self._counts[-1]
                return self.seconds + over / self._hold if self._hold else math.inf
            return self._within(count)
        if not self._counts[-1]:
            return math.inf
        rounds, rest = divmod(count, self._counts[-1])
        return rounds * self.seconds + self._within(rest)

    def place(self, count: float) -> float:
        """`when`, put back to the earliest time from which the program goes on in the same way."""
        moment = self.when(count)
        if moment == math.inf:
            return self.seconds
        return min(moment, self.seconds) if self._hold is not None else moment % self.seconds

    def _within(self, count: float) -> float:
        """When `count` is passed in the first round."""
        at = min(bisect_right(self._counts, count), len(self._stretches)) - 1
        stretch, wanted = self._stretches[at], count - self._counts[at]
        low, high = 0.0, stretch.seconds
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            if stretch.count(middle) > wanted:
                high = middle
            else:
                low = middle
        return self._times[at] + high


def program_of(rate: float | Mapping[str, Any]) -> Program:
    """The program that the field `rate` of a generator describes."""
    return _SHAPES[rate["shape"]](rate) if isinstance(rate, Mapping) else Program((), float(rate))


def _steps(spec: Mapping[str, Any]) -> Program:
    steps = [_linear(step["seconds"], step["rate"], step["rate"]) for step in spec["steps"]]
    return Program(steps, None if spec.get("repeat") else float(spec["steps"][-1]["rate"]))


def _ramp(spec: Mapping[str, Any]) -> Program:
    return Program([_linear(spec["seconds"], spec["from"], spec["to"])], float(spec["to"]))


def _sine(spec: Mapping[str, Any]) -> Program:
    """One wave from `low` over `high` back to `low`."""
    seconds, middle, swing = float(spec["seconds"]), (spec["low"] + spec["high"]) / 2, (spec["high"] - spec["low"]) / 2
    turn = 2 * math.pi / seconds
    return Program([Stretch(seconds, lambda u: middle * u - swing * math.sin(turn * u) / turn)], None)


def _spikes(spec: Mapping[str, Any]) -> Program:
    """A spike ends each round."""
    length = float(spec["seconds"])
    base, peak = spec["base"], spec["peak"]
    return Program([_linear(spec["every"] - length, base, base), _linear(length, peak, peak)], None)


_SHAPES: Mapping[str, Callable[[Mapping[str, Any]], Program]] = {
    "steps": _steps,
    "ramp": _ramp,
    "sine": _sine,
    "spikes": _spikes,
}


def _linear(seconds: float, first: float, last: float) -> Stretch:
    slope = (last - first) / seconds
    return Stretch(float(seconds), lambda u: first * u + slope * u * u / 2)
