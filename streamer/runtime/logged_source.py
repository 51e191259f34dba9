"""A source with `durability: log`: what it has read is on the disk before it is sent, so it need not be read again.

Records go through the entry of the instance. Those of a source that can be read again keep the positions that it gives
them: it is read on from the last batch that was logged, and what stands in the log already is passed over. All others
are counted here, over all lives, since such a source may count from zero in each. What was read and had not reached
the disk when the process was killed is read again, or, where that cannot be, was never accepted.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from streamer.clock import Clock
from streamer.connectors.base import Mark, Records, Source
from streamer.limits import FRAME_MESSAGES_MAX, READ_AHEAD_BYTES
from streamer.protocol.account import EdgeCounts, InstanceAccount
from streamer.protocol.identity import origin_of
from streamer.runtime.exits import Exits
from streamer.runtime.letters import Letters
from streamer.runtime.logged_entry import LoggedEntry
from streamer.runtime.outbox import Outbox
from streamer.runtime.reading import ReadingWork


class LoggedSourceWork(ReadingWork):
    """Hosts a connector's source whose instance has a log. Raises ConnectorError."""

    _source: Source

    def __init__(
        self,
        source: Source,
        exits: Exits,
        outbox: Outbox,
        account: InstanceAccount,
        letters: Letters,
        entry: LoggedEntry,
        epoch: int,
        *,
        wall: Clock,
    ) -> None:
        bad_origin = origin_of(exits.node, source.partition, 0 if source.replayable else epoch)
        super().__init__(source, outbox, account, letters, bad_origin)
        self._exits = exits
        self._entry = entry
        self._wall = wall
        self._next = entry.next
        mark = Mark(account.mark_position, account.mark_offset) if source.replayable else Mark(self._next, 0)
        source.open(mark)

    @property
    def _edges(self) -> Sequence[EdgeCounts]:
        return [edge.counts for edge in self._outbox.edges]

    # -- producing -------------------------------------------------------------------------------------------------

    @property
    def exhausted(self) -> bool:
        return self._source.ended or self._draining or self._outbox.over

    def produce(self, now: float) -> bool:
        """Read one batch and hand it to the entry; True if the source had a whole one."""
        limit = 0 if self.exhausted else self._may_read()
        records = self._source.read(limit, now) if limit > 0 else None
        if records is None:
            return False
        self._take(records)
        return not self._source.ended and self._source.wait_s(now) == 0.0

    def _may_read(self) -> int:
        """How many records may be read now."""
        return FRAME_MESSAGES_MAX if self._outbox.room(READ_AHEAD_BYTES) and self._entry.room() else 0

    def _take(self, records: Records) -> None:
        time_us = int(self._wall() * 1e6)
        if records.bad:
            self._bury(records)
        blobs, positions = self._packing.packed(records, self._give_up)
        if not self._source.replayable:
            positions = range(self._next, self._next + len(blobs))
        elif logged := bisect_left(positions, self._next):
            blobs, positions = blobs[logged:], positions[logged:]
        if not positions:
            return
        self._next = positions[-1] + 1
        for version, first, end in self._exits.taking.pieces(self._entry.origin, positions):
            route = self._exits.of_source(version)
            if route is None:  # the node is in no flow: it reads, and that is all
                self._account.received += end - first
                self._outbox.dirty = True
            else:
                whole = end - first == len(positions)
                own = (blobs, positions) if whole else (blobs[first:end], positions[first:end])
                self._entry.send_records(route, own[0], time_us, own[1], records.mark)

    def _known(self, position: int) -> bool:
        """Whether it was read before: it is in the log, or was given up."""
        if not self._source.replayable:
            return False
        return position < self._next or (bool(self._edges) and all(position in edge.roots for edge in self._edges))

    def settled(self) -> None:
        """The log is read again, and not the source: its mark does not wait for anything."""
