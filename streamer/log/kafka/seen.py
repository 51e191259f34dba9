"""Which records of one partition count, for readers who come and go on at any place.

A fence judges records in their order, each once, from the beginning. A reader may begin in the middle, or read again:
so the fence is brought up to that place first, and what it has refused is remembered. That is little: a record is only
refused if a controller that was replaced has written it.
"""

from __future__ import annotations

from streamer.log.base import Claim, Record
from streamer.log.fence import Fence


class Seen:
    """Of one partition. `until` is the last offset that was judged; -1 if none was."""

    def __init__(self) -> None:
        self._fence = Fence()
        self._refused: set[int] = set()
        self._claims: dict[str, Claim] = {}
        self.until = -1

    def admits(self, record: Record) -> bool:
        """Whether it counts. Records are asked about in their order; those that were judged may come again."""
        if record.offset <= self.until:
            return record.offset not in self._refused
        self.until = record.offset
        if not self._fence.admits(record):
            self._refused.add(record.offset)
            return False
        if record.is_claim and record.epoch is not None:
            holder = (record.value or b"").decode(errors="replace")
            self._claims[record.scope] = Claim(record.scope, record.epoch, holder)
        return True

    def claimed(self, scope: str) -> Claim | None:
        """The claim in force, as far as was judged."""
        return self._claims.get(scope)
