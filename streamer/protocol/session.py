"""Both ends of an edge between two instances, as tables: a session is the span in which nothing can be lost unseen.

The consumer opens it, naming itself and a fresh session number; the producer numbers its frames from 1, and the
consumer accepts only the next number. **A gap ends the session**: a ROUTER whose TCP connection was cut dropped 1,195
of 4,000 frames silently and went on with later ones (measured). A connection that is made again resumes the session
from the last number received, or the consumer opens a new one; acknowledgements of an ended session are void, since
what it held has been sent to others. States are tables; an event that a state does not know is an error naming both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType

from streamer.errors import PeerError
from streamer.limits import PARTIAL_ACK_AGE_S, STATUS_PARTIALS_MAX, STATUS_RANGES_MAX, TAIL_TIMEOUT_S
from streamer.protocol.account import DROP_REASONS
from streamer.protocol.chunk import OutFrame, Parent
from streamer.protocol.codec import payload_bytes
from streamer.protocol.credit import Grant, Pace, Window
from streamer.protocol.edge import Edge
from streamer.protocol.frames import Data, Kind, Parts, Received, Status, encode_short
from streamer.protocol.partition import AnyEdge
from streamer.protocol.segment import Segment
from streamer.protocol.settlement import RangeSet


class State(StrEnum):
    OPENING = "opening"
    OPEN = "open"
    ENDING = "ending"
    CLOSED = "closed"


class Event(StrEnum):
    HEARD = "heard"
    END = "end"
    CLOSE = "close"


CONSUMER_TABLE: dict[State, dict[Event, State]] = {
    State.OPENING: {Event.HEARD: State.OPEN, Event.END: State.ENDING, Event.CLOSE: State.CLOSED},
    State.OPEN: {Event.HEARD: State.OPEN, Event.END: State.ENDING, Event.CLOSE: State.CLOSED},
    State.ENDING: {Event.HEARD: State.ENDING, Event.END: State.ENDING, Event.CLOSE: State.CLOSED},
    State.CLOSED: {Event.CLOSE: State.CLOSED},
}
"""Consumer: opening until anything numbered comes; ending once END has come (all before it is settled)."""

PRODUCER_TABLE: dict[State, dict[Event, State]] = {
    State.OPEN: {Event.HEARD: State.OPEN, Event.END: State.ENDING, Event.CLOSE: State.CLOSED},
    State.ENDING: {Event.HEARD: State.ENDING, Event.END: State.ENDING, Event.CLOSE: State.CLOSED},
    State.CLOSED: {Event.CLOSE: State.CLOSED},
}
"""Producer: ending once END was sent."""


def _next(table: dict[State, dict[Event, State]], state: State, event: Event) -> State:
    try:
        return table[state][event]
    except KeyError:
        raise PeerError(f"a session that is {state} cannot take the event {event}") from None


class SendingSession:
    """Producer's end. `route` is the connection that the consumer has now; None after it was found cut."""

    def __init__(self, number: int, edge: Edge, instance: str, epoch: int, route: bytes, now: float) -> None:
        self.number = number
        self.edge = edge
        self.instance = instance
        self.epoch = epoch
        self.route: bytes | None = route
        self.heard_at = now
        self.state = State.OPEN
        self.grant = Grant()
        self.end_seen = False
        self._sequence = 0
        self._received = 0
        self._received_at = now
        self._flying: dict[int, OutFrame] = {}
        self._settled = 0
        self._dead = self._dropped = 0

    def send(self, frame: OutFrame) -> Parts:
        """Number the frame and keep it; gives its parts."""
        self._number(frame)
        self._flying[frame.sequence] = frame
        self.edge.fly(frame)
        return frame.encode()

    def send_unkept(self, frame: OutFrame) -> Parts:
        """Number a frame that is delivered at most once."""
        self._number(frame)
        self.edge.forget(frame)
        return frame.encode()

    def _number(self, frame: OutFrame) -> None:
        self._sequence += 1
        frame.sequence = self._sequence
        self.grant.spend(frame.count, frame.size)

    def end(self) -> Parts:
        """The END frame: nothing follows, and all before it is settled. It may be asked for again."""
        if self.state is State.OPEN:
            self._sequence += 1
        self.state = _next(PRODUCER_TABLE, self.state, Event.END)
        return encode_short(Kind.END, self._sequence)

    def hear(self, status: Status, now: float) -> None:
        """Apply grants and acknowledgements. Raises PeerError if they contradict what was sent."""
        self.state = _next(PRODUCER_TABLE, self.state, Event.HEARD)
        self.heard_at = now
        if status.received > self._sequence:
            raise PeerError(f"a status acknowledges frame {status.received} of {self._sequence}")
        if status.received > self._received or status.received == self._sequence:
            self._received, self._received_at = status.received, now
        self.grant.raise_to(status.granted_messages, status.granted_bytes, status.wide)
        self.end_seen = self.end_seen or status.end_seen
        settled = sum(self.edge.settle(frame) for frame in self._acknowledged(status))
        for sequence, flat in status.partials:
            frame = self._flying.get(sequence)
            if frame is not None:
                settled += self.edge.settle_partly(frame, flat)
        dead = min(max(0, status.dead - self._dead), settled)
        dropped = min(max(0, status.dropped - self._dropped), settled - dead)
        self._dead += dead
        self._dropped += dropped
        self.edge.counts.dead_lettered += dead
        self.edge.counts.settled += settled - dead - dropped
        if dropped:
            self.edge.counts.drops[DROP_REASONS.index("handler")] += dropped

    def _acknowledged(self, status: Status) -> Iterator[OutFrame]:
        flying = self._flying
        while flying and (first := next(iter(flying))) < status.floor:
            yield flying.pop(first)
        for start, end in zip(status.ranges[::2], status.ranges[1::2], strict=True):
            end = min(end, self._sequence + 1)
            # A range may have grown long behind one slow frame, and is told again and again.
            known = range(start, end) if end - start <= len(flying) else [n for n in flying if start <= n < end]
            for sequence in known:
                frame = flying.pop(sequence, None)
                if frame is not None:
                    yield frame

    def missed(self, received: int) -> Iterator[Parts]:
        """Frames to send again on a new connection of this session: all kept ones after `received`, and END."""
        for sequence, frame in self._flying.items():
            if sequence > received:
                yield frame.encode()
        if self.state is State.ENDING and received < self._sequence:
            yield encode_short(Kind.END, self._sequence)

    def lost_its_tail(self, now: float) -> bool:
        """Whether the last frames must be lost: the consumer goes on talking, but has not got them for so long.

        No later frame shows it a gap. To be asked when it was heard; True is said once in so long.
        """
        if now - self._received_at <= TAIL_TIMEOUT_S:
            return False
        self._received_at = now
        return True

    def close(self) -> None:
        """End the session: what is not settled goes back to the edge."""
        self.state = _next(PRODUCER_TABLE, self.state, Event.CLOSE)
        self.edge.requeue(self.number, self._flying.values())
        self._flying = {}


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
        self.size = payload_bytes(data.body, data.count) + sum(map(len, data.buffers))
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


