"""The reference: the same way over pyzmq and msgpack written straight down, in batches of 100 unless asked otherwise.

This is what a programmer writes who needs no engine: PUSH and PULL, a list of messages in each ZeroMQ message, one
thread in each process, the same functions called for each message. It has no acknowledgement, no account and no credit:
a process that dies loses what it held. The share of its rate that the engine reaches is the price of all that.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

import psutil

from benchmarks.processes import own_children
from benchmarks.scenario.side import BenchmarkError
from benchmarks.scenario.straight_stage import PACKED, Way

_PROGRAM = (sys.executable, "-m", "benchmarks.scenario.straight_stage")
_END_S = 30.0


class StraightSide:
    """A source, a relay if asked for, and a sink, as processes; `page` is where the last one counts.

    `rate` messages a second are sent if the way goes by the clock. `ipc` is over Unix sockets beside the page.
    """

    def __init__(
        self, page: Path, payload_bytes: int, *, relay: bool, way: Way = PACKED, rate: int = 0, ipc: bool = False
    ) -> None:
        self._arguments = (way.name, str(page), str(payload_bytes), str(rate), "ipc" if ipc else "tcp")
        self.tally = way.page(page)
        self._names = ["source", "relay", "sink"] if relay else ["source", "sink"]
        self._children: dict[str, subprocess.Popen[str]] = {}

    def __enter__(self) -> StraightSide:
        endpoint = "-"
        for name in self._names:
            child = subprocess.Popen(
                [*_PROGRAM, *self._arguments, endpoint, name],
                stdout=subprocess.PIPE,
                text=True,
            )
            self._children[name] = child
            assert child.stdout is not None
            endpoint = child.stdout.readline().strip()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in self._children.values():
            child.kill()
            child.wait()
            assert child.stdout is not None
            child.stdout.close()

    @property
    def shown(self) -> int:
        return self.tally.shown

    def go_on(self, duration_s: float) -> None:
        """Its processes need nobody."""
        time.sleep(duration_s)
        if any(child.poll() is not None for child in self._children.values()):
            raise BenchmarkError("a process of the reference has ended")

    def processes(self) -> dict[str, psutil.Process]:
        children = own_children()
        return {name: children[name] for name in self._names}

    def stop(self) -> int:
        self.tally.stop()
        counts: dict[str, int] = {}
        for name, child in self._children.items():
            told, _ = child.communicate(timeout=_END_S)
            counts[name] = int(told)
        if len(set(counts.values())) != 1:
            raise BenchmarkError(f"the reference has lost messages: {counts}")
        return 0
