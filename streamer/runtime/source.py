"""A source: reads records through a connector, and remembers which of them are settled.

Where records can be read again, a message's id is the place of its record, and the settled places stand in the
account's page, per edge, beside a mark from which to read on. So a source that comes back reads from its mark and sends
into each edge only what is not settled there. Beside them stands by which version of the flows each place has gone, and
it goes by that one again; in an edge that this version does not have, the place counts as settled. What cannot be read
again takes a new generation at each start, and the version in force.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from streamer.clock import Clock
from streamer.connectors.base import Mark, Records, Source
from streamer.limits import FRAME_MESSAGES_MAX, READ_AHEAD_BYTES, ROOT_SPAN_MAX
from streamer.protocol.account import EdgeCounts, InstanceAccount
from streamer.protocol.history import History, Taken
from streamer.protocol.identity import ROOT_HASH, chained, origin_of, step_of
from streamer.protocol.intake import Intake
from streamer.protocol.segment import Segment
from streamer.protocol.settlement import RangeSet
from streamer.runtime.exits import Exits
from streamer.runtime.letters import Letters
from streamer.runtime.outbox import Outbox
from streamer.runtime.reading import ReadingWork

_UNSEEN = -1


@dataclass(frozen=True, slots=True)
class _Way:
    """Where the records of one version go: into `edges`, and not into the `others`. `route` None: nowhere."""

    route: int | None
    hash: int
    edges: Sequence[EdgeCounts]
    others: Sequence[EdgeCounts]


class SourceWork(ReadingWork):
    """Hosts a connector's source. Opens it at the account's mark; raises ConnectorError."""

    _source: Source

    def __init__(
        self,
        source: Source,
        exits: Exits,
        outbox: Outbox,
        account: InstanceAccount,
        letters: Letters,
        epoch: int,
        *,
        clock: Clock,
        wall: Clock,
    ) -> None:
        self._origin = origin_of(exits.node, source.partition, 0 if source.replayable else epoch)
        super().__init__(source, outbox, account, letters, self._origin)
        self._intake = Intake(clock())
        self._exits = exits
        self._wall = wall
        if not source.replayable:
            for edge in account.edges:
                edge.roots = RangeSet()
            account.mark_position = account.mark_offset = 0
            account.history = History()
        self._done = 0
        self._counted: Sequence[Sequence[tuple[EdgeCounts, int]]] = ()
        self._counts: Sequence[EdgeCounts] = ()
        self._ways: dict[int, _Way] = {}
        self._wiring = _UNSEEN
        self._look()
        roots = [edge.roots for edge in self._edges]
        self._known_end = max([account.history.end, *(_end(one) for one in roots)])
        if source.replayable:
            account.received = _settled_everywhere(roots, self._known_end)
        self._marks: deque[Mark] = deque([Mark(account.mark_position, account.mark_offset)])
        self._next = account.mark_position
        source.open(self._marks[0])

    # -- the flows -----------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """The wiring is another one: find the edges, and what was never for them, by the versions of the places."""
        self._done += self._done_since()
        self._wiring = self._exits.wiring.number
        self._counts = [edge.counts for edge in self._outbox.edges]
        self._ways = {}
        history = self._account.history
        history.forget(self._exits.versions, min((edge.roots.floor for edge in self._edges), default=0))
        for taken, first, end in history.spans():
            ways = [self._way(version) for version in taken.versions]
            for edge in self._edges:
                if all(edge in way.others for way in ways):
                    edge.roots.add(first, end)
                elif any(edge in way.others for way in ways):
                    self._leave_out(edge, taken, range(max(first, edge.roots.floor), end))
        self._counted = [
            [(edge, _done(edge)) for edge in self._way(version).edges] for version in self._exits.taking.versions
        ]

    def _leave_out(self, edge: EdgeCounts, taken: Taken, positions: range) -> None:
        """Of these positions, those that never went into this edge count as settled there."""
        for version, first, end in taken.pieces(self._origin, positions):
            if edge in self._way(version).others:
                edge.roots.add(positions[first], positions[end - 1] + 1)

    def _done_since(self) -> int:
        """How many records have gone their whole way since the flows were looked at.

        While there is a canary, an edge that both versions share has them all; without one each version has its own.
        """
        ways = [{edge.target: _done(edge) - before for edge, before in way} for way in self._counted]
        if len(ways) > 1 and (shared := ways[0].keys() & ways[1].keys()):
            return min(ways[0][target] for target in shared)
        return sum(min(way.values(), default=0) for way in ways)

    def _way(self, version: int) -> _Way:
        way = self._ways.get(version)
        if way is None:
            route = self._exits.of_source(version)
            targets: set[str] = set()
            hash_ = ROOT_HASH
            if route is not None:
                place = self._exits.place(route)
                targets = {self._exits.place(number).node for number in place.next}
                hash_ = chained(ROOT_HASH, step_of(place.node, place.flow, place.occurrence, 0))
            edges = [edge for edge in self._edges if edge.target in targets]
            others = [edge for edge in self._edges if edge.target not in targets]
            way = self._ways[version] = _Way(route, hash_, edges, others)
        return way

    def _pieces(self, positions: Sequence[int]) -> Iterable[tuple[int, int, int]]:
        """(version, first index, end) of these positions."""
        if self._source.replayable:
            return self._account.history.pieces(self._origin, positions)
        return self._exits.taking.pieces(self._origin, positions)

    @property
    def _edges(self) -> Sequence[EdgeCounts]:
        return self._counts

    # -- producing -------------------------------------------------------------------------------------------------

    @property
    def exhausted(self) -> bool:
        return self._source.ended or (self._reads_nothing_new and self._next >= self._known_end)

    @property
    def _reads_nothing_new(self) -> bool:
        """Drained, or consumers have completed: only what former lives had read is still sent where it is missing."""
        return self._draining or self._outbox.over

    def produce(self, now: float) -> bool:
        """Read one batch and send it; True if the source had a whole one."""
        if self.exhausted:
            return False
        if self._wiring != self._exits.wiring.number:
            self._look()
        self._measure(now)
        limit = self._may_read()
        records = self._source.read(limit, now) if limit > 0 else None
        if records is None:
            return False
        if self._source.replayable and records.mark != self._marks[-1]:
            self._marks.append(records.mark)
        self._take(records)
        self._intake.sent(self._next, now)
        return not self._source.ended and self._source.wait_s(now) == 0.0

    def _measure(self, now: float) -> None:
        if self._edges and self._source.replayable:
            self._intake.measure(min(e.roots.floor for e in self._edges), self._done + self._done_since(), now)

    def _may_read(self) -> int:
        """How many records may be read now."""
        if not self._outbox.room(READ_AHEAD_BYTES):
            return 0
        if not self._source.replayable or not self._edges:
            return FRAME_MESSAGES_MAX
        if any(self._next - edge.roots.floor >= ROOT_SPAN_MAX for edge in self._edges):
            return 0
        unsettled = max((edge.counts.in_flight for edge in self._outbox.outlets.waits), default=0)
        may_read = min(FRAME_MESSAGES_MAX, self._intake.limit - unsettled)
        return min(may_read, self._known_end - self._next) if self._reads_nothing_new else may_read

    def _take(self, records: Records) -> None:
        time_us = int(self._wall() * 1e6)
        if self._source.replayable:
            read = (*records.positions[-1:], *(bad.position for bad in records.bad[-1:]))
            self._account.history.extend(max(read, default=-1) + 1, self._exits.taking)
        if records.bad:
            self._bury(records)
        if not self._edges:  # the node is in no flow: it reads, and that is all
            self._account.received += sum(1 for position in records.positions if position >= self._known_end)
            self._outbox.dirty = True
            return
        blobs, positions = self._packing.packed(records, self._give_up)
        if not blobs:
            return
        self._next = max(self._next, positions[-1] + 1)
        self._account.received += len(positions)
        self._outbox.dirty = True
        for version, first, last in self._pieces(positions):
            whole = last - first == len(positions)
            own = (positions, blobs) if whole else (positions[first:last], blobs[first:last])
            self._send(self._way(version), *own, time_us)

    def _send(self, way: _Way, positions: Sequence[int], blobs: Sequence[bytes], time_us: int) -> None:
        if positions[0] < self._known_end:
            self._resend(way, positions, blobs, time_us)
        elif way.route is not None:
            self._outbox.emit(self._segment(way, positions, time_us), blobs, None, (), again=self._source.replayable)
        if self._source.replayable:
            for edge in way.others:
                edge.roots.add(positions[0], positions[-1] + 1)

    def _resend(self, way: _Way, positions: Sequence[int], blobs: Sequence[bytes], time_us: int) -> None:
        """Send into each edge what is not settled there; what is settled everywhere was counted as read before."""
        read_before = sum(1 for p in positions if all(p in edge.roots for edge in self._edges))
        self._account.received -= read_before
        for edge in way.edges:
            open_ = [i for i, p in enumerate(positions) if p not in edge.roots]
            if open_:
                left = [positions[i] for i in open_]
                run: Sequence[int] = range(left[0], left[-1] + 1) if left[-1] - left[0] == len(left) - 1 else left
                self._outbox.emit_again(edge.target, self._segment(way, run, time_us), [blobs[i] for i in open_])

    def _segment(self, way: _Way, positions: Sequence[int], time_us: int) -> Segment:
        return Segment(self._origin, positions, way.hash, None, way.route or 0, 0, time_us)

    def _bury(self, records: Records) -> None:
        super()._bury(records)
        self._next = max(self._next, records.bad[-1].position + 1)

    def _known(self, position: int) -> bool:
        if not self._source.replayable or not self._edges:
            return position < self._known_end
        return all(position in edge.roots for edge in self._edges)

    def settled(self) -> None:
        if not self._source.replayable or not self._edges:
            return
        floor = min(edge.roots.floor for edge in self._edges)
        while len(self._marks) > 1 and self._marks[1].position <= floor:
            self._marks.popleft()
        self._outbox.floors.hear({self._origin: floor})
        self._account.mark_position, self._account.mark_offset = self._marks[0].position, self._marks[0].offset


def _done(edge: EdgeCounts) -> int:
    return edge.settled + edge.dead_lettered + sum(edge.drops)


def _end(roots: RangeSet) -> int:
    return roots.ranges[-1] if roots.ranges else roots.floor


def _settled_everywhere(roots: Sequence[RangeSet], end: int) -> int:
    """How many positions before `end` are in all of these sets."""
    missing = RangeSet()
    for r in roots:
        for low, high in r.missing(0, end):
            missing.add(low, high)
    return end - len(missing)
