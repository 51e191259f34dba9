"""Which version of the flows the roots of a source take, by their positions.

A record that is read again must go the way that it went before, or a part of what was made of it would stand beside
another part that was made in another way. So the version of a root is a function of its position: the versions that a
source has taken stand here with the positions from which on it took them, and the end of all positions that may ever
have been sent, in the page that is in force before a frame leaves. A new version begins behind that end, never before.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Sequence

UNKNOWN = 0
"""In the place of a version that is over: all that took it is settled."""


class History:
    """`starts[i]` is the first position that took `versions[i]`; positions from `end` on have taken none yet."""

    __slots__ = ("end", "starts", "versions")

    def __init__(self, end: int = 0, starts: Sequence[int] = (), versions: Sequence[int] = ()) -> None:
        self.end = end
        self.starts = list(starts)
        self.versions = list(versions)

    def extend(self, end: int, version: int) -> None:
        """All positions to before `end` that have taken no version yet take this one."""
        if end > self.end:
            if not self.versions or self.versions[-1] != version:
                self.starts.append(self.end)
                self.versions.append(version)
            self.end = end

    def at(self, position: int) -> int:
        """The version of a position below the end."""
        place = bisect_right(self.starts, position)
        return self.versions[place - 1] if place else UNKNOWN

    def spans(self) -> Iterator[tuple[int, int, int]]:
        """(version, first position, end) of all positions that have taken one."""
        starts = [0, *self.starts]
        for version, first, last in zip([UNKNOWN, *self.versions], starts, [*starts[1:], self.end], strict=True):
            if first < last:
                yield version, first, last

    def pieces(self, positions: Sequence[int]) -> Iterator[tuple[int, int, int]]:
        """(version, first index, end) of ascending positions, all below the end."""
        at = 0
        while at < len(positions):
            following = bisect_right(self.starts, positions[at])
            last = len(positions)
            if following < len(self.starts):
                last = bisect_left(positions, self.starts[following])
            yield self.at(positions[at]), at, last
            at = last

    def keep(self, versions: Collection[int]) -> None:
        """Forget which positions took the oldest versions, up to the first one of these."""
        while self.versions and self.versions[0] not in versions:
            del self.starts[0], self.versions[0]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, History) and (self.end, self.starts, self.versions) == (
            other.end,
            other.starts,
            other.versions,
        )

    def __repr__(self) -> str:
        return f"History(end={self.end}, starts={self.starts}, versions={self.versions})"

    __hash__ = None  # type: ignore[assignment]  # it changes
