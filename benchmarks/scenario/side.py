"""One side of a comparison, and how a side is measured: from outside, in the middle of its flow.

The driver waits until messages arrive, lets it warm up, and reads the count of the last process at two moments. Start
and end are left out; what was lost or made twice shows when the side is stopped. It is an error, unless the side is
another engine, which may lose what it likes: then it is told.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, TypeVar

import psutil

from benchmarks.processes import CpuMeter
from streamer.errors import StreamerError

_BEGIN_S = 30.0
_POLL_S = 0.02


class BenchmarkError(StreamerError):
    """What is measured does not do what it should: its figures would be worth nothing."""

    remedy = "Run the benchmark again on a quiet machine; if it stays so, the engine has a defect."


class Side(AbstractContextManager["Side"], Protocol):
    """Entering starts its processes, leaving ends them whatever state they are in."""

    @property
    def shown(self) -> int:
        """How many messages have arrived."""

    def go_on(self, duration_s: float) -> None:
        """Let it do its work for so long."""

    def processes(self) -> Mapping[str, psutil.Process]: ...

    def stop(self) -> int:
        """End the flow in order; how many messages it has lost. Raises BenchmarkError where losing any is a defect."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One measurement. `cpu_us` is CPU time per message by process, `elsewhere_cores` what others used meanwhile.

    `stolen_cores` is the part of that which the host of a virtual machine took. `lost` is how many messages have not
    arrived, from the start to the end of the side.
    """

    rate: float
    cpu_us: Mapping[str, float]
    elsewhere_cores: float
    lost: int = 0
    stolen_cores: float = 0.0


class InCompany(Protocol):
    """A measurement that knows how many cores others used meanwhile."""

    @property
    def elsewhere_cores(self) -> float: ...


Measured = TypeVar("Measured", bound=InCompany)


def measure(make: Callable[[], Side], warm_up_s: float, window_s: float) -> Figures:
    """Start a side, measure it in the middle, stop it."""
    with make() as side:
        warm_up(side, warm_up_s)
        meter = CpuMeter(side.processes())
        began_s, before = time.monotonic(), side.shown
        side.go_on(window_s)
        ended_s, after = time.monotonic(), side.shown
        spent = meter.read()
        lost = side.stop()
    count = after - before
    if count <= 0:
        raise BenchmarkError(f"nothing has arrived in {window_s} s")
    cpu_us = {name: round(1e6 * s / count, 3) for name, s in spent.cpu_s.items()}
    company = round(spent.elsewhere_cores, 2), lost, round(spent.stolen_cores, 2)
    return Figures(count / (ended_s - began_s), cpu_us, *company)


def warm_up(side: Side, warm_up_s: float) -> None:
    """Wait for the first message, and so long after it."""
    deadline = time.monotonic() + _BEGIN_S
    while not side.shown:
        if time.monotonic() > deadline:
            raise BenchmarkError(f"nothing has arrived after {_BEGIN_S:.0f} s")
        side.go_on(_POLL_S)
    side.go_on(warm_up_s)


def measure_in_quiet(
    make: Callable[[], Side], warm_up_s: float, window_s: float, *, elsewhere_cores_max: float, tries: int
) -> Figures:
    """A measurement in good company."""
    return in_quiet(lambda: measure(make, warm_up_s, window_s), elsewhere_cores_max=elsewhere_cores_max, tries=tries)


def in_quiet(take: Callable[[], Measured], *, elsewhere_cores_max: float, tries: int) -> Measured:
    """The first measurement in which others used little, or the one of `tries` in which they used least."""
    taken: list[Measured] = []
    for _ in range(tries):
        taken.append(take())
        if taken[-1].elsewhere_cores <= elsewhere_cores_max:
            return taken[-1]
    return min(taken, key=lambda measured: measured.elsewhere_cores)
