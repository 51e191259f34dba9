"""How fast n replicas of a node are together, learnt from what they have done at different n.

Replicas share a database, a disk, a machine: n of them seldom do n times the work of one. The work of one message takes
longer by about the same for each further replica (the contention term of Gunther's Universal Scalability Law), so busy
seconds per message are a straight line over n, and a weighted least-squares fit of what was seen gives its slope. With
too little seen, or a line that falls, the slope is zero: replicas then add up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

_FORGET = 0.995
"""Weight of an observation after each further one: at a tick of 5 s half of it is left after 12 minutes."""
_SPREAD_LEAST = 2.0
"""Variance of n from which on a slope is believed."""
_CONTENTION_MOST = 0.02


@dataclass(frozen=True, slots=True)
class Work:
    """Weighted sums of observations (n - 1, busy seconds per message)."""

    weight: float = 0.0
    x: float = 0.0
    y: float = 0.0
    xx: float = 0.0
    xy: float = 0.0

    def seen(self, replicas: int, busy_s: float) -> Work:
        x = replicas - 1.0
        return Work(
            self.weight * _FORGET + 1.0,
            self.x * _FORGET + x,
            self.y * _FORGET + busy_s,
            self.xx * _FORGET + x * x,
            self.xy * _FORGET + x * busy_s,
        )

    @property
    def contention(self) -> float:
        """By which part of its time alone a message takes longer for each further replica."""
        if self.weight <= 0.0:
            return 0.0
        mean_x, mean_y = self.x / self.weight, self.y / self.weight
        spread = self.xx / self.weight - mean_x * mean_x
        if spread < _SPREAD_LEAST:
            return 0.0
        slope = (self.xy / self.weight - mean_x * mean_y) / spread
        alone = mean_y - slope * mean_x
        return min(_CONTENTION_MOST, max(0.0, slope / alone)) if alone > 0.0 else 0.0


@dataclass(frozen=True, slots=True)
class Speed:
    """`rate`: messages per second of one replica if it were alone; `new_rate` that of a further one."""

    rate: float
    contention: float = 0.0
    new_rate: float | None = None

    def capacity(self, replicas: float) -> float:
        """n * rate / (1 + contention * (n - 1)); n may be a mean over time."""
        return replicas * self.rate / (1 + self.contention * max(0.0, replicas - 1)) if replicas > 0 else 0.0

    def replicas_for(self, needed: float) -> float:
        """The n, not rounded, whose capacity is `needed`."""
        left = self.rate - self.contention * needed
        if left <= 0.0:
            return math.inf
        return max(0.0, needed * (1 - self.contention) / left)

    def growing_from(self, held: int, needed: float) -> float:
        """As above, where those beyond `held` have the rate of a new one.

        Where contention would not let any number do, it is what their rate as it is now asks for: what is expected to
        gain nothing is tried in steps.
        """
        if self.contention * needed >= self.rate and held > 0:
            return needed * held / self.capacity(held)
        missing = needed - self.capacity(held)
        if missing <= 0.0 or self.new_rate is None or self.new_rate == self.rate:
            return self.replicas_for(needed)
        return held + replace(self, rate=self.new_rate, new_rate=None).replicas_for(missing)
