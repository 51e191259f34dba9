"""Reasons to end that come from outside: Ctrl-C and SIGTERM, counted, and the end of whoever a process belongs to.

The first signal asks for an end in order, the second one for an end at once. A command looks at the count when it comes
to it, so that nothing is torn by a signal in the middle.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType, TracebackType


class Interrupts:
    """Counts Ctrl-C and SIGTERM while it is entered; a signal handler may do no more than that."""

    def __init__(self) -> None:
        self.count = 0
        self._before: dict[int, Callable[[int, FrameType | None], object] | int | None] = {}

    def __enter__(self) -> Interrupts:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1


def is_orphaned(parent: int) -> bool:
    """Whether the process of this number is our parent no more; 0 is nobody's number, and never gone."""
    return bool(parent) and os.getppid() != parent
