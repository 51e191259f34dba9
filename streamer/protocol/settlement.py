"""What is settled: sets of numbers with a floor, and the one counter of an input frame.

A message is settled when its handler has succeeded and every message sent while handling it is settled. Keeping that
per message would cost more than carrying the message, so an input frame has one counter of what is still open, and asks
which of its messages those are only when it has grown old (`edge.Edge` can tell). Frames settle out of order; a floor
with ranges above it says all of it in absolute terms, so that a lost acknowledgement costs nothing.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence


class RangeSet:
    """A set of non-negative integers as a floor (all below it are in) and sorted half-open ranges above it.

    Ranges are kept flat, `[start, end, start, end, …]`: a number is in the set if its insertion point is odd. Adding
    at the floor, the usual case, costs a comparison; elsewhere two binary searches and a move of the tail.
    """

    __slots__ = ("floor", "ranges")

    def __init__(self, floor: int = 0, ranges: Iterable[int] = ()) -> None:
        self.floor = floor
        self.ranges: list[int] = list(ranges)

    def add(self, start: int, end: int) -> None:
        """Put all of `start <= n < end` into the set."""
        flat = self.ranges
        if start <= self.floor:
            if end > self.floor:
                self.floor = end
        elif start < end:
            low = bisect_left(flat, start)
            high = bisect_right(flat, end)
            flat[low:high] = ([start] if low % 2 == 0 else []) + ([end] if high % 2 == 0 else [])
        if flat and flat[0] <= self.floor:
            cut = bisect_right(flat, self.floor)
            if cut % 2:
                self.floor = flat[cut]
                cut += 1
            del flat[:cut]

    def __contains__(self, number: int) -> bool:
        return number < self.floor or bisect_right(self.ranges, number) % 2 == 1

    def __len__(self) -> int:
        """Count of members, those below the floor included."""
        return self.floor + sum(self.ranges[1::2]) - sum(self.ranges[::2])

    @property
    def end(self) -> int:
        """Behind the highest member."""
        return self.ranges[-1] if self.ranges else self.floor

    def above(self) -> Iterator[tuple[int, int]]:
        """The ranges above the floor, as (start, end)."""
        return zip(self.ranges[::2], self.ranges[1::2], strict=True)

    def missing(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The ranges within `start <= n < end` that are not in the set."""
        at = max(start, self.floor)
        for low, high in self.above():
            if low >= end:
                break
            if at < low:
                yield at, low
            at = max(at, high)
        if at < end:
            yield at, end

    def copy(self) -> RangeSet:
        return RangeSet(self.floor, self.ranges)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RangeSet) and (self.floor, self.ranges) == (other.floor, other.ranges)

    def __repr__(self) -> str:
        return f"RangeSet(floor={self.floor}, ranges={self.ranges})"

    __hash__ = None  # type: ignore[assignment]  # a mutable set has no hash


class Barrier:
    """Waits for roots that were sent before it, and for the barrier before it, if that still waits; then `fire`s."""

    __slots__ = ("_fire", "open")

    def __init__(self, fire: Callable[[], None], before: Barrier | None) -> None:
        self._fire = fire
        self.open = 1
        if before is not None and before.open:
            self.open += 1
            before.then(self)

    def then(self, barrier: Barrier) -> None:
        fire = self._fire

        def fire_both() -> None:
            fire()
            barrier.settle(1)

        self._fire = fire_both

    def settle(self, count: int) -> None:
        self.open -= count
        if self.open == 0:
            self._fire()


def intervals(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Half-open runs of ascending `numbers`: [1, 2, 3, 7] gives (1, 4), (7, 8)."""
    if isinstance(numbers, range) and numbers.step == 1:
        if numbers:
            yield numbers.start, numbers.stop
        return
    start = end = -1
    for number in numbers:
        if number != end:
            if start >= 0:
                yield start, end
            start = number
        end = number + 1
    if start >= 0:
        yield start, end
