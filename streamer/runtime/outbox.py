"""The outgoing half of an instance: its edges, the sessions of its consumers, and the account of all of it.

Whoever sends puts chunks in (`emit`), whoever has credit gets frames out (`flush`), and acknowledgements come back
(`receive`). Before a frame leaves, the account that counts it is in force in its page, so that a kill at any moment
leaves an account that balances. Every call but `room` is made under the instance's one lock; none blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hmac import compare_digest
from typing import TYPE_CHECKING

from streamer.errors import PeerError
from streamer.limits import (
    FRAME_AGE_MAX_S,
    FRAME_BYTES_MAX,
    FRAME_MESSAGES_MAX,
    RETAINED_BYTES_MAX,
    SESSION_TIMEOUT_S,
)
from streamer.plan.assignment import Assignment, Delivery, Output, Overload, Ownership, Peer, PeerState
from streamer.protocol.account import InstanceAccount
from streamer.protocol.chunk import Chunk, CountingParent, joined
from streamer.protocol.edge import Edge
from streamer.protocol.floors import Floors, encode_floors
from streamer.protocol.frames import Kind, Open, decode_open, decode_short, decode_status, encode_short, kind_of
from streamer.protocol.partition import AnyEdge
from streamer.protocol.segment import Segment
from streamer.protocol.session import SendingSession, State
from streamer.runtime.admission import admit, bury
from streamer.runtime.exits import Exits
from streamer.runtime.letters import Letters
from streamer.runtime.outlets import Lane, Outlets
from streamer.runtime.taps import Taps
from streamer.transport.base import Binding, Parts

if TYPE_CHECKING:
    # They send through here.
    from streamer.runtime.checkpoints import Checkpoints


class Outbox:
    """`binding` is where its edges are bound; None as long as there was no need.

    `kept`: what is sent goes there first, and from there, `again`, into the edges; so many `kept_bytes` wait there.
    `floors` are passed on to consumers.
    """

    def __init__(
        self,
        assignment: Assignment,
        exits: Exits,
        binding: Binding | None,
        account: InstanceAccount,
        letters: Letters,
    ) -> None:
        self._a = assignment
        self.binding = binding
        self._letters = letters
        self.outlets = Outlets(exits, account)
        self._taps = Taps(assignment.token)
        self._sessions: dict[int, SendingSession] = {}
        self._children: dict[str, Peer] | None = None
        self.kept: Checkpoints | None = None
        self.kept_bytes = 0
        self.floors = Floors()
        self._ending = False
        self._checked_at = 0.0
        self.dirty = False
        self.refused = 0

    # -- what is held ----------------------------------------------------------------------------------------------

    @property
    def edges(self) -> list[AnyEdge]:
        return [outlet.edge for outlet in self.outlets]

    @property
    def idle(self) -> bool:
        """Everything that was sent is settled."""
        return not self.kept_bytes and all(outlet.edge.idle for outlet in self.outlets)

    @property
    def over(self) -> bool:
        """Whether all instances of some child node have completed: then a former life has said that nothing follows."""
        return any(lane.over for outlet in self.outlets for lane in outlet.lanes)

    @property
    def pending(self) -> int:
        """Messages that wait for credit."""
        return sum(outlet.edge.pending_messages for outlet in self.outlets)

    def room(self, ahead_bytes: int | None = None) -> bool:
        """Whether more may be sent: no edge that makes its producer wait is full, and not too much is unsettled.

        Edges inside a cycle never make anybody wait. `ahead_bytes` is a stricter limit of one queue.
        """
        held = self.kept_bytes
        for outlet in self.outlets:
            policy, edge = outlet.policy, outlet.edge
            if not policy.inside:
                if policy.overload is Overload.BLOCK:
                    limit = policy.queue_bytes if ahead_bytes is None else min(policy.queue_bytes, ahead_bytes)
                    if edge.queued_bytes >= limit:
                        return False
                held += edge.held_bytes
        return held < RETAINED_BYTES_MAX

    def refusing(self, route: int) -> str | None:
        """The full edge, if a message sent from the position `route` is to be refused by `overload: error`."""
        for outlet, _ in self.outlets.hops[route]:
            if outlet.policy.overload is Overload.ERROR and outlet.full:
                return f"{self._a.node} >> {outlet.edge.target}"
        return None

    def full(self, route: int) -> str | None:
        """What has no room for a message that could be sent later as well: an edge from the position `route`, or all.

        Unlike `room` it asks whatever the policy: who can be told to come again needs nothing dropped.
        """
        for outlet, _ in self.outlets.hops[route]:
            if outlet.full:
                return f"edge {self._a.node} >> {outlet.edge.target} is full"
        held = sum(outlet.edge.held_bytes for outlet in self.outlets)
        return f"node {self._a.node} holds {held} bytes that are not settled" if held >= RETAINED_BYTES_MAX else None

    def credit(self, edge: AnyEdge) -> int:
        """Messages that all sessions of an edge would take now."""
        return sum(max(0, s.grant.available) for s in self.outlets[edge.target].sessions)

    # -- in --------------------------------------------------------------------------------------------------------

    def emit(
        self,
        segment: Segment,
        blobs: Sequence[bytes],
        parent: CountingParent | None,
        indexes: Sequence[int],
        *,
        again: bool = False,
    ) -> None:
        """Send packed messages onwards from the position `segment.route` of this node, to all its next nodes.

        `again`: this node can make them again after its death.
        """
        self.dirty = True
        if self.kept is not None and not again:
            self.kept.keep(segment, blobs)
            return
        blobs, size = joined(blobs)
        for outlet, route in self.outlets.hops[segment.route]:
            hops = segment.hops + outlet.policy.inside
            if parent is not None:
                parent.open += len(blobs)
            chunk = Chunk(blobs, segment.towards(route, hops), parent, indexes, size, again=again)
            admit(outlet, chunk, self._letters)

    def emit_again(self, target: str, segment: Segment, blobs: Sequence[bytes]) -> None:
        """Send roots that were made again into one edge only: the others have them settled already."""
        blobs, size = joined(blobs)
        self.dirty = True
        for outlet, route in self.outlets.hops[segment.route]:
            if outlet.edge.target == target:
                hops = segment.hops + outlet.policy.inside
                chunk = Chunk(blobs, segment.towards(route, hops), None, (), size, again=True)
                admit(outlet, chunk, self._letters)

    # -- out -------------------------------------------------------------------------------------------------------

    def flush(self, now: float, *, drained: bool) -> None:
        """Send what has credit. Unless the input is `drained`, only frames that are full or old."""
        for outlet in self.outlets:
            for lane in outlet.lanes:
                edge = lane.edge
                if not edge.pending_messages:
                    lane.waiting_since = 0.0
                    continue
                if lane.over:
                    self._forget(edge)
                    continue
                lane.waiting_since = lane.waiting_since or now
                if drained or now - lane.waiting_since > FRAME_AGE_MAX_S:
                    self._send(lane, outlet.policy, 1)
                elif edge.pending_messages >= FRAME_MESSAGES_MAX or edge.pending_bytes >= FRAME_BYTES_MAX:
                    self._send(lane, outlet.policy, FRAME_MESSAGES_MAX)

    def _forget(self, edge: Edge) -> None:
        while (frame := edge.cut(FRAME_MESSAGES_MAX)) is not None:
            edge.forget(frame)
        self.dirty = True

    def _send(self, lane: Lane, policy: Output, least: int) -> None:
        """Share what waits over the sessions with credit, while at least `least` messages or a frame's bytes wait.

        Where the credit is wide, a share is a frame: whoever handles so many messages in so short a time can take it.
        """
        if self.binding is None:
            return
        edge = lane.edge
        kept = policy.delivery is Delivery.AT_LEAST_ONCE
        while edge.pending_messages >= least or edge.pending_bytes >= FRAME_BYTES_MAX:
            ready = [s for s in lane.sessions if s.state is State.OPEN and s.route and s.grant.available > 0]
            if not ready:
                return
            share = -(-edge.pending_messages // len(ready))
            for session in ready:
                room = session.grant.available
                if (frame := edge.cut(room if session.grant.wide else min(room, share))) is None:
                    break
                parts = session.send(frame) if kept else session.send_unkept(frame)
                self.dirty = self.dirty or not kept
                if session.route and not self.binding.send(session.route, parts):
                    session.route = None
                if self._taps.watched:
                    self._taps.show(self.binding, edge.target, frame.count, parts)
                if len(lane.sessions) > 1:
                    lane.sessions.remove(session)
                    lane.sessions.append(session)

    def end(self) -> bool:
        """Tell every consumer that nothing follows; True once each instance of the child nodes has said that it knows.

        To be called, again and again, once nothing will be emitted any more.
        """
        self._ending = True
        if self.binding is None:
            return True
        known: set[str] = set()
        for outlet in self.outlets:
            if not outlet.edge.idle:
                return False
            for session in outlet.sessions:
                if session.state is State.OPEN and session.route:
                    self.binding.send(session.route, session.end())
                if session.end_seen or outlet.policy.inside:
                    known.add(session.instance)
        if self._children is None:
            return False
        inside = {outlet.edge.target for outlet in self.outlets if outlet.policy.inside}
        return all(
            peer.state is PeerState.GONE or peer.instance in known or peer.node in inside
            for peer in self._children.values()
            if self.outlets.get(peer.node) is not None
        )

    # -- what consumers say ----------------------------------------------------------------------------------------

    def receive(self, now: float) -> bool:
        """Take all control frames that have come; True if there were any."""
        if self.binding is None:
            return False
        got = False
        while (incoming := self.binding.receive()) is not None:
            got = True
            route, parts = incoming
            try:
                self._hear(route, parts, now)
            except PeerError:
                self.refused += 1
        return got

    def _hear(self, route: bytes, parts: Parts, now: float) -> None:
        kind = kind_of(parts)
        if kind is Kind.STATUS:
            self._hear_status(route, parts, now)
        elif kind is Kind.PULSE:
            if (session := self._sessions.get(decode_short(parts))) is not None:
                session.heard_at = now
        elif kind is Kind.OPEN:
            self._open(route, decode_open(parts), now)
        elif kind is Kind.CLOSE:
            if (session := self._sessions.get(decode_short(parts))) is not None:
                self._close(session)
        elif kind is Kind.TAP:
            self._taps.hear(self.binding, route, parts, [edge.target for edge in self.edges], now)
        else:
            raise PeerError(f"a consumer sent a frame of kind {kind.name}")

    def _hear_status(self, route: bytes, parts: Parts, now: float) -> None:
        status = decode_status(parts)
        session = self._sessions.get(status.session)
        assert self.binding is not None
        if session is None:
            self.binding.send(route, encode_short(Kind.REFUSED, status.session))
            return
        if session.route != route:
            session.route = route
            for missed in session.missed(status.received):
                self.binding.send(route, missed)
        session.hear(status, now)
        self.dirty = True
        if session.lost_its_tail(now):
            self._repair(session, status.received)

    def _repair(self, session: SendingSession, received: int) -> None:
        """Send the end of a session again; what is delivered at most once is gone, and so is its credit."""
        assert self.binding is not None
        if self.outlets[session.edge.target].policy.delivery is Delivery.AT_MOST_ONCE:
            self._close(session)
        elif session.route:
            for missed in session.missed(received):
                self.binding.send(session.route, missed)

    def _open(self, route: bytes, opening: Open, now: float) -> None:
        assert self.binding is not None
        outlet = self.outlets.get(opening.node)
        known = (self._children or {}).get(opening.instance)
        if not compare_digest(opening.token.encode(), self._a.token.encode()) or outlet is None:
            self.binding.send(route, encode_short(Kind.REFUSED, opening.session))
            raise PeerError(f"{opening.instance!r} of node {opening.node!r} was refused: wrong token or no such edge")
        if opening.session in self._sessions:
            self._sessions[opening.session].heard_at = now
            return
        if known is not None and opening.epoch < known.epoch:
            self.binding.send(route, encode_short(Kind.REFUSED, opening.session))
            raise PeerError(f"{opening.instance!r} opened with epoch {opening.epoch}; it has epoch {known.epoch}")
        lane = outlet.lane_for(opening.instance, opening.ownership)
        if lane is None:
            self.binding.send(route, encode_short(Kind.REFUSED, opening.session))
            return  # word of other owners has come to one of the two first: it will ask again
        for old in [s for s in outlet.sessions if s.instance == opening.instance]:
            self._close(old)
        in_hand = [(h.session, h.sequence, h.first + n) for h in opening.crashed for n in range(h.more + 1)]
        if sum(outlet.edge.accuse(*message, now) for message in in_hand):
            self.dirty = bury(outlet, outlet.edge.take_poison(), self._letters) or self.dirty
        session = SendingSession(opening.session, lane.edge, opening.instance, opening.epoch, route, now)
        self._sessions[session.number] = session
        lane.sessions.append(session)

    def _close(self, session: SendingSession) -> None:
        session.close()
        del self._sessions[session.number]
        outlet = self.outlets[session.edge.target]
        outlet.lane_of(session).sessions.remove(session)
        self.dirty = bury(outlet, outlet.edge.take_poison(), self._letters) or self.dirty

    # -- time and peers --------------------------------------------------------------------------------------------

    def check(self, now: float) -> None:
        """End sessions of which nothing was heard for too long, unless it was this process that stood still."""
        stalled = now - self._checked_at > SESSION_TIMEOUT_S / 2
        self._checked_at = now
        self._taps.expire(now)
        self.outlets.prune()
        self._tell_floors()
        for session in list(self._sessions.values()):
            if stalled:
                session.heard_at = now
            elif now - session.heard_at > SESSION_TIMEOUT_S:
                self._close(session)

    def _tell_floors(self) -> None:
        floors = self.floors.take()
        if floors and self.binding is not None:
            parts = encode_floors(floors)
            for session in self._sessions.values():
                if session.route and self.outlets[session.edge.target].policy.floors:
                    self.binding.send(session.route, parts)

    def rewire(self) -> None:
        """The exits have got another wiring: the edges are others."""
        self.outlets.rewire()
        self.dirty = True

    def held_routes(self) -> Iterator[int]:
        """Of all that waits here, and of all that is on its way and not settled."""
        for outlet in self.outlets:
            for chunk, _, _ in outlet.edge.held():
                yield chunk.segment.route

    def meet(self, children: Sequence[Peer], owners: Mapping[str, Ownership], now: float) -> None:
        """The instances of the child nodes are these now: sessions of gone ones, or scaled away, end at once.

        So do all that go by other owners of keys than those of now.

        A session of a former life ends when the new one opens, and not here: the opening says what was in hand at the
        death, which must be known before the rest is sent to others.
        """
        self._children = {peer.instance: peer for peer in children}
        for session in list(self._sessions.values()):
            peer = self._children.get(session.instance)
            if peer is None or peer.state is PeerState.GONE:
                self._close(session)
        for outlet in self.outlets:
            if (own := owners.get(outlet.edge.target)) is not None and own.epoch > outlet.owners.epoch:
                self.receive(now)  # what former owners have said last, of what is settled
                for session in outlet.sessions:
                    self._close(session)
                outlet.divide(own)
            outlet.meet(children)

    def reset(self, messages: int | None) -> int:
        """Drop the oldest messages that wait for credit, of all edges (None: all); gives how many were dropped."""
        self.dirty = True
        return sum(
            edge.drop_oldest(edge.pending_messages if messages is None else messages, "reset") for edge in self.edges
        )
