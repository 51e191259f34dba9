"""Virtual time: a clock that moves when nothing is left to do at the present moment, and what is to be done when.

Tests that sleep are slow and still fail on a slow machine; tests on a patched clock see one thread of time only. Here
all that happens is an action with a moment, actions of one moment happen in the order in which they were asked for, and
so an hour of a whole pipeline takes a second and comes out the same each time.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

Action = Callable[[], None]

START_S = 1_000.0
"""Not zero: a clock of a machine is never there, and code that reads 0.0 as "never" must not be flattered."""
EPOCH_S = 1_700_000_000.0
"""The time of day when virtual time begins."""


class VirtualClock:
    """`now` and `wall` have the form of `streamer.clock`."""

    def __init__(self) -> None:
        self._now = START_S
        self._actions: list[tuple[float, int, Action]] = []
        self._numbers = count()

    def now(self) -> float:
        return self._now

    def wall(self) -> float:
        return EPOCH_S + self._now - START_S

    @property
    def elapsed_s(self) -> float:
        """Since virtual time began."""
        return self._now - START_S

    def at(self, time_s: float, action: Action) -> None:
        """Do `action` at this moment, or now if that has passed."""
        heappush(self._actions, (max(time_s, self._now), next(self._numbers), action))

    def after(self, delay_s: float, action: Action) -> None:
        self.at(self._now + delay_s, action)

    @property
    def next_s(self) -> float:
        """The moment of the next action; infinity if there is none."""
        return self._actions[0][0] if self._actions else float("inf")

    def advance(self) -> bool:
        """Go to the next action and do it; False if there is none."""
        if not self._actions:
            return False
        self._now, _, action = heappop(self._actions)
        action()
        return True

    def run_until(self, time_s: float) -> None:
        """Do all that is due before or at this moment, and go there."""
        while self.next_s <= time_s:
            self.advance()
        self._now = max(self._now, time_s)
