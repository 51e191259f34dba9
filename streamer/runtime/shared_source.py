"""A source whose partitions instances share: whoever keeps the places is told what is settled, by partition.

Places that stand in a page of one instance are of no use to another one, so nothing is kept here: each batch that was
read is waited for, and a partition's settled front moves on as its oldest batches are done. A batch that is read again,
here or elsewhere, has the same ids, since they are made of the partition's name and the places in it. Messages take the
version of the flows that is in force when they are read, or a canary as their ids decide: one that is read again after
a change of the flows goes the new way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from streamer.clock import Clock
from streamer.connectors.base import Records, Share, SharedSource
from streamer.limits import FRAME_MESSAGES_MAX, READ_AHEAD_BYTES, ROOT_SPAN_MAX
from streamer.protocol.account import EdgeCounts, InstanceAccount
from streamer.protocol.identity import origin_of
from streamer.protocol.intake import Intake
from streamer.runtime.entry import root_segment
from streamer.runtime.exits import Exits
from streamer.runtime.letters import Letters
from streamer.runtime.outbox import Outbox
from streamer.runtime.reading import ReadingWork


class _Batch:
    """Waits for the messages of one batch; `end` is the place behind it, `number` counts records of all partitions."""

    __slots__ = ("count", "end", "number", "open")

    def __init__(self, end: int, number: int, count: int) -> None:
        self.end = end
        self.number = number
        self.count = count
        self.open = 1

    def settle(self, count: int) -> None:
        self.open -= count


class _Front:
    """The batches of one share that are not settled, or have one before them that is not."""

    def __init__(self, origin: int) -> None:
        self.origin = origin
        self.batches: deque[_Batch] = deque()


class SharedSourceWork(ReadingWork):
    """Hosts a connector's shared source. Begins it; raises ConnectorError."""

    _source: SharedSource

    def __init__(
        self,
        source: SharedSource,
        exits: Exits,
        outbox: Outbox,
        account: InstanceAccount,
        letters: Letters,
        *,
        clock: Clock,
        wall: Clock,
    ) -> None:
        super().__init__(source, outbox, account, letters, 0)
        self._exits = exits
        self._wall = wall
        self._intake = Intake(clock())
        self._fronts: dict[Share, _Front] = {}
        self._in_order: deque[_Batch] = deque()
        self._read = 0
        self._settled = 0
        source.begin()

    @property
    def _edges(self) -> Sequence[EdgeCounts]:
        return [edge.counts for edge in self._outbox.edges]

    @property
    def unread(self) -> int | None:
        return self._source.unread

    @property
    def exhausted(self) -> bool:
        return self._source.ended or self._draining or self._outbox.over

    def produce(self, now: float) -> bool:
        """Read one batch and send it; True if more may be there at once."""
        if self.exhausted:
            return False
        self._move_on()
        floor = self._in_order[0].number if self._in_order else self._read
        self._intake.measure(floor, self._settled, now)
        limit = self._may_read()
        found = self._source.read_share(limit, now) if limit > 0 else None
        if found is None:
            return False
        self._take(*found)
        self._intake.sent(self._read, now)
        return not self._source.ended and self._source.wait_s(now) == 0.0

    def _may_read(self) -> int:
        """How many records may be read now."""
        if not self._outbox.room(READ_AHEAD_BYTES):
            return 0
        unsettled = self._read - self._settled
        return min(FRAME_MESSAGES_MAX, self._intake.limit - unsettled, ROOT_SPAN_MAX - unsettled)

    def _take(self, share: Share, records: Records) -> None:
        front = self._fronts.get(share)
        if front is None:
            front = self._fronts[share] = _Front(origin_of(self._exits.node, share.partition, 0))
        self._bad_origin = front.origin
        read = (*records.positions[-1:], *(bad.position for bad in records.bad[-1:]))
        count = len(records.positions) + len(records.bad)
        batch = _Batch(max(read) + 1, self._read, count)
        self._read += count
        front.batches.append(batch)
        self._in_order.append(batch)
        if records.bad:
            self._bury(records)
        blobs, positions = self._packing.packed(records, self._give_up)
        self._account.received += len(blobs)
        self._outbox.dirty = True
        time_us = int(self._wall() * 1e6)
        for version, first, end in self._exits.taking.pieces(front.origin, positions) if blobs else ():
            route = self._exits.of_source(version)
            if route is not None:  # else the node is in no flow of it: it reads, and that is all
                whole = end - first == len(positions)
                own = (positions, blobs) if whole else (positions[first:end], blobs[first:end])
                self._outbox.emit(root_segment(self._exits, front.origin, own[0], route, time_us), own[1], batch, ())
        batch.settle(1)
        self._move_on()

    def _known(self, position: int) -> bool:  # noqa: ARG002 -- whoever keeps the places gives none that is settled
        return False

    def settled(self) -> None:
        self._move_on()

    def _move_on(self) -> None:
        """Tell each share how far it is settled from its front."""
        while self._in_order and not self._in_order[0].open:
            self._in_order.popleft()
        for share, front in list(self._fronts.items()):
            batches = front.batches
            end = -1
            while batches and not batches[0].open:
                done = batches.popleft()
                end = done.end
                self._settled += done.count
            if end >= 0:
                share.settled(end)
                self._outbox.floors.hear({front.origin: end})
            if not batches and not share.held:
                del self._fronts[share]
