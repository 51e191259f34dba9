"""A peer as a side of a comparison: its processes, started by its own interpreter, and the pages in which they count.

All are started at once, for their imports take long. Each prints a line when it is ready, where it is bound, and reads
one, where the process before it is; the source prints another when it has stopped: how much it has sent. Whether all of
that has arrived is the peer's business: messages that it loses are counted and told, and are no defect of the
measurement. Messages that arrive twice would be one.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import psutil

from benchmarks.scenario.side import BenchmarkError
from benchmarks.scenario.tally import Tally

_READY_S = 60.0
_END_S = 60.0
_TOGETHER_S = 0.5
_QUIET_S = 3.0
"""What has not arrived when the count has stood still for so long is lost. HKube asks again after one second."""
_POLL_S = 0.02
_ERROR_CHARS = 2000


@dataclass(frozen=True, slots=True)
class Program:
    """One process: `name` is its part in the flow, `arguments` follow the folder."""

    name: str
    code: Path
    arguments: tuple[str, ...] = ()


class PeerSide:
    """These processes below `folder`, the source first; the last `tallies` of them count."""

    def __init__(self, interpreter: Path, programs: Sequence[Program], folder: Path, *, tallies: int = 1) -> None:
        self._interpreter = interpreter
        self._programs = programs
        self._folder = folder
        self._tallies = [Tally(folder / f"tally-{number}") for number in range(tallies)]
        self._children: dict[str, subprocess.Popen[str]] = {}

    def __enter__(self) -> PeerSide:
        self._children = {program.name: self._started(program) for program in self._programs}
        try:
            before = ""
            for name, child in self._children.items():
                here = self._line(name, _READY_S)
                assert child.stdin is not None
                child.stdin.write(f"{before}\n")
                child.stdin.flush()
                before = here
        except (BenchmarkError, OSError):
            self.__exit__(None, None, None)
            raise
        return self

    def _started(self, program: Program) -> subprocess.Popen[str]:
        command = [self._interpreter, program.code, self._folder, *program.arguments]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        with self._errors(program.name).open("w") as errors:
            return subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=environment,
                cwd=self._folder,
            )

    def _errors(self, name: str) -> Path:
        return self._folder / f"{name}.err"

    def _line(self, name: str, within_s: float) -> str:
        """The next line that this process prints. Raises BenchmarkError if it ends, or does not print in time."""
        told = self._children[name].stdout
        assert told is not None
        readable, _, _ = select.select([told], [], [], within_s)
        line = told.readline() if readable else ""
        if not line:
            raise BenchmarkError(f"{name} of the peer has said nothing within {within_s:.0f} s{self._last_words(name)}")
        return line.strip()

    def _last_words(self, name: str) -> str:
        written = self._errors(name).read_text(errors="replace").strip()
        return f": {written[-_ERROR_CHARS:]}" if written else ""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in self._children.values():
            child.kill()
        for child in self._children.values():
            child.wait()
            for pipe in (child.stdin, child.stdout):
                assert pipe is not None
                with contextlib.suppress(BrokenPipeError):  # a line to a process that had ended
                    pipe.close()

    @property
    def shown(self) -> int:
        return sum(tally.shown for tally in self._tallies)

    def go_on(self, duration_s: float) -> None:
        """Its processes need nobody."""
        time.sleep(duration_s)
        if any(child.poll() is not None for child in self._children.values()):
            raise BenchmarkError(
                "; ".join(f"{name} of the peer has ended{self._last_words(name)}" for name in self._ended())
            )

    def _ended(self) -> list[str]:
        """One that ends may take its neighbours with it before it is gone itself: a moment later all are seen."""
        for child in self._children.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(_TOGETHER_S)
        return [name for name, child in self._children.items() if child.poll() is not None]

    def processes(self) -> Mapping[str, psutil.Process]:
        return {name: psutil.Process(child.pid) for name, child in self._children.items()}

    def stop(self) -> int:
        self._tallies[0].stop()
        sent = int(self._line(self._programs[0].name, _END_S))
        arrived, since_s = self.shown, time.monotonic()
        while arrived < sent and time.monotonic() - since_s < _QUIET_S:
            time.sleep(_POLL_S)
            if self.shown > arrived:
                arrived, since_s = self.shown, time.monotonic()
        if arrived > sent:
            raise BenchmarkError(f"{sent} messages were sent, and {arrived} have arrived")
        return sent - arrived
