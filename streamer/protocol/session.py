"""Both ends of an edge between two instances, as tables: a session is the span in which nothing can be lost unseen.

The consumer opens it, naming itself and a fresh session number; the producer numbers its frames from 1, and the
consumer accepts only the next number. **A gap ends the session**: a ROUTER whose TCP connection was cut dropped 1,195
of 4,000 frames silently and went on with later ones (measured). A connection that is made again resumes the session
from the last number received, or the consumer opens a new one; acknowledgements of an ended session are void, since
what it held has been sent to others. States are tables; an event that a state does not know is an error naming both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum, StrEnum
from types import MappingProxyType

from streamer.errors import PeerError
from streamer.limits import PARTIAL_ACK_AGE_S, STATUS_PARTIALS_MAX, STATUS_RANGES_MAX, TAIL_TIMEOUT_S
from streamer.protocol.account import DROP_REASONS
from streamer.protocol.chunk import OutFrame
from streamer.protocol.credit import Grant, Pace, Window
from streamer.protocol.edge import Edge
from streamer.protocol.frames import Data, Kind, Parts, Status, encode_short
from streamer.protocol.input_frame import InputFrame
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
        if self.state is not State.OPEN:
            self.state = _next(PRODUCER_TABLE, self.state, Event.HEARD)
        self.heard_at = now
        if status.received > self._sequence:
            raise PeerError(f"a status acknowledges frame {status.received} of {self._sequence}")
        if status.received > self._received or status.received == self._sequence:
            self._received, self._received_at = status.received, now
        self.grant.raise_to(status.granted_messages, status.granted_bytes, status.wide)
        self.end_seen = self.end_seen or status.end_seen
        settled = self._settle(status)
        dead = min(max(0, status.dead - self._dead), settled)
        dropped = min(max(0, status.dropped - self._dropped), settled - dead)
        self._dead += dead
        self._dropped += dropped
        self.edge.counts.dead_lettered += dead
        self.edge.counts.settled += settled - dead - dropped
        if dropped:
            self.edge.counts.drops[DROP_REASONS.index("handler")] += dropped

    def _settle(self, status: Status) -> int:
        """Settle what is acknowledged; gives the number of messages."""
        flying, settle, floor, settled = self._flying, self.edge.settle, status.floor, 0
        while flying and (first := next(iter(flying))) < floor:
            settled += settle(flying.pop(first))
        if status.ranges:
            for frame in self._in(status.ranges):
                settled += settle(frame)
        for sequence, flat in status.partials:
            if (partly := flying.get(sequence)) is not None:
                settled += self.edge.settle_partly(partly, flat)
        return settled

    def _in(self, ranges: Sequence[int]) -> Iterator[OutFrame]:
        """Let go of the frames in these ranges."""
        flying = self._flying
        for start, end in zip(ranges[::2], ranges[1::2], strict=True):
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


class Due(Enum):
    """Of a status. `SOON`: something has changed, but too little to tell while more is to be handled."""

    NOTHING = 0
    SOON = 1
    NOW = 2


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
        if event is not Event.HEARD or self.state is not State.OPEN:
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

    def due(self) -> Due:
        """Whether a status is worth sending: as soon as a quarter window has changed, or the end is known."""
        granted, acknowledged = (
            self.window.granted_messages - self._told_grant,
            self._acknowledged - self._told_acknowledged,
        )
        changed = granted if granted > acknowledged else acknowledged
        if self.end_seen != self._told_end:
            return Due.NOW
        if changed <= 0:
            return Due.NOTHING
        return Due.NOW if changed >= self.window.quarter else Due.SOON

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


def _complement(still: set[int], count: int) -> RangeSet:
    done = RangeSet()
    at = 0
    for index in sorted(still):
        done.add(at, index)
        at = index + 1
    done.add(at, count)
    return done
