"""The incoming half of an instance: a connection and a session to every instance of its parent nodes.

Frames wait here, in the order in which they came, until the node's work takes them; grants and acknowledgements go back
about once per quarter window, soon after the input is drained, and with every heartbeat. A session that breaks (a gap,
a refusal, a parent that moved) is replaced over a fresh connection, so that frames of the old one cannot be mistaken
for frames of the new one; what it had delivered is handled all the same, since it may be the only copy.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from streamer.cluster_limits import PLACED_EPOCHS
from streamer.errors import PeerError
from streamer.limits import (
    ACKNOWLEDGE_S,
    CYCLE_INTAKE_BYTES_MAX,
    CYCLE_INTAKE_MESSAGES_MAX,
    HEARTBEAT_S,
    RETAINED_BYTES_MAX,
)
from streamer.plan.assignment import Assignment, Input, Peer, PeerState
from streamer.protocol.credit import Pace
from streamer.protocol.floors import Floors, decode_floors
from streamer.protocol.frames import (
    InHand,
    Kind,
    Open,
    decode_data,
    decode_short,
    encode_open,
    encode_short,
    encode_status,
    kind_of,
)
from streamer.protocol.input_frame import InputFrame
from streamer.protocol.session import Due, ReceivingSession, State
from streamer.runtime.exits import Exits
from streamer.runtime.parking import Parking
from streamer.transport.base import Connection, Parts, Transport

_UNBOUNDED = 1 << 62


class Upstream:
    """One parent instance: the connection to it and the session on that connection.

    `refused`: it did not want the last session that was opened, so the next one is not opened before the next beat.
    """

    __slots__ = ("connection", "opened_at", "peer", "refused", "session", "told_at")

    def __init__(self, peer: Peer, connection: Connection, session: ReceivingSession) -> None:
        self.peer = peer
        self.connection = connection
        self.session = session
        self.opened_at: float | None = None
        self.told_at = 0.0
        self.refused = False


class Inbox:
    """`number` gives fresh session numbers; `crashed` is what was in hand when this instance died last. Of `floors` it
    hears here.

    `shut`: nothing is asked for, and no session begins. `leaving`: it is shut for good; see `left`. `ownership` is told
    at the opening of a session (`Open`). `local` gives sessions without a peer.

    A life that takes over from one on another machine asks for nothing before it `can_pass_on` what it gets: the other
    may be alive, and be the one that its consumers know, as long as they cannot be told otherwise.
    """

    def __init__(
        self,
        assignment: Assignment,
        exits: Exits,
        transport: Transport,
        number: Callable[[], int],
        on_settled: Callable[[int], None],
        crashed: Sequence[InHand],
        floors: Floors,
    ) -> None:
        self._a = assignment
        self._exits = exits
        self._transport = transport
        self._number = number
        self._on_settled = on_settled
        self._crashed = tuple(crashed)
        self._floors = floors
        self._inside = _inside(exits.wiring.inputs)
        self.cyclic = True in self._inside.values()
        self._upstreams: dict[str, Upstream] = {}
        self._left: list[ReceivingSession] = []
        self._parents: dict[str, Peer] | None = None
        self._ready: deque[InputFrame] = deque()
        self._parking = Parking(exits)
        self.local: Callable[[], Iterable[ReceivingSession]] = tuple
        self.pace = Pace()
        self.unsettled = 0
        self.refused = 0
        self.leaving = self.shut = False
        self._held_back = assignment.epoch >= PLACED_EPOCHS and not self.cyclic
        self.can_pass_on: Callable[[], bool] = lambda: True
        self.report_at: float | None = None
        self.ownership = 0
        self._aside: set[InputFrame] = set()

    # -- frames ----------------------------------------------------------------------------------------------------

    def next(self) -> InputFrame | None:
        """The frame that came first and was not taken yet."""
        return self._ready.popleft() if self._ready else None

    @property
    def drained(self) -> bool:
        return not self._ready

    @property
    def parked(self) -> bool:
        """Whether frames wait for word of their version."""
        return bool(self._parking)

    @property
    def waiting(self) -> int:
        """Frames that were not taken yet."""
        return len(self._ready)

    def admit(self, frame: InputFrame) -> None:
        """Take a frame of a session without a peer."""
        self.unsettled += frame.count
        self._ready.append(frame)

    def receive(self, now: float) -> None:
        """Take all frames that have come."""
        for upstream in list(self._upstreams.values()):
            receive = upstream.connection.receive
            while not upstream.session.closed and (parts := receive()) is not None:
                try:
                    self._hear(upstream, parts, now)
                except PeerError:
                    self.refused += 1
                    upstream.session.close()
            if upstream.session.closed:
                self._reopen(upstream, now)

    def _hear(self, upstream: Upstream, parts: Parts, now: float) -> None:
        kind = kind_of(parts)
        session = upstream.session
        if kind is Kind.DATA:
            frame = session.accept(decode_data(parts), now)
            if frame is not None:
                self.unsettled += frame.count
                if (not self._parking and self._exits.know(frame.segments)) or self._parking.admit(frame):
                    self._ready.append(frame)
        elif kind is Kind.END:
            session.end(decode_short(parts))
        elif kind is Kind.FLOORS:
            self._floors.hear(decode_floors(parts))
        elif kind is Kind.REFUSED:
            if decode_short(parts) == session.number:
                upstream.refused = session.state is State.OPENING
                session.close()
        else:
            raise PeerError(f"a producer sent a frame of kind {kind.name}")

    def handled(self, frame: InputFrame, busy_s: float, told: int = 0) -> None:
        """The work is done with a frame, settled or not; of `told` of its messages `ahead` was told before."""
        self.pace.handled(frame.count, busy_s)
        frame.session.window.handled(frame.count - told, frame.size)

    def ahead(self, frame: InputFrame, messages: int) -> None:
        """The work is done with so many messages of a frame, and goes on with others of it."""
        frame.session.window.handled(messages, 0)

    # -- grants and acknowledgements -------------------------------------------------------------------------------

    def report(self, now: float, *, drained: bool) -> None:
        """Send the statuses that are worth sending.

        Once the input is `drained` every change is, but no more than one in ACKNOWLEDGE_S: so what comes alone is
        acknowledged at once, and what comes all the time by several frames together.
        """
        sessions = len(self._upstreams)
        self.report_at = None
        for upstream in self._upstreams.values():
            session = upstream.session
            self._renew(session, sessions)
            due = session.due()
            if due is Due.NOTHING or upstream.opened_at is None:
                continue
            if due is Due.SOON:
                if not drained:
                    continue
                if now < (at := upstream.told_at + ACKNOWLEDGE_S):
                    self.report_at = at if self.report_at is None else min(at, self.report_at)
                    continue
            upstream.told_at = now
            upstream.connection.send(encode_status(session.status()))

    def beat(self, now: float, unsettled: Callable[[set[InputFrame]], dict[InputFrame, set[int]]]) -> None:
        """Heartbeat: open what is not open, and repeat every status, old frames message by message."""
        old = {frame for upstream in self._upstreams.values() for frame in upstream.session.old(now)}
        still = unsettled(old) if old else {}
        for upstream in self._upstreams.values():
            session = upstream.session
            if session.state is State.OPENING and now - (upstream.opened_at or 0.0) >= HEARTBEAT_S:
                self._send_open(upstream, now)
            self._renew(session, len(self._upstreams))
            upstream.connection.send(encode_status(session.status(still)))

    def oldest(self) -> float | None:
        """When the oldest unsettled frame came."""
        sessions = [*(u.session for u in list(self._upstreams.values())), *self.local()]
        frames = [next(iter(session.frames.values()), None) for session in sessions]
        return min((frame.arrived_at for frame in frames if frame is not None), default=None)

    def _renew(self, session: ReceivingSession, sessions: int) -> None:
        """Intake from outside a cycle is limited by what is unsettled inside it; the cycle's own edges never wait."""
        if self.shut:
            return
        if session.inside or not self.cyclic:
            session.renew(self.pace, sessions, _UNBOUNDED, _UNBOUNDED if session.inside else RETAINED_BYTES_MAX)
        else:
            session.renew(
                self.pace,
                sessions,
                max(1, CYCLE_INTAKE_MESSAGES_MAX // sessions),
                max(1, CYCLE_INTAKE_BYTES_MAX // sessions),
            )

    def sessions(self) -> Iterator[tuple[str, int]]:
        """(endpoint of the parent, session number) of every session, for the pulse. Any thread may ask."""
        for upstream in list(self._upstreams.values()):
            yield upstream.peer.endpoint, upstream.session.number

    # -- peers -----------------------------------------------------------------------------------------------------

    def rewire(self) -> None:
        """The exits have got another wiring: the inputs are others. `rejoin` follows, in the message thread."""
        self._inside = _inside(self._exits.wiring.inputs)
        self.cyclic = True in self._inside.values()

    def rejoin(self, now: float) -> None:
        """Do what follows from another wiring: for sessions, and for frames that waited for it."""
        for upstream in self._upstreams.values():
            upstream.session.inside = self._inside.get(upstream.peer.node, upstream.session.inside)
        if self._parents is not None:
            self.meet(list(self._parents.values()), now)
        self._ready += self._parking.release()

    def held_routes(self) -> Iterator[int]:
        """Of all that came and is not settled, also in sessions that have ended."""
        for frame in self._frames_ever():
            for segment in frame.segments:
                yield segment.route

    def meet(self, parents: Sequence[Peer], now: float) -> None:
        """The instances of the parent nodes are these now."""
        gone = {name for name, peer in (self._parents or {}).items() if peer.state is PeerState.GONE}
        self._parents = {peer.instance: peer for peer in parents}
        for name in self._upstreams.keys() - self._parents.keys():
            self._part(name)
        for peer in parents:
            upstream = self._upstreams.get(peer.instance)
            if peer.state is PeerState.GONE or peer.instance in gone or peer.node not in self._inside:
                if upstream is not None:
                    self._part(peer.instance)
            elif upstream is None:
                if peer.endpoint and not self.shut and not self._held_back:
                    session, connection = self._session(peer)
                    self._upstreams[peer.instance] = upstream = Upstream(peer, connection, session)
                    self._send_open(upstream, now)
            else:
                moved = upstream.peer.endpoint != peer.endpoint
                upstream.peer = peer
                if moved and peer.endpoint:
                    upstream.session.close()
                    self._reopen(upstream, now)

    def _part(self, name: str) -> None:
        upstream = self._upstreams.pop(name)
        self._leave(upstream.session)
        upstream.connection.close()

    def _reopen(self, upstream: Upstream, now: float) -> None:
        if self.shut or upstream.peer.node not in self._inside:
            self._part(upstream.peer.instance)
            return
        upstream.connection.close()
        self._leave(upstream.session)
        upstream.session, upstream.connection = self._session(upstream.peer)
        upstream.opened_at = None
        if not upstream.refused:
            self._send_open(upstream, now)

    def _leave(self, session: ReceivingSession) -> None:
        session.close()
        self._left = [left for left in (*self._left, session) if left.frames]

    def _session(self, peer: Peer) -> tuple[ReceivingSession, Connection]:
        session = ReceivingSession(self._number(), peer.node, self._inside[peer.node], self._on_settled)
        return session, self._transport.connect(peer.endpoint)

    def _send_open(self, upstream: Upstream, now: float) -> None:
        upstream.refused = False
        if self.shut:
            return
        a, number = self._a, upstream.session.number
        opening = Open(a.token, a.node, a.instance, a.epoch, number, self._crashed, self.ownership)
        if upstream.connection.send(encode_open(opening)):
            upstream.opened_at = now
            self._renew(upstream.session, len(self._upstreams))
            upstream.connection.send(encode_status(upstream.session.status()))

    def open_waiting(self, now: float) -> bool:
        """Open the sessions whose connection was not there yet; True if some still wait."""
        if self._held_back and self._parents is not None and self.can_pass_on():
            self._held_back = False
            self.meet(tuple(self._parents.values()), now)
        waiting = False
        for upstream in self._upstreams.values():
            if upstream.opened_at is None and not upstream.refused:
                self._send_open(upstream, now)
                waiting = waiting or upstream.opened_at is None
        return waiting

    # -- the end ---------------------------------------------------------------------------------------------------

    def left(self) -> bool:
        """While leaving: whether all that came is settled. Then the sessions end, and what comes too late goes back."""
        if self._ready or self.unsettled:
            return False
        for name, upstream in list(self._upstreams.items()):
            upstream.connection.send(encode_status(upstream.session.status()))
            upstream.connection.send(encode_short(Kind.CLOSE, upstream.session.number))
            self._part(name)
        return True

    # -- groups change hands ---------------------------------------------------------------------------------------

    def set_aside(self) -> None:
        """Begin with no frame any more that its producer can give to another: those of ended sessions stay ready."""
        waiting, self._ready = self._ready, deque(frame for frame in self._ready if frame.session.closed)
        self._aside.update(frame for frame in waiting if not frame.session.closed)
        self._aside.update(self._parking.give_up())

    @property
    def in_hand(self) -> bool:
        """Whether the work has a frame and is not done with it."""
        waiting = {*self._ready, *self._aside}
        return any(not frame.handled and frame not in waiting for frame in self._frames_ever())

    @property
    def clear(self) -> bool:
        """Whether all that was not set aside is settled."""
        return all(frame in self._aside for frame in self._frames_ever())

    def hand_back(self, unsettled: Callable[[set[InputFrame]], dict[InputFrame, set[int]]]) -> None:
        """End all sessions: tell what is settled, message by message, and leave the rest to the producers."""
        self._aside.update(self._ready)
        self._ready.clear()
        for name, upstream in list(self._upstreams.items()):
            still = unsettled(set(upstream.session.frames.values()))
            upstream.connection.send(encode_status(upstream.session.status(still)))
            upstream.connection.send(encode_short(Kind.CLOSE, upstream.session.number))
            self._part(name)
        for frame in self._aside:
            del frame.session.frames[frame.sequence]
            self.unsettled -= frame.count
        self._aside.clear()
        self._left = [left for left in self._left if left.frames]

    def _frames_ever(self) -> Iterator[InputFrame]:
        """All that came and is not settled, also in sessions that have ended."""
        for session in (*self._left, *self.local(), *(upstream.session for upstream in self._upstreams.values())):
            yield from session.frames.values()

    def ended(self, *, inside: bool) -> bool:
        """Whether nothing will come any more from parents outside this node's cycle (and `inside` it, if asked).

        Of an input of which no instance is known (yet, or now), everything is still to come.
        """
        if not self._inside:
            return True
        if self._parents is None:
            return False
        for name, peer in self._parents.items():  # asked in each step, and the first one says nearly always no
            of_cycle = self._inside.get(peer.node)
            if peer.state is PeerState.GONE or of_cycle is None or (of_cycle and not inside):
                continue
            upstream = self._upstreams.get(name)
            if upstream is None or not upstream.session.end_seen:
                return False
        asked = {source for source, is_inside in self._inside.items() if inside or not is_inside}
        return asked <= {peer.node for peer in self._parents.values()}


def _inside(inputs: Sequence[Input]) -> Mapping[str, bool]:
    return {edge.source: edge.inside for edge in inputs}
