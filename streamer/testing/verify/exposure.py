"""Which messages were unsettled while something was done to the job: those, and no others, may be overtaken.

What was not settled when an instance died is sent again, and comes later than it would have. That excuses nothing
else: a record that was settled on every edge before a fault struck, or was read when its effects were over, must be in
its place. So what the sources' pages say is settled is taken down right before each fault, and what they have read once
its effects are over; all in between, and nothing else, was exposed to it. A gateway has no positions: there the
client's own clock tells which messages it had under way. How many were exposed says how much a run has tried.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from streamer.protocol.settlement import RangeSet

ENDLESS = 1 << 60


@dataclass(frozen=True, slots=True)
class Progress:
    """Of one source: what is settled on each of its edges, and the end of what was read."""

    settled: Sequence[RangeSet]
    end: int


@dataclass(slots=True, eq=False)
class Window:
    """The time in which one fault can be felt; `ends` are those of the sources when it was opened."""

    opened_at: float
    ends: Mapping[str, int]
    closed_at: float | None = None


@dataclass(slots=True)
class Exposure:
    """By source, the positions that were unsettled at a fault, and the windows of all faults."""

    positions: dict[str, RangeSet] = field(default_factory=dict)
    windows: list[Window] = field(default_factory=list)

    def open(self, now: float, progress: Mapping[str, Progress]) -> Window:
        """A fault strikes now. `progress` was taken before it does; a source that has none yet has read nothing."""
        for source, one in progress.items():
            for settled in one.settled:
                for low, high in settled.missing(0, one.end):
                    self._of(source).add(low, high)
        window = Window(now, {source: one.end for source, one in progress.items()})
        self.windows.append(window)
        return window

    def close(self, window: Window, now: float, progress: Mapping[str, Progress]) -> None:
        """Its effects are over: all that was read since it struck was exposed to it."""
        window.closed_at = now
        for source, one in progress.items():
            self._of(source).add(window.ends.get(source, 0), one.end)

    def finish(self) -> None:
        """The job has ended: what is still felt was felt to the end."""
        for window in self.windows:
            if window.closed_at is None:
                for source in self.positions.keys() | window.ends.keys():
                    self._of(source).add(window.ends.get(source, 0), ENDLESS)

    def covers(self, source: str, position: int) -> bool:
        return source in self.positions and position in self.positions[source]

    def overlaps(self, began: float, ended: float) -> bool:
        """Whether a message that was under way in this time was unsettled at a fault."""
        return any(
            window.opened_at <= ended and (window.closed_at is None or began <= window.closed_at)
            for window in self.windows
        )

    def _of(self, source: str) -> RangeSet:
        return self.positions.setdefault(source, RangeSet())
