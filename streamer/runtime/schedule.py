"""When the next checkpoint is due: as often as costs a small part of the time, and soon where nothing else is to do.

A checkpoint costs by its number, hardly by what it holds, so the pause after one follows from how long it took. A node
that has nothing else to do may spend a larger part of its time; and if it has had nothing to do for as long as a
checkpoint takes, it takes one, since its producers may be waiting for what it settles. That is the rule of who rents
skis until the rent is what they cost, and buys them then: whatever comes, at most twice the least is spent
(Karlin, Manasse, Rudolph and Sleator, Competitive Snoopy Caching, 1988).
"""

from __future__ import annotations

from dataclasses import dataclass

from streamer.limits import (
    CHECKPOINT_IDLE_PART,
    CHECKPOINT_MAX_S,
    CHECKPOINT_PART,
    CHECKPOINT_RETRY_S,
    CHECKPOINT_S,
)


@dataclass(frozen=True, slots=True)
class Schedule:
    """After one checkpoint: when the next is due while the node is busy, when at the latest while it is idle.

    `soonest`: not before that, however idle; `took_s`: how long the last one took.
    """

    busy_at: float = 0.0
    idle_at: float = 0.0
    soonest: float = 0.0
    took_s: float = 0.0

    @classmethod
    def after(cls, now: float, took_s: float) -> Schedule:
        """A checkpoint is taken, which took so long."""

        def pause_s(part: float) -> float:
            return min(CHECKPOINT_MAX_S, max(CHECKPOINT_S, took_s / part))

        return cls(now + pause_s(CHECKPOINT_PART), now + pause_s(CHECKPOINT_IDLE_PART), now + CHECKPOINT_S, took_s)

    def after_failure(self, now: float) -> Schedule:
        """It could not be written."""
        again = now + CHECKPOINT_RETRY_S
        return Schedule(again, again, again, self.took_s)

    def due_at(self, handled_at: float, *, idle: bool) -> float:
        """When the next one is due for a node that handled its last message at `handled_at`."""
        return min(self.idle_at, max(self.soonest, handled_at + self.took_s)) if idle else self.busy_at
