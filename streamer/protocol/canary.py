"""Which roots take a canary: a version of the flows for a share of them.

A root that is read again must go the way that it went, in every life, so it is decided by its id and by nothing else.
Multiplicative hashing by the golden ratio (Knuth, "The Art of Computer Programming", vol. 3, 6.4) spreads consecutive
numbers as evenly as can be: a tenth is a tenth of every hundred, where drawing lots would make it five or fifteen. Who
is in a small share is in each larger one.

Neighbours are decided together, in runs of `grain`, so that what follows each other still travels together; order stays
as it is. A share of messages picked one by one would cut every frame into pieces, or put some before others.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from streamer.limits import CANARY_PARTS

_BITS = 64
_MASK = (1 << _BITS) - 1
_GOLDEN = 0x9E3779B97F4A7C15
"""2 ** 64 divided by the golden ratio."""


def takes_canary(origin: int, position: int, parts: int, grain: int) -> bool:
    """Whether the root at this position is in a share of so many parts of CANARY_PARTS."""
    return (origin + position // grain * _GOLDEN) & _MASK < (parts << _BITS) // CANARY_PARTS


def runs(origin: int, positions: Sequence[int], parts: int, grain: int) -> Iterator[tuple[bool, int, int]]:
    """(whether they take the canary, first index, end) of ascending positions: each as long as it can be."""
    began = at = 0
    before = False
    while at < len(positions):
        takes = takes_canary(origin, positions[at], parts, grain)
        if takes is not before and at > began:
            yield before, began, at
            began = at
        before = takes
        at = bisect_left(positions, (positions[at] // grain + 1) * grain, at)
    if began < at:
        yield before, began, at
