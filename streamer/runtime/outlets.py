"""The outgoing edges of an instance with their policies, and which of them each position of its node leads to.

Flows change while messages wait here, so an edge outlives the versions that had it: it goes when no version leads over
it any more, all of it is settled, and the last consumer has left. Its counts stay in the account. What others read
without the instance's lock (a handler that asks for room) is replaced whole and never changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from streamer.limits import CYCLE_RETAINED_BYTES_MAX
from streamer.plan.assignment import Output, Overload, Ownership, Peer, PeerState, index_of
from streamer.protocol.account import EdgeCounts, InstanceAccount
from streamer.protocol.chunk import Chunk
from streamer.protocol.edge import Edge
from streamer.protocol.keys import KeyPath
from streamer.protocol.partition import AnyEdge, PartitionedEdge
from streamer.protocol.session import SendingSession
from streamer.runtime.exits import Exits


@dataclass(slots=True)
class Lane:
    """One queue of an outgoing edge, and the sessions that take from it, in the order in which they are served next."""

    edge: Edge
    sessions: list[SendingSession] = field(default_factory=list)
    waiting_since: float = 0.0
    over: bool = False
    """All whom it is for have completed: they were told that all is settled, so what comes now is a repeat."""


class Outlet:
    """One outgoing edge with its policies: one lane, or one for each owner of keys where the target is partitioned.

    `owners` says who they are; nobody is served by an older or newer word of it. `awaits`: as far as is known, there
    are instances that will take from it.
    """

    def __init__(self, counts: EdgeCounts, policy: Output) -> None:
        self.policy = policy
        self.owners = Ownership(0, 1)
        self.awaits = True
        self.partitioned = PartitionedEdge(counts, KeyPath(policy.partition_by)) if policy.partition_by else None
        queues = self.partitioned.queues if self.partitioned else [Edge(counts)]
        self.edge: AnyEdge = self.partitioned or queues[0]
        self.lanes = [Lane(queue) for queue in queues]

    @property
    def sessions(self) -> list[SendingSession]:
        return [session for lane in self.lanes for session in lane.sessions]

    def lane_for(self, instance: str, ownership: int) -> Lane | None:
        """The lane of this instance, which goes by the ownership of this epoch; None if it is to have nothing."""
        if self.partitioned is None:
            return self.lanes[0]
        index = index_of(instance)
        return self.lanes[index] if ownership == self.owners.epoch and 0 <= index < len(self.lanes) else None

    def lane_of(self, session: SendingSession) -> Lane:
        return next(lane for lane in self.lanes if lane.edge is session.edge)

    def meet(self, children: Sequence[Peer]) -> None:
        """The instances of the target are these now."""
        targets = {peer.instance: peer for peer in children if peer.node == self.edge.target}
        self.awaits = any(peer.state is PeerState.LIVE for peer in targets.values())
        if self.partitioned is None:
            self.lanes[0].over = bool(targets) and all(peer.state is PeerState.GONE for peer in targets.values())
            return
        gone = {index_of(name) for name, peer in targets.items() if peer.state is PeerState.GONE}
        for index, lane in enumerate(self.lanes):
            lane.over = index in gone

    def divide(self, owners: Ownership) -> None:
        """The keys have other owners now. All sessions have ended."""
        assert self.partitioned is not None
        self.owners = owners
        self.partitioned.divide(owners.replicas)
        self.lanes = [Lane(queue) for queue in self.partitioned.queues]

    @property
    def full(self) -> bool:
        return self.edge.queued_bytes >= self.policy.queue_bytes

    def overflow(self, chunk: Chunk) -> None:
        """The queue was full when `chunk` was appended: drop by the policy of the edge."""
        if self.policy.overload is Overload.DROP_OLDEST:
            self.edge.drop_to(self.policy.queue_bytes, self.policy.overload)
        else:
            self.edge.drop_newest(chunk, self.policy.overload)

    def loop_fault(self, chunk: Chunk) -> tuple[str, str] | None:
        """Why a chunk that was appended must not stay in this edge of a cycle: the reason, and in words."""
        limit, held_max = self.policy.hop_limit, CYCLE_RETAINED_BYTES_MAX
        if chunk.segment.hops > limit:
            return "hop limit", f"the message took more than {limit} hops inside a cycle (hopLimit)"
        if self.edge.held_bytes > held_max:
            return "cycle full", f"the cycle holds more than {held_max} bytes (CYCLE_RETAINED_BYTES_MAX)"
        return None


Hops = Mapping[int, tuple[tuple[Outlet, int], ...]]
"""By position of this node: the outlet to each next node, with the position that it is to handle."""


class Outlets:
    """Of one instance, by the node that they lead to."""

    def __init__(self, exits: Exits, account: InstanceAccount) -> None:
        self._exits = exits
        self._account = account
        self._by_target: Mapping[str, Outlet] = {}
        self._needed: frozenset[str] = frozenset()
        self.hops: Hops = {}
        self.rewire()

    def __iter__(self) -> Iterator[Outlet]:
        return iter(self._by_target.values())

    def __getitem__(self, target: str) -> Outlet:
        return self._by_target[target]

    def get(self, target: str) -> Outlet | None:
        return self._by_target.get(target)

    @property
    def taken(self) -> bool:
        """Whether somebody takes from each edge for which there is anybody."""
        return all(outlet.sessions or not outlet.awaits for outlet in self)

    @property
    def waits(self) -> list[AnyEdge]:
        """The edges that make their producer wait when they are full, as do all edges behind them."""
        return [o.edge for o in self if o.policy.overload is Overload.BLOCK and not o.policy.drops_below]

    def rewire(self) -> None:
        """The exits have got another wiring: add what is new. Under the lock."""
        outlets = {}
        for output in self._exits.wiring.outputs:
            outlet = self._by_target.get(output.target)
            if outlet is None:
                outlet = Outlet(self._account.edge(output.target), output)
            outlet.policy = output
            outlets[output.target] = outlet
        self._by_target = {**outlets, **{t: o for t, o in self._by_target.items() if t not in outlets}}
        place = self._exits.place
        self.hops = {
            number: tuple((self._by_target[place(n).node], n) for n in route.next)
            for number, route in self._exits.hops()
        }
        self._needed = frozenset(outlets) | {outlet.edge.target for hops in self.hops.values() for outlet, _ in hops}
        self.prune()

    def prune(self) -> None:
        """Let go of edges that no version has any more and of which nothing is left. Under the lock."""
        gone = [t for t, o in self._by_target.items() if t not in self._needed and o.edge.idle and not o.sessions]
        if gone:
            self._by_target = {target: outlet for target, outlet in self._by_target.items() if target not in gone}