class ReceivingSession:
    """Consumer's end. `inside`: its edge belongs to a cycle. `on_settled` hears the count of each settled frame."""

    def __init__(self, number: int, parent: str, inside: bool, on_settled: Callable[[int], None]) -> None:
        self.number = number
        self.parent = parent
        self.inside = inside
        self.state = State.OPENING
        self.window = Window()
        self.received = 0
        self.frames: dict[int, InputFrame] = {}
        self.settled_messages = 0
        self.settled_bytes = 0
        self._on_settled = on_settled
        self._done = RangeSet(1)
        self._acknowledged = 0
        self._dead = self._dropped = 0
        self._told_grant = self._told_acknowledged = 0
        self._told_end = False

    @property
    def closed(self) -> bool:
        return self.state is State.CLOSED

    @property
    def end_seen(self) -> bool:
        return self.state is State.ENDING

    def accept(self, data: Data, now: float) -> InputFrame | None:
        """Take the next frame; None for one seen before. A gap closes the session: see `closed` afterwards."""
        if not self._advance(data.sequence, Event.HEARD):
            return None
        frame = InputFrame(self, data, now)
        self.frames[data.sequence] = frame
        return frame

    def end(self, sequence: int) -> None:
        """END has come, with its sequence number."""
        if self._advance(sequence, Event.END):
            self._done.add(sequence, sequence + 1)

    def _advance(self, sequence: int, event: Event) -> bool:
        if sequence <= self.received:
            return False
        if sequence != self.received + 1:
            self.close()
            return False
        self.received = sequence
        self.state = _next(CONSUMER_TABLE, self.state, event)
        return True

    def close(self) -> None:
        """Frames that were received are handled all the same (they may be the only copy); nobody hears of it."""
        self.state = _next(CONSUMER_TABLE, self.state, Event.CLOSE)

    def settled(self, frame: InputFrame) -> None:
        """All that `frame` was open for is settled."""
        del self.frames[frame.sequence]
        self._done.add(frame.sequence, frame.sequence + 1)
        self.settled_messages += frame.count
        self.settled_bytes += frame.size
        self._acknowledge(frame, frame.count, len(frame.dead), len(frame.dropped))
        self._on_settled(frame.count)

    def _acknowledge(self, frame: InputFrame, messages: int, dead: int, dropped: int) -> None:
        """So many messages of a frame are settled: totals are never taken back, whatever the next status tells."""
        self._acknowledged += messages - frame.told
        self._dead += dead - frame.told_dead
        self._dropped += dropped - frame.told_dropped
        frame.told, frame.told_dead, frame.told_dropped = messages, dead, dropped

    def renew(self, pace: Pace, sessions: int, messages_max: int, bytes_max: int) -> None:
        """Grant anew by the instance's pace; the limits count from what is settled."""
        self.window.renew(
            pace.window(sessions), sessions, self.settled_messages + messages_max, self.settled_bytes + bytes_max
        )

    def due(self, drained: bool) -> bool:
        """Whether a status is worth sending: a quarter window has changed, or anything has and the input is drained."""
        changed = max(self.window.granted_messages - self._told_grant, self._acknowledged - self._told_acknowledged)
        return changed >= (1 if drained else self.window.quarter) or self.end_seen != self._told_end

    def old(self, now: float) -> list[InputFrame]:
        """Frames that have been unsettled for so long that their messages are acknowledged one by one."""
        return [frame for frame in self.frames.values() if now - frame.arrived_at > PARTIAL_ACK_AGE_S]

    def status(self, unsettled: Mapping[InputFrame, set[int]] = MappingProxyType({})) -> Status:
        """All totals. `unsettled` holds, for old frames, the indexes of the messages that are still open."""
        partials: list[tuple[int, tuple[int, ...]]] = []
        for frame, still in unsettled.items():
            if frame.session is self and frame.open and len(partials) < STATUS_PARTIALS_MAX:
                done = _complement(still, frame.count)
                if len(done):
                    partials.append((frame.sequence, tuple(([0, done.floor] if done.floor else []) + done.ranges)))
                    dead, dropped = (sum(1 for i in given_up if i in done) for given_up in (frame.dead, frame.dropped))
                    self._acknowledge(frame, len(done), dead, dropped)
        self._told_grant = self.window.granted_messages
        self._told_acknowledged = self._acknowledged
        self._told_end = self.end_seen
        return Status(
            session=self.number,
            granted_messages=self.window.granted_messages,
            granted_bytes=self.window.granted_bytes,
            received=self.received,
            floor=self._done.floor,
            settled=self._acknowledged - self._dead - self._dropped,
            dead=self._dead,
            dropped=self._dropped,
            ranges=self._done.ranges[: 2 * STATUS_RANGES_MAX],
            partials=tuple(partials),
            end_seen=self.end_seen,
            wide=self.window.wide,
        )


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


def _complement(still: set[int], count: int) -> RangeSet:
    done = RangeSet()
    at = 0
    for index in sorted(still):
        done.add(at, index)
        at = index + 1
    done.add(at, count)
    return done
