"""Letting messages gather: an instance that is woken for every few of them spends its time on waking.

What a step costs depends little on how many messages it handles, and at some thousands a second they come in such
numbers that the steps alone fill the cores; then all that runs there waits for its turn, and a message takes a tenth
of a second that would have taken a millisecond. So an instance that is at work for most of the time, and finds several
messages at each look, lets some more come before it looks again: for twice as long as its last step took, and never
long. A message that comes alone never waits for this, however often that happens. Network cards coalesce their
interrupts for the same reason (Mogul and Ramakrishnan, Eliminating Receive Livelock in an Interrupt-driven Kernel,
1997).
"""

from __future__ import annotations

from streamer.limits import GATHER_MAX_S

_SMOOTHING = 0.1
"""Weight of the last step in the moving averages."""
_BUSY = 0.5
"""At work for a larger part of its time than this, it is busy."""
_SEVERAL = 2.5
_FACTOR = 2.0
"""A pause is so many times as long as the step before it."""


class Gathering:
    """Of the loop of one instance: told of each step that is followed by a wait."""

    __slots__ = ("_busy", "_messages")

    def __init__(self) -> None:
        self._busy = 0.0
        self._messages = 0.0

    def pause_s(self, step_s: float, messages: int) -> float:
        """How long to let messages gather after a step that took so long and handled so many. 0.0: not at all."""
        if messages:
            self._messages += _SMOOTHING * (messages - self._messages)
        if self._busy < _BUSY or self._messages < _SEVERAL:
            return 0.0
        return min(GATHER_MAX_S, _FACTOR * step_s)

    def waited(self, step_s: float, wait_s: float) -> None:
        """After that step, and a pause, nothing came for so long."""
        whole_s = step_s + wait_s
        if whole_s > 0.0:
            self._busy += _SMOOTHING * (step_s / whole_s - self._busy)
