"""The port of a platform: start an instance, kill it, and hear what it printed and how it ended.

The controller must be able to say "kill -9" and know afterwards that nothing of that life goes on, before it starts the
next one: two lives of one instance would both own its state. So a life is told ended only when its process, and what
that process started, are gone. What is right to start or to kill is not decided here; nothing here waits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from streamer.plan.assignment import Assignment

OnOutput = Callable[[str, str, str], None]
"""Called with node, instance and one line, for each line that an instance prints."""


@dataclass(frozen=True, slots=True)
class Exit:
    """A life is over. `code` is negative for a signal, None where nobody could see it; `output` are its last lines."""

    instance: str
    epoch: int
    code: int | None
    output: tuple[str, ...]


class Platform(Protocol):
    """One thread calls it; no call blocks for longer than starting a process takes."""

    def start(self, assignment: Assignment) -> None:
        """Begin a life. Raises PlatformError if that cannot be done."""

    def kill(self, instance: str, epoch: int) -> None:
        """End a life at once; its exit is told like any other. A life that is over is left alone."""

    def poll(self) -> tuple[Exit, ...]:
        """Serve the output of all instances, and give the lives that have ended since the last call."""

    def fileno(self) -> int:
        """A descriptor that is readable when `poll` has something to do; an exit may also come without it."""

    def close(self) -> None:
        """Let go of everything. Instances that are not to outlive their supervisor are killed and waited for."""
