"""The account of an edge: what became of every message, kept by the producer alone.

Per edge, at any time: sent = settled + dead-lettered + dropped + abandoned + in flight, to the message. Each term is
counted for itself, so that the equation can be false and a test can see it. The account lives in a page that survives a
kill, together with the settled positions of a source and the versions of the flows that its positions took: one record,
because a kill between two would let them disagree.
What a killed producer had in flight becomes abandoned when its successor opens the page; its parents send it again.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from streamer.errors import StateError
from streamer.limits import FLOW_VERSIONS_MAX, SETTLED_RANGES_MAX
from streamer.protocol.history import History, Taken
from streamer.protocol.settlement import RangeSet

DROP_REASONS = ("reset", "drop-oldest", "drop-newest", "error", "handler")
"""Why messages are dropped; the order is part of the page's format."""

_HEAD = struct.Struct("<HH6Q")
_EDGE = struct.Struct(f"<{6 + len(DROP_REASONS)}QQI")
_COUNT = struct.Struct("<H")
_TAKEN = struct.Struct("<QQQH")
_VERSION = 4


@dataclass(slots=True)
class EdgeCounts:
    """One outgoing edge, or one that was there: counts stay.

    `roots` are the positions that are settled, or never went here, where this node makes roots that can be read again.
    """

    target: str
    sent: int = 0
    settled: int = 0
    dead_lettered: int = 0
    abandoned: int = 0
    in_flight: int = 0
    redelivered: int = 0
    drops: list[int] = field(default_factory=lambda: [0] * len(DROP_REASONS))
    roots: RangeSet = field(default_factory=RangeSet)

    @property
    def dropped(self) -> Mapping[str, int]:
        """Counts by reason; a reason that never occurred is absent."""
        return {reason: n for reason, n in zip(DROP_REASONS, self.drops, strict=True) if n}

    @property
    def balanced(self) -> bool:
        return self.sent == self.settled + self.dead_lettered + sum(self.drops) + self.abandoned + self.in_flight


@dataclass(slots=True)
class InstanceAccount:
    """All that one instance must not forget at a kill.

    `completed` counts inputs settled or dead-lettered (for a source: records), over all lives. `mark_position` and
    `mark_offset` say from where a source reads again, `history` by which version of the flows.
    """

    received: int = 0
    failed: int = 0
    completed: int = 0
    mark_position: int = 0
    mark_offset: int = 0
    edges: list[EdgeCounts] = field(default_factory=list)
    history: History = field(default_factory=History)

    def edge(self, target: str) -> EdgeCounts:
        for edge in self.edges:
            if edge.target == target:
                return edge
        edge = EdgeCounts(target)
        self.edges.append(edge)
        return edge

    def recover(self) -> None:
        """What the dead predecessor had in flight is abandoned: nobody will hear of it again under its sessions."""
        for edge in self.edges:
            edge.abandoned += edge.in_flight
            edge.in_flight = 0


def encode_account(account: InstanceAccount) -> bytes:
    """The page's record: head, the history of versions, then per edge its name, counters and settled ranges."""
    history = account.history
    out = [
        _HEAD.pack(
            _VERSION,
            len(account.edges),
            account.received,
            account.failed,
            account.completed,
            account.mark_position,
            account.mark_offset,
            history.end,
        ),
        _COUNT.pack(len(history.starts)),
        *(_TAKEN.pack(start, *taken) for start, taken in zip(history.starts, history.taken, strict=True)),
    ]
    for e in account.edges:
        name = e.target.encode()
        out.append(_COUNT.pack(len(name)) + name)
        ranges = e.roots.ranges
        if len(ranges) > 2 * SETTLED_RANGES_MAX:
            ranges, e = _shortened(e)
        out.append(
            _EDGE.pack(
                e.sent, e.settled, e.dead_lettered, e.abandoned, e.in_flight, e.redelivered, *e.drops,
                e.roots.floor, len(ranges),
            )
        )  # fmt: skip
        if ranges:
            out.append(array("Q", ranges).tobytes())
    return b"".join(out)


def _shortened(edge: EdgeCounts) -> tuple[list[int], EdgeCounts]:
    """The lowest ranges, and counts that agree with them: what is settled beyond them is told as still in flight.

    Records that could not be read are settled places of messages that were never sent: counts end at zero for them.
    """
    kept, beyond = edge.roots.ranges[: 2 * SETTLED_RANGES_MAX], edge.roots.ranges[2 * SETTLED_RANGES_MAX :]
    untold = sum(beyond[1::2]) - sum(beyond[::2])
    settled = min(untold, edge.settled)
    dead = min(untold - settled, edge.dead_lettered)
    return kept, replace(
        edge,
        settled=edge.settled - settled,
        dead_lettered=edge.dead_lettered - dead,
        in_flight=edge.in_flight + settled + dead,
    )


def decode_account(record: bytes) -> InstanceAccount:
    """Read a record of `encode_account`. Raises StateError if it is of another version or cut short."""
    try:
        version, edges, received, failed, completed, mark_position, mark_offset, end = _HEAD.unpack_from(record)
        if version != _VERSION:
            raise StateError(f"an account page of version {version}; this is version {_VERSION}")
        account = InstanceAccount(received, failed, completed, mark_position, mark_offset)
        account.history, at = _history(record, _HEAD.size, end)
        for _ in range(edges):
            (length,) = _COUNT.unpack_from(record, at)
            name = record[at + 2 : at + 2 + length].decode()
            at += 2 + length
            values = _EDGE.unpack_from(record, at)
            at += _EDGE.size
            roots, at = _ranges(record, at, values[-2], values[-1])
            counts = EdgeCounts(name, *values[:6])
            counts.drops, counts.roots = list(values[6:-2]), roots
            account.edges.append(counts)
    except (struct.error, UnicodeDecodeError) as error:
        raise StateError(f"an account page cannot be read: {error}") from error
    return account


def _history(record: bytes, at: int, end: int) -> tuple[History, int]:
    (count,) = _COUNT.unpack_from(record, at)
    taken = [_TAKEN.unpack_from(record, at + 2 + n * _TAKEN.size) for n in range(count)]
    history = History(end, [start for start, *_ in taken], [Taken(*what) for _, *what in taken])
    return history, at + 2 + count * _TAKEN.size


def _ranges(record: bytes, at: int, floor: int, count: int) -> tuple[RangeSet, int]:
    if at + 8 * count > len(record):
        raise StateError("an account page is cut short")
    flat = array("Q")
    flat.frombytes(record[at : at + 8 * count])
    return RangeSet(floor, flat), at + 8 * count


def account_bytes_max(targets: Sequence[str], ranges_max: int) -> int:
    """Size of the largest record of an instance with these edges."""
    return 256 + _TAKEN.size * FLOW_VERSIONS_MAX + sum(512 + len(t.encode()) + 16 * ranges_max for t in targets)
