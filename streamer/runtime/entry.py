"""Where the roots of an instance come in: they get their ids here, and go to the outbox.

Requests of a gateway and what an algorithm sends of its own accord are roots that nobody could make again. What becomes
of them at a crash is decided in this one place, and whoever makes them need not know: a plain entry numbers them from
the start of its life and sends them at once, and they are lost with it; the other one (`logged_entry`) has them on the
disk before. A source that can be read again has no entry, for it needs none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from streamer.errors import StreamerError
from streamer.protocol.account import InstanceAccount
from streamer.protocol.canary import runs
from streamer.protocol.chunk import CountingParent
from streamer.protocol.identity import ROOT_HASH, chained, step_of
from streamer.protocol.segment import Segment
from streamer.protocol.settlement import Barrier
from streamer.runtime.exits import Detour, Exits
from streamer.runtime.outbox import Outbox
from streamer.state.log_segment import Group

Tell = Callable[[StreamerError | None], None]
"""Is told once that a root was accepted, or why it was not."""


class Entry(Protocol):
    """All calls are made under the instance's lock."""

    @property
    def idle(self) -> bool:
        """All that was given is in the outbox."""

    def room(self) -> bool:
        """Whether more may be given, the outbox's room included."""

    def obstacle(self) -> str | None:
        """Why nothing can be accepted now, beside what the outbox says."""

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
        """Take roots over, to leave from this position, or by its `detour`, as their ids decide.

        `parent.open` counts one for this call: it is settled here.
        """

    def advance(self, now: float) -> None:
        """Go on with what takes time."""

    def held_routes(self) -> Iterator[int]:
        """Of all that is not in the outbox yet."""

    def wait_for_roots(self, barrier: Barrier) -> None:
        """All that is not in the outbox yet, and that nobody waits for, is waited for by `barrier`."""

    def close(self) -> None:
        """The end of this life."""


class Log(Protocol):
    """Where groups become durable. Positions from `first` to before `next` are in it; `size` is in bytes."""

    @property
    def first(self) -> int: ...

    @property
    def next(self) -> int: ...

    @property
    def size(self) -> int: ...

    def groups(self, floor: int) -> Iterator[Group]:
        """What former lives have left, from position `floor` on."""

    def begin(self, end: int, payload: Sequence[bytes], wake: Callable[[], None]) -> None:
        """Append a group that covers the positions to before `end`; `wake` is called when it is done."""

    def done(self) -> bool:
        """Whether it is. Raises OSError if it cannot be: then nothing of it is there."""

    def cut(self, floor: int) -> None:
        """All below is settled, and may go; not while a group is on its way."""

    def close(self, floor: int) -> None: ...


class PlainEntry:
    """`counted`: roots are the input of this node, as those of a gateway are. `grain`: see `protocol.canary`."""

    idle = True

    def __init__(
        self, exits: Exits, outbox: Outbox, account: InstanceAccount, origin: int, *, counted: bool, grain: int
    ) -> None:
        self._exits = exits
        self._outbox = outbox
        self._account = account
        self._origin = origin
        self._counted = counted
        self._grain = grain
        self._next = 0

    def room(self) -> bool:
        return self._outbox.room()

    def obstacle(self) -> str | None:
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
        positions = range(self._next, self._next + len(blobs))
        self._next = positions.stop
        segment = root_segment(self._exits, self._origin, positions, route, time_us, headers)
        if detour is None:
            self._outbox.emit(segment, blobs, parent, ())
        else:
            for piece, own in shared_out(segment, blobs, detour, self._grain):
                self._outbox.emit(piece, own, parent, ())
        if self._counted:
            self._account.received += len(blobs)
        if parent is not None:
            parent.settle(1)
        if tell is not None:
            tell(None)

    def advance(self, now: float) -> None:
        """Nothing takes time."""

    def held_routes(self) -> Iterator[int]:
        return iter(())

    def wait_for_roots(self, barrier: Barrier) -> None:
        """All is in the outbox."""

    def close(self) -> None:
        """Nothing is held."""


def root_segment(
    exits: Exits,
    origin: int,
    positions: Sequence[int],
    route: int,
    time_us: int,
    headers: Sequence[bytes | None] | None = None,
) -> Segment:
    """The ids of roots that leave from this position of their node."""
    place = exits.place(route)
    hash_ = chained(ROOT_HASH, step_of(place.node, place.flow, place.occurrence, 0))
    return Segment(origin, positions, hash_, None, route, 0, time_us, headers)


def shared_out(
    roots: Segment, blobs: Sequence[bytes], detour: Detour, grain: int
) -> Iterator[tuple[Segment, Sequence[bytes]]]:
    """Roots in pieces, those that are in the canary's share with its route."""
    for takes, first, end in runs(roots.origin, roots.positions, detour.parts, grain):
        piece = roots.cut(first, end)
        if takes:
            piece.route = detour.route
        yield piece, blobs if end - first == len(blobs) else blobs[first:end]


def routes_of(route: int, detour: Detour | None) -> tuple[int, ...]:
    """The positions from which roots of this way may leave."""
    return (route,) if detour is None else (route, detour.route)
