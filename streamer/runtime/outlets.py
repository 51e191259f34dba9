"""The outgoing edges of an instance with their policies, and which of them each position of its node leads to.

Flows change while messages wait here, so an edge outlives the versions that had it: it goes when no version leads over
it any more, all of it is settled, and the last consumer has left. Its counts stay in the account. What others read
without the instance's lock (a handler that asks for room) is replaced whole and never changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from streamer.limits import CYCLE_RETAINED_BYTES_MAX
from streamer.plan.assignment import Output, Overload
from streamer.protocol.account import InstanceAccount
from streamer.protocol.chunk import Chunk
from streamer.protocol.edge import Edge
from streamer.protocol.session import SendingSession
from streamer.runtime.exits import Exits


@dataclass(slots=True)
class Outlet:
    """One outgoing edge with its policies, and its sessions in the order in which they are served next."""

    edge: Edge
    policy: Output
    sessions: list[SendingSession]
    waiting_since: float = 0.0
    over: bool = False
    """All instances of the target have completed: they were told that all is settled, so what comes now is a repeat."""

    @property
    def full(self) -> bool:
        return self.edge.queued_bytes >= self.policy.queue_bytes

    def overflow(self, chunk: Chunk) -> None:
        """The queue was full when `chunk` was appended: drop by the policy of the edge."""
        if self.policy.overload is Overload.DROP_OLDEST:
            self.edge.drop_to(self.policy.queue_bytes, self.policy.overload)
        else:
            self.edge.drop_newest(chunk, self.policy.overload)

    def loops(self, chunk: Chunk) -> tuple[str, str] | None:
        """Why this chunk, which was appended last, is not to go round in its cycle: the reason, and in full."""
        limit = self.policy.hop_limit
        if chunk.segment.hops > limit:
            return "hop limit", f"the message took more than {limit} hops inside a cycle (hopLimit)"
        if self.edge.held_bytes > CYCLE_RETAINED_BYTES_MAX:
            held = f"the cycle holds more than {CYCLE_RETAINED_BYTES_MAX} bytes (CYCLE_RETAINED_BYTES_MAX)"
            return "cycle full", held
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
    def waits(self) -> list[Edge]:
        """The edges that make their producer wait when they are full, as do all edges behind them."""
        return [o.edge for o in self if o.policy.overload is Overload.BLOCK and not o.policy.drops_below]

    def rewire(self) -> None:
        """The exits have got another wiring: add what is new. Under the lock."""
        outlets = {}
        for output in self._exits.wiring.outputs:
            outlet = self._by_target.get(output.target)
            if outlet is None:
                outlet = Outlet(Edge(self._account.edge(output.target)), output, [])
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
