"""A turn: the handling of one segment of one input frame, and what its handlers send meanwhile.

A handler call takes effect when it succeeds. So what it sends is packed at once (the caller may go on using the object,
and an error is the caller's) but only collected here, and handed to the outbox when the turn is over; what a call
that raises had sent is taken back. Only a call that by itself sends more than fits in memory is let out before its end.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Generator, Mapping, MutableSequence, Sequence
from threading import get_ident
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from streamer.errors import HoldError, OverloadError
from streamer.limits import LARGE_BYTES, MESSAGE_BYTES_MAX, SPILL_BYTES
from streamer.protocol.chunk import plainly_joined
from streamer.protocol.codec import (
    PACK_ERRORS,
    Pack,
    careful,
    pack_headers,
    pack_large,
    pack_message,
    packer,
    size_error,
    unpack_headers,
)
from streamer.protocol.input_frame import InputFrame
from streamer.protocol.keys import KeyPath
from streamer.protocol.segment import Segment, children
from streamer.runtime.exits import Exits
from streamer.runtime.quick import Quick, quick_send

if TYPE_CHECKING:
    from streamer.runtime.holds import Hold, Holds

Hand = MutableSequence[int] | memoryview
IN_SESSION, IN_FRAME, IN_HAND, IN_MORE, IN_BASE = 0, 1, 2, 3, 4
HAND_WORDS = 5
"""Where the message in hand is told: number of its session, sequence of its frame, index in it, and how many that
follow it in the frame are in hand with it (a batch; 0 for a single message). The index counts from the word IN_BASE."""
NOTHING = (1 << 64) - 1
"""In `hand[IN_HAND]`: no handler is at work."""

Emit = Callable[[Segment, Sequence[bytes], InputFrame | None, Sequence[int]], None]


class Sends:
    """Packed messages of a turn into one route, and the index of the message that each was sent for.

    `headers` are those of messages that were given some, by their place here; others inherit. `left` children of the
    message `left_of` were let out before its handler was done.
    """

    __slots__ = ("blobs", "headers", "indexes", "left", "left_of", "route")

    def __init__(self, route: int) -> None:
        self.route = route
        self.blobs: list[bytes] = []
        self.indexes: list[int] = []
        self.headers: dict[int, bytes] = {}
        self.left = 0
        self.left_of = -1


class _Refusing(list[bytes]):
    """In the place of the messages of a route whose edge is full: whoever adds one is told."""

    def __init__(self, edge: str) -> None:
        super().__init__()
        self._edge = edge

    def append(self, blob: bytes) -> None:  # noqa: ARG002  # it goes nowhere
        raise OverloadError(f"edge {self._edge} is full")


class Effect(Protocol):
    """What a call asks for beside what it sends: it comes into force when the call has succeeded."""

    def take_effect(self) -> None: ...

    def undo(self) -> None: ...


class _Watch(NamedTuple):
    """In force at once, since nothing of a frame in hand is settled."""

    frame: InputFrame
    watch: tuple[range, Callable[[], None]]

    def take_effect(self) -> None:
        pass

    def undo(self) -> None:
        self.frame.unwatch(self.watch)


class Notes(Protocol):
    """What a call has replaced. `last` is set to None when a call begins: what was written before it stays."""

    last: Any

    def roll_back(self) -> None:
        """Take back what the call has written."""


class Undoing(Protocol):
    """Keyed state: what a call writes there can be taken back as long as it is at work.

    `group` is the key group of the message in hand, 0 where the node is not partitioned.
    """

    group: int

    @property
    def undo(self) -> Notes: ...


class Turn:
    """Collects what the handlers of one thread send.

    `index` is that of the message in hand, in its frame. It stands in `hand[IN_HAND]` too, in a page that survives a
    kill; but what was sent is noted with it, and to read it there costs four times as much.

    `_bytes` were collected, beside what `_quick` has taken.
    """

    def __init__(
        self, exits: Exits, emit: Emit, hand: Hand, spill: Callable[[], None], refusing: Callable[[int], str | None]
    ) -> None:
        self._exits = exits
        self._emit = emit
        self._spill = spill
        self._hand = hand
        self.index = 0
        self._refusing = refusing
        self.pack: Pack = packer()
        self._plain = self.pack
        self._careful = careful(self._plain)
        self._packs_first: Pack = self._pack_first
        self._base = 0
        self._frame: InputFrame | None = None
        self._segment: Segment | None = None
        self._sends: dict[int, Sends] = {}
        self._own: Sends | None = None
        self._bytes = 0
        self._quick: Quick | None = None
        self._any_large = False
        self._effects: list[tuple[int, Effect]] = []
        self.holds: Holds | None = None
        self.state: Undoing | None = None
        self.keys: KeyPath | None = None

    def begin(self, frame: InputFrame, segment: Segment, base: int) -> Sends | None:
        """Start with the segment whose first message has index `base`; gives where return values go.

        None: the flow ends here. The lists of what it gives stay the same until the next `begin`.
        """
        self._frame = frame
        self._base = base
        self._segment = segment
        self._sends.clear()
        self._bytes = 0
        self._any_large = False
        route = segment.route
        own = self._own = self._into(route) if self._exits.continues(route) else None
        self.pack = pack = self._plain if base else self._packs_first
        if own is not None and self._quick is not None and pack is self._plain:
            self._quick.arm(own.blobs.append, own.indexes.append, get_ident())
        return own

    def _pack_first(self, value: object) -> bytes:
        """After a turn with large messages the first one of the next tells whether they are to be expected on."""
        blob = self._careful(value)
        if type(blob) is bytes:
            self.pack = self._packs_first = self._plain
        else:
            self.pack = self._careful
        return blob

    def _into(self, route: int) -> Sends:
        sends = self._sends.get(route)
        if sends is None:
            sends = self._sends[route] = Sends(route)
            if (edge := self._refusing(route)) is not None:
                sends.blobs = _Refusing(edge)
        return sends

    def send(self, message: object, flow: str | None, headers: Mapping[str, Any] | None = None) -> None:
        """Collect one message for the message in hand. Raises FlowError or MessageError."""
        sends = self._own if flow is None else None
        if sends is None:
            sends = self._towards(flow)
        try:
            blob = self.pack(message)
            if len(blob) >= LARGE_BYTES and type(blob) is bytes:
                blob = pack_large(self._plain, message)
                self.pack = self._careful
        except PACK_ERRORS:  # what it was is found, and told, by packing it with more care
            blob = pack_message(self.pack, message)
        if headers:
            sends.headers[len(sends.blobs)] = pack_headers(headers, self._packed_headers())
        sends.blobs.append(blob)
        sends.indexes.append(self.index)
        self._count(len(blob))
        if self._quick is not None and sends is self._own:
            if self.pack is self._plain:
                self._quick.arm(sends.blobs.append, sends.indexes.append, get_ident())
            else:
                self._quick.disarm()

    def quick(self, otherwise: Callable[..., None], root: Callable[[object], None]) -> Quick:
        """`sendMessage` in one call for most messages; all else goes `otherwise`, or is a `root`."""
        self._quick = quick_send(self, self._plain, otherwise, root)
        return self._quick

    def _towards(self, flow: str | None) -> Sends:
        """Where a message into this flow goes, if not along the own one. Raises FlowError."""
        assert self._segment is not None
        route = self._segment.route
        return self._into(self._exits.unnamed(route) if flow is None else self._exits.named(flow, route))

    def take_each(self, values: object) -> bool:
        """Send what a generator yields along the message's own flow; False if `values` is no generator.

        A value of None is nothing, and where the flow ends the generator is gone through for what it does.
        """
        if not isinstance(values, Generator):
            return False
        for value in values:
            if value is not None:
                self.answer(value, self.index)
        return True

    def answer(self, message: object, index: int) -> None:
        """Send along the own flow, if it goes on, for the message of this index. Raises MessageError."""
        if (own := self._own) is not None:
            blob = pack_message(self.pack, message)
            self.weigh(len(blob))
            own.blobs.append(blob)
            own.indexes.append(index)

    @property
    def headers(self) -> dict[str, Any]:
        """Of the message in hand; of a batch, those of its first one."""
        return unpack_headers(self._packed_headers())

    def _packed_headers(self) -> bytes | None:
        headers = None if self._segment is None else self._segment.headers
        return None if headers is None else headers[self.index - self._base]

    @property
    def at_work(self) -> Turn | None:
        """The turn of the call at work."""
        return self

    def enter_state(self, message: object) -> None:
        """A call for this message begins: from here on its writes can be taken back."""
        if self.state is not None:
            self.state.undo.last = None
            if self.keys is not None:
                self.state.group = self.keys.group(message)

    def hold(self, timeout_s: float | None) -> Hold:
        """Hold what is in hand. Raises HoldError."""
        if self.state is not None:
            raise HoldError("a message cannot be held by an algorithm that keeps api.state")
        assert self._frame is not None and self._segment is not None and self.holds is not None
        holds, those = self.holds, self._in_hand()
        hold = holds.take(self._frame, self._segment, self._base, those, timeout_s)
        self.effect(hold)
        return hold

    def watch(self, tell: Callable[[], None]) -> None:
        """Have `tell` called once what is in hand is settled."""
        frame, watch = self._frame, (self._in_hand(), tell)
        assert frame is not None
        frame.watches += (watch,)
        self.effect(_Watch(frame, watch))

    def effect(self, effect: Effect) -> None:
        """The call at work has this effect, if it succeeds."""
        self._effects.append((self.index, effect))

    def _in_hand(self) -> range:
        first = self.index
        return range(first, first + self._hand[IN_MORE] + 1)

    def join(self, first: int, count: int) -> None:
        """What was sent since the call began was sent for so many messages together: none is settled before it is."""
        assert self._frame is not None
        if any(
            (sends.indexes and sends.indexes[-1] == first) or sends.left_of == first for sends in self._sends.values()
        ):
            self._frame.together += (range(first, first + count),)

    def weigh(self, size: int) -> None:
        """A message of so many bytes is about to be collected. Raises MessageError if it is too large."""
        if size > MESSAGE_BYTES_MAX:
            raise size_error(size)
        if size >= LARGE_BYTES:
            self.pack = self._careful
        self._count(size)

    def _count(self, size: int) -> None:
        self._bytes += size if self._quick is None else size + self._quick.taken()
        if size >= LARGE_BYTES:
            self._any_large = True
            self._packs_first = self._pack_first
        if self._bytes > SPILL_BYTES:
            self.make_room()

    def make_room(self) -> None:
        """Hand on what earlier calls have sent; and what this call has sent so far, if that alone is too much."""
        index = self.index
        for sends in self._sends.values():
            self._hand_on(sends, bisect_left(sends.indexes, index))
        self._bytes = sum(len(blob) for sends in self._sends.values() for blob in sends.blobs)
        if self._bytes > SPILL_BYTES:
            for sends in self._sends.values():
                count = len(sends.blobs)
                self._hand_on(sends, count)
                sends.left = count + (sends.left if sends.left_of == index else 0)
                sends.left_of = index
            self._bytes = 0
        self._spill()

    def roll_back(self) -> None:
        """Take back what the call at work has sent."""
        index = self.index
        for sends in self._sends.values():
            while sends.indexes and sends.indexes[-1] >= index:
                sends.indexes.pop()
                sends.blobs.pop()
            sends.headers = {at: headers for at, headers in sends.headers.items() if at < len(sends.blobs)}
        while self._effects and self._effects[-1][0] >= index:
            self._effects.pop()[1].undo()
        if self.state is not None:
            self.state.undo.roll_back()

    def commit(self) -> None:
        """Hand what was collected to the outbox, and let all else take effect: no call is at work."""
        for sends in self._sends.values():
            self._hand_on(sends, len(sends.blobs))
        for _, effect in self._effects:
            effect.take_effect()
        self._effects.clear()
        self._bytes = 0
        self._own = None
        if self._quick is not None:
            self._quick.disarm()

    def _hand_on(self, sends: Sends, count: int) -> None:
        """Hand on the first `count` messages of one route."""
        if not count:
            return
        segment = self._segment
        assert segment is not None
        place = self._exits.place(sends.route)
        indexes = sends.indexes[:count]
        own = [i - self._base for i in indexes] if self._base else indexes
        before = sends.left if sends.left_of == indexes[0] else 0
        ids = children(segment, own, place.node, place.flow, place.occurrence, before)
        ids.route = sends.route
        if sends.headers:
            ids.headers = [sends.headers.get(at, h) for at, h in enumerate(ids.headers or [None] * count)]
            sends.headers = {at - count: headers for at, headers in sends.headers.items() if at >= count}
        blobs = sends.blobs[:count]
        self._emit(ids, blobs if self._any_large else plainly_joined(blobs), self._frame, indexes)
        del sends.blobs[:count]
        del sends.indexes[:count]
