"""A loop of asyncio in virtual time: `await asyncio.sleep(10)` in a played handler costs no time of the machine.

The loop asks its selector to wait until the next timer; this selector moves the clock of the life instead, and only
when there is nothing to wait for but a thread or the network does it wait for real, where whoever watches the play
sees it. So `async` functions of a played pipeline are called one after the other, each to its end: calls that overlap
would need all instances on one loop, and the outcome of a play would depend on its order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from selectors import DefaultSelector, SelectorKey
from typing import Any

from streamer.testing.life import Life


class _VirtualSelector(DefaultSelector):
    def __init__(self, life: Life) -> None:
        super().__init__()
        self._life = life

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        if timeout is None:
            return super().select(None)
        ready = super().select(0)
        if not ready and timeout > 0:
            self._life.work_for(timeout)
        return ready


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self, life: Life) -> None:
        self._life = life
        super().__init__(_VirtualSelector(life))

    def time(self) -> float:
        return self._life.now()


class Completion:
    """Completes the coroutines of one life, on a loop that stays the same for what they keep between calls."""

    def __init__(self, life: Life) -> None:
        self._life = life
        self._runner: asyncio.Runner | None = None

    def of(self, coroutine: Coroutine[Any, Any, Any]) -> object:
        if self._runner is None:
            self._runner = asyncio.Runner(loop_factory=lambda: _VirtualLoop(self._life))
        return self._runner.run(coroutine)

    def close(self) -> None:
        if self._runner is not None:
            self._runner.close()
