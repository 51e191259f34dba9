"""Which version of the flows the roots of a source take, by their positions.

A record that is read again must go the way that it went before, or a part of what was made of it would stand beside
another part that was made in another way. So the version of a root is a function of its id: the versions that a source
has taken stand here with the positions from which on it took them, the canary's with its share of them, and the end of
all positions that may ever have been sent, in the page that is in force before a frame leaves. A new version begins
behind that end, never before.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from streamer.limits import CANARY_RUN, HISTORY_SPANS_MAX
from streamer.protocol.canary import runs

UNKNOWN = 0
"""In the place of a version that is over: all that took it is settled."""


class Taken(NamedTuple):
    """What positions take: `version`, and so many `parts` of CANARY_PARTS of them the version `canary`."""

    version: int
    canary: int = UNKNOWN
    parts: int = 0

    @property
    def versions(self) -> tuple[int, ...]:
        return (self.version, self.canary) if self.parts else (self.version,)

    def pieces(self, origin: int, positions: Sequence[int]) -> Iterator[tuple[int, int, int]]:
        """(version, first index, end) of ascending positions of this origin."""
        if not self.parts:
            if positions:
                yield self.version, 0, len(positions)
            return
        for of_canary, first, end in runs(origin, positions, self.parts, CANARY_RUN):
            yield self.canary if of_canary else self.version, first, end


_NOTHING = Taken(UNKNOWN)


class History:
    """`starts[i]` is the first position that took `taken[i]`; positions from `end` on have taken nothing yet."""

    __slots__ = ("end", "starts", "taken")

    def __init__(self, end: int = 0, starts: Sequence[int] = (), taken: Sequence[Taken] = ()) -> None:
        self.end = end
        self.starts = list(starts)
        self.taken = list(taken)

    def extend(self, end: int, taken: Taken) -> None:
        """All positions to before `end` that have taken nothing yet take this."""
        if end > self.end:
            if not self.taken or (self.taken[-1] != taken and len(self.taken) < HISTORY_SPANS_MAX):
                self.starts.append(self.end)
                self.taken.append(taken)
            self.end = end

    def at(self, position: int) -> Taken:
        """What a position below the end takes."""
        place = bisect_right(self.starts, position)
        return self.taken[place - 1] if place else _NOTHING

    def spans(self) -> Iterator[tuple[Taken, int, int]]:
        """(what they take, first position, end) of all positions below the end."""
        starts = [0, *self.starts]
        for taken, first, last in zip([_NOTHING, *self.taken], starts, [*starts[1:], self.end], strict=True):
            if first < last:
                yield taken, first, last

    def pieces(self, origin: int, positions: Sequence[int]) -> Iterator[tuple[int, int, int]]:
        """(version, first index, end) of ascending positions of this origin, all below the end."""
        at = 0
        while at < len(positions):
            following = bisect_right(self.starts, positions[at])
            last = len(positions)
            if following < len(self.starts):
                last = bisect_left(positions, self.starts[following])
            taken = self.at(positions[at])
            if not taken.parts:
                yield taken.version, at, last
            else:
                for version, first, end in taken.pieces(origin, positions[at:last]):
                    yield version, at + first, at + end
            at = last

    def forget(self, versions: Collection[int], floor: int) -> None:
        """Let go of what the oldest positions took: of all that lie below `floor`, or if none of these versions."""
        while self.taken:
            end = self.starts[1] if len(self.starts) > 1 else self.end
            if any(version in versions for version in self.taken[0].versions) and (end > floor or len(self.taken) == 1):
                return
            del self.starts[0], self.taken[0]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, History) and (self.end, self.starts, self.taken) == (
            other.end,
            other.starts,
            other.taken,
        )

    def __repr__(self) -> str:
        return f"History(end={self.end}, starts={self.starts}, taken={self.taken})"

    __hash__ = None  # type: ignore[assignment]  # it changes
