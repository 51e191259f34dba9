"""An entry by way of a log: roots are on the disk before they are sent, and what was not settled is sent again.

Roots wait here until the disk has them, many to one `fdatasync`, so the price is latency and not throughput. The log
numbers them over all lives, and the account's page keeps which of them are settled on each edge, as it does for a
source that can be read again: a successor reads the log and sends into each edge what is missing there. A disk that
cannot take any more stops the intake and loses nothing: a gateway refuses its requests, all others wait.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from streamer.connectors.base import Mark
from streamer.errors import EntryLogError, OverloadError
from streamer.limits import (
    CANARY_RUN,
    ENTRY_GROUP_BYTES,
    ENTRY_LOG_BYTES_MAX,
    ENTRY_RETRY_S,
    ENTRY_WAITING_BYTES,
    MESSAGE_OVERHEAD_BYTES,
    ROOT_SPAN_MAX,
)
from streamer.plan.assignment import Assignment, Role
from streamer.protocol.account import EdgeCounts, InstanceAccount
from streamer.protocol.chunk import CountingParent, joined
from streamer.protocol.entry import LoggedRoots, decode_roots, encode_roots
from streamer.protocol.history import Taken
from streamer.protocol.identity import origin_of
from streamer.protocol.partition import AnyEdge
from streamer.protocol.segment import Segment
from streamer.protocol.settlement import Barrier, RangeSet, intervals
from streamer.runtime.entry import Entry, Log, PlainEntry, Tell, root_segment, routes_of, shared_out
from streamer.runtime.exits import Detour, Exits
from streamer.runtime.letters import Letters
from streamer.runtime.outbox import Outbox
from streamer.state.log_segment import Group


@dataclass(slots=True)
class _Taken:
    """Roots that are not on the disk yet. A source says their `positions`, and the `mark` from which it reads on."""

    route: int
    blobs: Sequence[bytes]
    size: int
    time_us: int
    detour: Detour | None = None
    headers: Sequence[bytes | None] | None = None
    parent: CountingParent | None = None
    tell: Tell | None = None
    positions: Sequence[int] | None = None
    mark: Mark | None = None


_Piece = tuple[Segment, Sequence[bytes]]


@dataclass(slots=True)
class _Commit:
    """A group on its way to the disk."""

    end: int
    version: int
    items: list[tuple[_Taken, Sequence[_Piece]]] = field(default_factory=list)


class LoggedEntry:
    """Takes up the log where its predecessor has left it. Raises EntryLogError if some of it is missing."""

    def __init__(
        self,
        log: Log,
        exits: Exits,
        outbox: Outbox,
        account: InstanceAccount,
        letters: Letters,
        origin: int,
        wake: Callable[[], None],
        *,
        counted: bool,
        grain: int,
    ) -> None:
        self._log = log
        self._exits = exits
        self._outbox = outbox
        self._account = account
        self._letters = letters
        self.origin = origin
        self._grain = grain
        self._wake = wake
        self._counted = counted
        self._waiting: deque[_Taken] = deque()
        self._waiting_bytes = 0
        self._commit: _Commit | None = None
        self._problem = ""
        self._retry_at = self._cut_at = 0.0
        self._known = set(outbox.edges)
        self._wiring = exits.wiring.number
        self._recover()
        floor = self.floor
        self._former: Iterator[Group] | None = log.groups(floor) if floor < log.next else None

    def _recover(self) -> None:
        history = self._account.history
        if self._log.next < history.end or self._log.first > history.end > 0:
            raise EntryLogError(
                f"node {self._exits.node}: its entry log goes from position {self._log.first} to {self._log.next}, and "
                f"messages up to {history.end} had been accepted"
            )
        for edge in self._edges():
            edge.roots.add(0, self._log.first)
        for group in self._log.groups(history.end):
            count, version = 0, self._exits.version
            for roots in decode_roots(group.payload):
                count, version = count + len(roots.segment), min(version, roots.version)
            self._accepted(count, group.end, version)

    def _edges(self) -> list[EdgeCounts]:
        return [edge.counts for edge in self._outbox.edges]

    @property
    def floor(self) -> int:
        """All positions below are settled."""
        return min([self._log.next, *(edge.roots.floor for edge in self._edges())])

    @property
    def next(self) -> int:
        """The position behind all that a source has been read to by what is on the disk, or on its way there."""
        last = self._waiting[-1].positions if self._waiting else None
        return last[-1] + 1 if last else self._commit.end if self._commit else self._log.next

    # -- what may come in ----------------------------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        return not self._waiting and self._commit is None and self._former is None

    def room(self) -> bool:
        return self._outbox.room() and self.obstacle() is None

    def obstacle(self) -> str | None:
        where = f"node {self._exits.node}"
        if self._former is not None:
            return f"{where} first sends again what it had accepted before it was started again"
        if self._problem:
            return f"{where} has no room on its disk: {self._problem}"
        if self._waiting_bytes >= ENTRY_WAITING_BYTES:
            return f"{self._waiting_bytes} bytes wait for the disk of {where}"
        if self._log.next - self.floor >= ROOT_SPAN_MAX or self._log.size >= ENTRY_LOG_BYTES_MAX:
            return f"{where} has accepted {self._log.next - self.floor} messages since its oldest unsettled one"
        return None

    def send(
        self,
        route: int,
        blobs: Sequence[bytes],
        time_us: int,
        *,
        detour: Detour | None = None,
        headers: Sequence[bytes | None] | None = None,
        parent: CountingParent | None = None,
        tell: Tell | None = None,
    ) -> None:
        blobs, size = joined(blobs)
        self._take(_Taken(route, blobs, size, time_us, detour, headers, parent, tell))

    def send_records(
        self, route: int, blobs: Sequence[bytes], time_us: int, positions: Sequence[int], mark: Mark
    ) -> None:
        """Take over what a source has read: `positions` are its own, and `mark` is from where to read these again."""
        blobs, size = joined(blobs)
        self._take(_Taken(route, blobs, size, time_us, positions=positions, mark=mark))

    def _take(self, item: _Taken) -> None:
        self._waiting.append(item)
        item.size += MESSAGE_OVERHEAD_BYTES * len(item.blobs)
        self._waiting_bytes += item.size
        if not self._problem:
            self._begin()

    def held_routes(self) -> Iterator[int]:
        return (route for item in self._held() for route in routes_of(item.route, item.detour))

    def wait_for_roots(self, barrier: Barrier) -> None:
        for item in self._held():
            if item.parent is None:
                item.parent = barrier
                barrier.open += 1

    def _held(self) -> Iterator[_Taken]:
        going = self._commit.items if self._commit else []
        return chain((item for item, _ in going), self._waiting)

    # -- the disk ------------------------------------------------------------------------------------------------------

    def advance(self, now: float) -> None:
        if self._wiring != self._exits.wiring.number:
            self._look()
        if self._former is not None:
            self._send_again(self._former)
        if self._commit is not None:
            try:
                if not self._log.done():
                    return
            except OSError as error:
                self._failed(self._commit, error, now)
                return
            self._succeeded(self._commit)
        if self._former is None and now >= self._cut_at:
            self._cut_at = now + ENTRY_RETRY_S
            floor = self.floor
            self._log.cut(floor)
            self._outbox.floors.hear({self.origin: floor})
        if now >= self._retry_at:
            if not self._waiting:
                self._problem = ""  # whoever comes next may try
            self._begin()

    def _begin(self) -> None:
        """Have what waits written, unless something is on its way already."""
        if self._commit is not None or self._former is not None or not self._waiting:
            return
        commit = _Commit(self._log.next, self._exits.version)
        payload: list[bytes] = []
        size = 0
        while self._waiting and size < ENTRY_GROUP_BYTES:
            item = self._waiting.popleft()
            size += item.size
            positions = item.positions or range(commit.end, commit.end + len(item.blobs))
            pieces = self._pieces(item, positions)
            for segment, blobs in pieces:
                payload += encode_roots(self._exits.version_of(segment.route), segment, blobs)
            commit.items.append((item, pieces))
            commit.end = positions[-1] + 1
            commit.version = min(commit.version, self._exits.version_of(item.route))
        self._waiting_bytes -= size
        self._commit = commit
        self._log.begin(commit.end, payload, self._wake)

    def _pieces(self, item: _Taken, positions: Sequence[int]) -> Sequence[_Piece]:
        segment = root_segment(self._exits, self.origin, positions, item.route, item.time_us, item.headers)
        if item.detour is None:
            return ((segment, item.blobs),)
        return tuple(shared_out(segment, item.blobs, item.detour, self._grain))

    def _succeeded(self, commit: _Commit) -> None:
        """It is on the disk: all of it goes to the outbox."""
        if self._problem:
            self._problem = ""
            self._say("has room on its disk again")
        self._commit = None
        after = self._account.history.end
        sent: dict[str, RangeSet] = {}
        for item, pieces in commit.items:
            for segment, blobs in pieces:
                self._outbox.emit(segment, blobs, item.parent, (), again=True)
                for edge in self._edges_of(segment.route):
                    _add(sent.setdefault(edge.target, RangeSet()), segment.positions)
            if item.mark is not None:
                self._account.mark_position, self._account.mark_offset = item.mark.position, item.mark.offset
            if item.parent is not None:
                item.parent.settle(1)
            if item.tell is not None:
                item.tell(None)
        self._accepted(sum(len(item.blobs) for item, _ in commit.items), commit.end, commit.version)
        self._leave_out(after, commit.end, sent)

    def _failed(self, commit: _Commit, error: OSError, now: float) -> None:
        """It is not on the disk: whoever can be told so is, and the rest waits for another try."""
        problem = error.strerror or str(error)
        if problem != self._problem:
            self._say(f"cannot write its entry log: {problem}. It takes nothing more until there is room on the disk")
        self._problem = problem
        self._retry_at = now + ENTRY_RETRY_S
        self._commit = None
        items = [*(item for item, _ in commit.items), *self._waiting]
        self._waiting = deque(item for item in items if item.tell is None)
        self._waiting_bytes = sum(item.size for item in self._waiting)
        for item in items:
            if item.tell is not None:
                item.tell(OverloadError(str(self.obstacle()), remedy="Send it again when there is room."))

    def _say(self, what: str) -> None:
        sys.stderr.write(f"node {self._exits.node} {what}\n")

    def _accepted(self, count: int, end: int, version: int) -> None:
        """So many more are in the log, up to before `end`; a version is held until all before its end is settled.

        Which of them took a canary stands in the log itself, and its version is held by the one in force, which is
        older.
        """
        history = self._account.history
        history.extend(end, Taken(max(version, history.taken[-1].version if history.taken else version)))
        if self._counted:
            self._account.received += count
        self._outbox.dirty = True

    # -- the edges -----------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """The wiring is another one: what was accepted so far was never for edges that are new."""
        self._wiring = self._exits.wiring.number
        history = self._account.history
        history.forget(self._exits.versions, 0)
        edges = set(self._outbox.edges)
        for edge in edges - self._known:
            edge.counts.roots.add(0, history.end)
        self._known = edges
        self._outbox.dirty = True

    def _edges_of(self, route: int) -> list[AnyEdge]:
        return [outlet.edge for outlet, _ in self._outbox.outlets.hops.get(route, ())]

    def _leave_out(self, after: int, end: int, sent: Mapping[str, RangeSet]) -> None:
        """Of these positions, an edge counts as settled those that never went there."""
        for edge in self._edges():
            for low, high in sent.get(edge.target, RangeSet()).missing(after, end):
                edge.roots.add(low, high)

    # -- former lives --------------------------------------------------------------------------------------------------

    def _send_again(self, groups: Iterator[Group]) -> None:
        """Send what is not settled of the next group that a former life has left, as soon as there is room."""
        if not self._outbox.room():
            return
        group = next(groups, None)
        if group is None:
            self._former = None
            return
        sent: dict[str, RangeSet] = {}
        for roots in decode_roots(group.payload):
            edges = self._edges_of(roots.segment.route) if roots.version in self._exits.versions else []
            if not edges:
                self._too_late(roots)
            for edge in edges:
                _add(sent.setdefault(edge.target, RangeSet()), roots.segment.positions)
                self._send_missing(edge, roots)
        self._leave_out(group.after, group.end, sent)
        self._outbox.dirty = True
        self._wake()

    def _send_missing(self, edge: AnyEdge, roots: LoggedRoots) -> None:
        settled = edge.counts.roots
        missing = [at for at, position in enumerate(roots.segment.positions) if position not in settled]
        for first, last in intervals(missing):
            self._outbox.emit_again(edge.target, roots.segment.cut(first, last), roots.blobs[first:last])

    def _too_late(self, roots: LoggedRoots) -> None:
        """Its version is over, of which everything had been settled: the page that said so is gone."""
        self._letters.too_late(roots.segment, roots.blobs)
        self._account.failed += len(roots.blobs)

    def close(self) -> None:
        self._log.close(self.floor)


def entry_of(
    assignment: Assignment,
    exits: Exits,
    outbox: Outbox,
    account: InstanceAccount,
    letters: Letters,
    wake: Callable[[], None],
    log: Log | None,
) -> Entry:
    """The entry of an instance: by way of `log`, if there is one. Raises EntryLogError."""
    a = assignment
    counted = a.role in (Role.SOURCE, Role.GATEWAY)
    grain = 1 if a.role is Role.GATEWAY else CANARY_RUN  # requests come one by one, and travel so
    if log is None:
        origin = origin_of(a.node, a.instance, a.epoch)
        return PlainEntry(exits, outbox, account, origin, counted=counted, grain=grain)
    origin = origin_of(a.node, a.instance, 0)
    return LoggedEntry(log, exits, outbox, account, letters, origin, wake, counted=counted, grain=grain)


def _add(ranges: RangeSet, positions: Sequence[int]) -> None:
    for low, high in intervals(positions):
        ranges.add(low, high)
