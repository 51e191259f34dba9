"""What processes cost: their CPU time and memory, and what the rest of the machine did meanwhile.

On a shared machine a neighbour halves a rate without leaving a trace in it. So the load from elsewhere is taken with
each measurement, and one that was taken in bad company is taken again.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

_START_FIELD = 19
"""The time of the start among the fields of `/proc/PID/stat` behind the name of the program."""


def cpu_s(process: psutil.Process) -> float:
    """CPU time of all threads of a process so far."""
    times = process.cpu_times()
    return float(times.user + times.system)


def exact_cpu_s(process: psutil.Process) -> float:
    """The same to the nanosecond where Linux tells it, of the threads that are alive; an idle process needs that."""
    tasks = Path("/proc") / str(process.pid) / "task"
    try:
        return sum(int(file.read_text().split()[0]) for file in tasks.glob("*/schedstat")) / 1e9 or cpu_s(process)
    except FileNotFoundError:
        return cpu_s(process)


def age_s(process: psutil.Process) -> float:
    """How long ago a process was started, to a hundredth of a second on Linux."""
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return time.time() - process.create_time()
    # the time of day of a start is known to a whole second there, since the time of the machine's own start is
    after_name = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(after_name[_START_FIELD]) / os.sysconf("SC_CLK_TCK")


def rss_bytes(process: psutil.Process) -> int:
    """Resident memory now; 0 of a process that has ended."""
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def machine_busy_s() -> float:
    """CPU time that anybody used on this machine so far, what its host took away included."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0))


def host_took_s() -> float:
    """The part of that for which a virtual machine waited for its host: others' work there, or a core to wake up."""
    return float(getattr(psutil.cpu_times(), "steal", 0.0))


def own_children() -> dict[str, psutil.Process]:
    """Children of this process by the last argument that they were started with."""
    found: dict[str, psutil.Process] = {}
    for child in psutil.Process().children():
        try:
            last = child.cmdline()[-1]
        except (psutil.NoSuchProcess, psutil.ZombieProcess, IndexError):
            continue  # it has ended between the listing and the question
        found[last] = child
    return found


def family_cpu_s() -> float:
    """CPU time of this process and its children so far, of those that have ended too."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    living = [psutil.Process(), *psutil.Process().children()]
    return ended.ru_utime + ended.ru_stime + sum(map(cpu_s, living))


@dataclass(frozen=True, slots=True)
class Spent:
    """CPU time in a span: by process, and by everybody else in cores, of which the host took `stolen_cores`."""

    cpu_s: Mapping[str, float]
    elsewhere_cores: float
    stolen_cores: float


class CpuMeter:
    """Begins with its making; the driver's own time belongs to the engine's side and not to the others."""

    def __init__(self, processes: Mapping[str, psutil.Process]) -> None:
        self._processes = dict(processes)
        self._began_s = time.monotonic()
        self._busy_s, self._stolen_s = machine_busy_s(), host_took_s()
        self._driver_s = cpu_s(psutil.Process())
        self._cpu_s = {name: cpu_s(process) for name, process in processes.items()}

    def read(self) -> Spent:
        spent = {name: cpu_s(process) - self._cpu_s[name] for name, process in self._processes.items()}
        driver_s = cpu_s(psutil.Process()) - self._driver_s
        others_s = machine_busy_s() - self._busy_s - sum(spent.values()) - driver_s
        stolen_s, elapsed_s = host_took_s() - self._stolen_s, time.monotonic() - self._began_s
        return Spent(spent, max(0.0, others_s / elapsed_s), stolen_s / elapsed_s)


@dataclass(frozen=True, slots=True)
class Passage:
    """A span of work of this process and its children: its length, their CPU time, and what others used meanwhile."""

    elapsed_s: float
    cpu_s: float
    elsewhere_cores: float


class FamilyMeter:
    """Begins with its making. Children may come and go, so that it serves where a job or a program ends by itself."""

    def __init__(self) -> None:
        self._busy_s = machine_busy_s()
        self._cpu_s = family_cpu_s()
        self._began_s = time.monotonic()

    def read(self) -> Passage:
        elapsed_s = time.monotonic() - self._began_s
        spent_s = family_cpu_s() - self._cpu_s
        others_s = machine_busy_s() - self._busy_s - spent_s
        return Passage(elapsed_s, spent_s, max(0.0, others_s / elapsed_s))
