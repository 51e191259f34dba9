"""A stateful source: reads one process after the other, and sends a reading of each.

It is stateful because CPU and I/O are differences between two looks at the same process. It is paced, so that it
costs a few per cent of one core, and it takes a process that vanishes, or that it may not look into, as a fact of life.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, TypedDict

import psutil
from streamer_algorithm import AlgorithmArgs, StreamingApi

ROUND_S = 0.05
SPAN_S = 1.0
MIB = 1024 * 1024

stopping = threading.Event()


class Reading(TypedDict):
    """What a process did during the last second."""

    time: float
    pid: int
    name: str
    cpu_percent: float
    memory_mib: float
    io_mib_s: float


class Counters(NamedTuple):
    """What a process has used since it began, as seen `at` some time."""

    at: float
    cpu_s: float
    io_bytes: int


@dataclass
class Observed:
    """A process, and its counters over the last second or so: a shorter span would see the ticks of the kernel."""

    process: psutil.Process
    name: str
    past: deque[Counters]


@dataclass
class Host:
    """The processes of this machine, read in turns."""

    observed: dict[int, Observed] = field(default_factory=dict)

    def readings(self) -> Iterator[Reading]:
        """One reading of each process that was there before; a new one is noted, and read from the next turn on."""
        present = set(psutil.pids())
        for pid in self.observed.keys() - present:
            del self.observed[pid]
        for pid in sorted(present):
            try:
                known = self.observed.get(pid)
                if known is None:
                    self.observed[pid] = _observe(psutil.Process(pid))
                else:
                    yield _read(known)
            except (psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
                self.observed.pop(pid, None)


def _observe(process: psutil.Process) -> Observed:
    with process.oneshot():
        return Observed(process, process.name(), deque([_counters(process)]))


def _read(known: Observed) -> Reading:
    process, past = known.process, known.past
    with process.oneshot():
        now, memory = _counters(process), process.memory_info().rss
    past.append(now)
    while now.at - past[1].at > SPAN_S:
        past.popleft()
    span_s = max(now.at - past[0].at, 1e-3)
    return Reading(
        time=time.time(),
        pid=process.pid,
        name=known.name,
        cpu_percent=round(100 * (now.cpu_s - past[0].cpu_s) / span_s, 1),
        memory_mib=round(memory / MIB, 1),
        io_mib_s=round((now.io_bytes - past[0].io_bytes) / MIB / span_s, 3),
    )


def _counters(process: psutil.Process) -> Counters:
    times = process.cpu_times()
    return Counters(time.monotonic(), times.user + times.system, _io_bytes(process))


def _io_bytes(process: psutil.Process) -> int:
    # Not every system has these counters, and most show them only to the owner of the process.
    try:
        counters = process.io_counters()
    except (AttributeError, psutil.AccessDenied):
        return 0
    return counters.read_bytes + counters.write_bytes


def start(args: AlgorithmArgs, api: StreamingApi) -> None:
    rate: float = args["input"][0]
    host = Host()
    began, sent = time.monotonic(), 0
    while not stopping.is_set():
        for reading in host.readings():
            api.sendMessage(reading)
            sent += 1
            # Ahead of the rate: wait, but not for each message, as a wait of a millisecond is seldom one.
            ahead_s = sent / rate - (time.monotonic() - began)
            if ahead_s > ROUND_S and stopping.wait(ahead_s):
                return
        stopping.wait(ROUND_S)


def stop(args: AlgorithmArgs) -> None:
    stopping.set()
