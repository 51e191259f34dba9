"""Which version each record took, as stories that follow each other: for tests that count canaries by the record."""

from __future__ import annotations

from collections.abc import Sequence

from streamer.limits import CANARY_PARTS, CANARY_RUN
from streamer.protocol.canary import takes_canary


def by_share(origin: int, percent: int, count: int, canary: int, other: int) -> list[int]:
    """By record, the version that its id says while so many percent take the canary."""
    parts = percent * CANARY_PARTS // 100
    return [canary if takes_canary(origin, n, parts, CANARY_RUN) else other for n in range(count)]


def turns(taken: Sequence[int], *stories: Sequence[int]) -> list[int]:
    """The first record at which each of these stories can have begun, if they follow each other and explain all."""
    found = {0: 0}
    going = {0}
    for at, version in enumerate(taken):
        going = {k for k in range(min(going), len(stories)) if stories[k][at] == version}
        assert going, f"record {at} took version {version}"
        for k in going:
            found.setdefault(k, at)
    assert len(stories) - 1 in going, "the last story has not begun"
    return [found[k] for k in sorted(found)]
