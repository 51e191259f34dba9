"""Segments: messages that follow each other and share what is said of them.

An id tuple per message costs 16 to 25 % of the throughput (measured), and nearly all neighbours differ only in their
position, by one. So a frame is a short list of segments, and each says for all its messages at once: origin, hash,
route, hops and the time of their roots. Only what really differs is kept per message: positions that are not one run
(a filter took some out), hashes that are not one value (a handler sent several children).
"""

from __future__ import annotations

from collections.abc import Sequence

from streamer.limits import FRAME_MESSAGES_MAX
from streamer.protocol.identity import MessageId, chained, step_of

INDEXES = list(range(FRAME_MESSAGES_MAX))
"""Indexes of messages in a frame. Who counts with these very objects makes none, and comparing them costs nothing."""


class Segment:
    """`positions` is a `range` where the run has no holes; `hashes` is None where all equal `hash`.

    `time_us` is when their roots were made, in microseconds of the time of day. `route` is the position (in the job's
    route table) that the receiver is to handle; `hops` counts edges inside cycles. `headers` are None where no message
    has any, which is nearly always, and else packed, or None, for each.
    """

    __slots__ = ("hash", "hashes", "headers", "hops", "origin", "positions", "route", "time_us")

    def __init__(
        self,
        origin: int,
        positions: Sequence[int],
        hash_: int,
        hashes: Sequence[int] | None,
        route: int,
        hops: int,
        time_us: int,
        headers: Sequence[bytes | None] | None = None,
    ) -> None:
        self.origin = origin
        self.positions = positions
        self.hash = hash_
        self.hashes = hashes
        self.route = route
        self.hops = hops
        self.time_us = time_us
        self.headers = headers

    def __len__(self) -> int:
        return len(self.positions)

    def cut(self, start: int, end: int) -> Segment:
        """The part of it from message `start` to before `end`."""
        hashes = self.hashes[start:end] if self.hashes is not None else None
        headers = self.headers[start:end] if self.headers is not None else None
        positions = self.positions[start:end]
        return Segment(self.origin, positions, self.hash, hashes, self.route, self.hops, self.time_us, headers)

    def pick(self, indexes: Sequence[int]) -> Segment:
        """Those messages of it, ascending."""
        hashes = [self.hashes[i] for i in indexes] if self.hashes is not None else None
        headers = [self.headers[i] for i in indexes] if self.headers is not None else None
        positions = _compact([self.positions[i] for i in indexes])
        return Segment(self.origin, positions, self.hash, hashes, self.route, self.hops, self.time_us, headers)

    def id(self, index: int) -> MessageId:
        return MessageId(self.origin, self.positions[index], self.hashes[index] if self.hashes else self.hash)

    def towards(self, route: int, hops: int) -> Segment:
        """The same messages on another edge: only the receiver's route and the hops differ."""
        return Segment(self.origin, self.positions, self.hash, self.hashes, route, hops, self.time_us, self.headers)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Segment) and all(
            list(a) == list(b) if isinstance(a := getattr(self, name), Sequence) and isinstance(b, Sequence) else a == b
            for name in self.__slots__
            for b in (getattr(other, name),)
        )

    __hash__ = None  # type: ignore[assignment]  # compared in tests only

    def __repr__(self) -> str:
        return f"Segment({', '.join(f'{n}={getattr(self, n)!r}' for n in self.__slots__)})"


def children(
    parent: Segment, indexes: Sequence[int], node: str, flow: str, occurrence: int, before: int = 0
) -> Segment:
    """Ids of the messages that handlers at this place sent: `indexes[i]` is the parent of the i-th (ascending).

    The route is the sender's; `Segment.towards` sets the receiver's. Messages of one parent are told apart by their
    number among its children at this place; so many children of the first parent have left `before`.
    """
    whole = len(indexes) == len(parent) and (not indexes or (indexes[0] == 0 and indexes[-1] == len(parent) - 1))
    single = _ascending(indexes)
    positions = parent.positions
    if not (whole and single):
        positions = _compact([positions[i] for i in indexes])
    first = step_of(node, flow, occurrence, 0)
    if single and not before and parent.hashes is None:
        hash_, hashes = chained(parent.hash, first), None
    else:
        hash_, hashes = 0, _hashes(parent, indexes, node, flow, occurrence, before)
    headers = [parent.headers[i] for i in indexes] if parent.headers is not None else None
    return Segment(parent.origin, positions, hash_, hashes, parent.route, parent.hops, parent.time_us, headers)


def _hashes(parent: Segment, indexes: Sequence[int], node: str, flow: str, occurrence: int, before: int) -> list[int]:
    hashes: list[int] = []
    last, child = -1, before
    for i in indexes:
        if last >= 0:
            child = child + 1 if i == last else 0
        last = i
        above = parent.hashes[i] if parent.hashes else parent.hash
        hashes.append(chained(above, step_of(node, flow, occurrence, child)))
    return hashes


def _ascending(indexes: Sequence[int]) -> bool:
    """Whether no parent occurs twice (`indexes` never descend)."""
    if len(indexes) < 2 or indexes == INDEXES[indexes[0] : indexes[-1] + 1]:
        return True
    return len(set(indexes)) == len(indexes)


def _compact(positions: list[int]) -> Sequence[int]:
    if positions and positions[-1] - positions[0] == len(positions) - 1:
        whole = range(positions[0], positions[-1] + 1)
        return whole if positions == list(whole) else positions
    return positions
