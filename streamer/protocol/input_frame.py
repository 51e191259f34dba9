"""A frame that came, until it is settled: what of it was handled, what waits, and what was sent for it.

It is the parent of all that its handlers send, so it is what settlement goes through on its way back: once nothing of
it is open any more, its session acknowledges it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from streamer.protocol.chunk import Parent
from streamer.protocol.codec import payload_bytes
from streamer.protocol.frames import Data, Received
from streamer.protocol.partition import AnyEdge
from streamer.protocol.segment import Segment

if TYPE_CHECKING:
    # It makes these, and hears when they are settled.
    from streamer.protocol.session import ReceivingSession


class InputFrame:
    """A received frame until it is settled: one counter of what is open (1 for its handling, 1 per message sent).

    `together` are ranges of messages for which something was sent in common: they settle together. `held` ones are not
    done with, though their handler is. `watches` are called when their messages are settled. `alone`: its one message
    may have been in hand at a death, so nothing else should be in hand with it. `late` ones and `repeats` are not to be
    handled; those `aside` wait to be again. `dead` and `dropped` ones were given up. `kept`: a checkpoint is to come.
    """

    __slots__ = (
        "alone", "arrived_at", "aside", "body", "buffers", "count", "dead", "dropped", "handled", "held", "kept",
        "late", "open", "repeats", "segments", "sequence", "session", "size", "together", "told", "told_dead",
        "told_dropped", "watches",
    )  # fmt: skip

    attempts: int = 1
    """Calls of the handler for each of its messages, this one included."""
    failed_at: float | None = None
    """When the first of these calls has failed, by the clock of the instance."""

    def __init__(self, session: ReceivingSession, data: Data, now: float) -> None:
        self.session = session
        self.sequence = data.sequence
        self.segments: list[Segment] = data.segments
        self.count = data.count
        self.size = payload_bytes(data.body, data.count)
        if data.buffers:
            self.size += sum(map(len, data.buffers))
        self.body: bytes | memoryview = data.body
        self.buffers: Received = data.buffers
        self.alone = data.redelivered and data.count == 1
        self.arrived_at = now
        self.open = 1
        self.handled = self.kept = False
        self.repeats: Sequence[int] = ()
        self.dead: list[int] = []
        self.dropped: list[int] = []
        self.told = self.told_dead = self.told_dropped = 0
        self.together: tuple[range, ...] = ()
        self.late: tuple[range, ...] = ()
        self.held: tuple[range, ...] = ()
        self.aside: tuple[range, ...] = ()
        self.watches: tuple[tuple[range, Callable[[], None]], ...] = ()

    @property
    def base(self) -> int:
        """Where its first message lies in the frame that its session knows by this sequence."""
        return 0

    def place(self, index: int) -> tuple[Segment, int]:
        """The segment of a message, and its index there."""
        for segment in self.segments:
            if index < len(segment):
                return segment, index
            index -= len(segment)
        raise IndexError(index)

    @property
    def waiting(self) -> Sequence[range]:
        """Those of its messages that are to be handled again."""
        return self.aside

    def again(self, index: int) -> int | None:  # noqa: ARG002  # of frames that peers have sent, no message is one
        """The number of the dead letter that this message was."""
        return None

    def settle(self, count: int) -> None:
        """So many of what was open is settled."""
        self.open -= count
        if self.open == 0:
            self.session.settled(self)
            if self.watches:
                self.tell_watches(set())

    def done(self) -> None:
        """Its handlers are done with it. What no hold will read again gives its memory to the next frame."""
        self.handled = True
        if not self.held:
            self.body, self.buffers = b"", ()

    def unwatch(self, watch: tuple[range, Callable[[], None]]) -> None:
        self.watches = tuple(other for other in self.watches if other is not watch)

    def tell_watches(self, unsettled: set[int]) -> None:
        """Only these messages of the frame are not settled."""
        for those, tell in self.watches:
            if unsettled.isdisjoint(those):
                tell()
        self.watches = tuple(watch for watch in self.watches if not unsettled.isdisjoint(watch[0]))


def unsettled(frames: Iterable[InputFrame], edges: Iterable[AnyEdge]) -> dict[InputFrame, set[int]]:
    """Which messages of these frames are not settled: all of one not handled or kept for a checkpoint, else those held
    or with children that are not. Those who watch a message that is settled are told."""
    still: dict[InputFrame, set[int]] = {f: set() if f.handled and not f.kept else set(range(f.count)) for f in frames}
    handled: set[Parent] = {f for f in still if f.handled}
    for edge in edges:
        for parent, index in edge.unsettled_of(handled):
            still[parent].add(index)  # type: ignore[index]  # the parents asked for are input frames
    for frame, indexes in still.items():
        indexes.update(*frame.held, *frame.aside)
        for those in frame.together:
            if not indexes.isdisjoint(those):
                indexes.update(those)
        frame.tell_watches(indexes)
    return still
