"""The port through which the autoscaler hears of jobs: their instances' points of the last window.

A source of metrics that cannot answer raises, and one that answers only in part says so in `failure`: what it does not
know is missing from the answer, never zero. Times are times of day, since points come from other processes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from autoscaler.collect.points import Point
from autoscaler.snapshot import History

Points = Mapping[str, Sequence[Point]]
"""By instance, the oldest first."""
Histories = Mapping[str, Mapping[str, History]]
"""By job and node."""


@dataclass(frozen=True, slots=True)
class Reading:
    """`jobs` has the points of each job of which something is known.

    `histories` are what nodes took in during the last two seasons, by job and node, if there is a season.
    `fallback`: they do not come from the metrics server that was configured. `failure` says in one line what is missing
    and what to do, '' if nothing is.
    """

    jobs: Mapping[str, Points] = field(default_factory=dict)
    histories: Histories = field(default_factory=dict)
    fallback: bool = False
    failure: str = ""


class MetricsSource(Protocol):
    def read(self, jobs: Sequence[str], now: float) -> Reading:
        """What is known of these jobs at `now`. Raises MetricsError."""
