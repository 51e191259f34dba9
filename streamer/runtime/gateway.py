"""A gateway: messages come in by HTTP, and the answer says what became of them.

A request is a root that only its client can make again, so the client is told the truth: a message is accepted before
anything waits, its parent is a ticket, and the ticket is done when every message that it became is settled. A gateway
that is killed breaks its connections, and what it had not answered is the client's to send again; what it had accepted
onto the disk (`durability: log`) its successor sends again, though nobody waits for an answer any more. Requests
arrive in threads of their own and hand over under the instance's one lock, as the threads of an algorithm do; a full
queue refuses them, because a client that is told so can wait better than a thread of ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Condition, Event
from typing import Any

from streamer.clock import Clock
from streamer.errors import OverloadError, StreamEndedError, StreamerError
from streamer.limits import GATEWAY_FAREWELL_S, GATEWAY_SETTLE_S
from streamer.plan.assignment import Assignment, Gateway
from streamer.plan.routing import RouteTable
from streamer.protocol.input_frame import InputFrame
from streamer.runtime.entry import Entry
from streamer.runtime.exits import Detour, Exits
from streamer.runtime.gateway_http import GatewayServer
from streamer.runtime.letters import Failure
from streamer.runtime.outbox import Outbox
from streamer.state.gateway import GatewayRecord


class GatewayTicket:
    """The parent of one message: one counter of what is open (1 for its acceptance, 1 per edge)."""

    __slots__ = ("_judged", "_refusal", "_settled", "open")

    def __init__(self) -> None:
        self.open = 1
        self._judged = Event()
        self._refusal: StreamerError | None = None
        self._settled = Event()

    def tell(self, refusal: StreamerError | None) -> None:
        """The message was accepted, or was not."""
        self._refusal = refusal
        self._judged.set()

    def accepted(self, timeout_s: float) -> None:
        """Wait for that. Raises what it was refused with, and OverloadError if it is not known in this time."""
        if not self._judged.wait(timeout_s):
            raise OverloadError(
                f"the message was not on the disk after {timeout_s:g} s",
                remedy="It may still get there: sending it again may make a second one.",
            )
        if self._refusal is not None:
            raise self._refusal

    def settle(self, count: int) -> None:
        self.open -= count
        if self.open == 0:
            self._settled.set()

    def wait(self, timeout_s: float) -> bool:
        return self._settled.wait(timeout_s)


class GatewayWork:
    """`lock` is the instance's; `wake` makes its loop look again."""

    accepts = False
    at_rest = True
    unread = None

    def __init__(
        self,
        assignment: Assignment,
        exits: Exits,
        outbox: Outbox,
        entry: Entry,
        lock: Condition,
        wake: Callable[[], None],
        *,
        wall: Clock,
    ) -> None:
        self._a = assignment
        self._exits = exits
        self._outbox = outbox
        self._entry = entry
        self._lock = lock
        self._wake = wake
        self._wall = wall
        self._draining = False
        self._owed = 0
        self._server: GatewayServer | None = None

    def serve(self, gateway: Gateway, record: GatewayRecord, *, settle_s: float) -> str:
        """Take requests from now on, where the life before this one did; gives the URL. Raises PortError."""
        self._server = GatewayServer(self, gateway.name, gateway.port, kept=record.port, settle_s=settle_s)
        record.keep(gateway.name, self._server.port)
        return self._server.url

    # -- the reception: called by the threads of requests ----------------------------------------------------------

    def route(self, flow: str | None) -> int:
        return self._exits.unnamed(None) if flow is None else self._exits.named(flow, None)

    def admit(self, flow: str | None) -> None:
        with self._lock:
            self._admit(flow)

    def _admit(self, flow: str | None) -> tuple[int, Detour | None]:
        """Its way, which is looked up now: its body may have been on its way for long, and the flows have changed."""
        if self._draining:
            raise StreamEndedError(
                f"job {self._a.job} is ending and takes no messages", remedy="Send it to the pipeline's next job."
            )
        route, detour = self.route(flow), self._exits.detour(flow)
        full = self._outbox.full(route) or (detour and self._outbox.full(detour.route))
        if (obstacle := full or self._entry.obstacle()) is not None:
            raise OverloadError(obstacle, remedy="Send it again a little later.")
        return route, detour

    @contextmanager
    def taken(self, blob: bytes, flow: str | None) -> Iterator[GatewayTicket]:
        ticket = GatewayTicket()
        with self._lock:
            route, detour = self._admit(flow)
            now_us = int(self._wall() * 1e6)
            self._entry.send(route, [blob], now_us, detour=detour, parent=ticket, tell=ticket.tell)
            self._owed += 1
        self._wake()
        try:
            ticket.accepted(GATEWAY_SETTLE_S)
            yield ticket
        finally:
            with self._lock:
                self._owed -= 1
                self._lock.notify_all()

    def info(self) -> Mapping[str, Any]:
        table = self._exits.table
        with self._lock:
            edges = self._outbox.edges
            statistics = {
                "queueSize": sum(edge.pending_messages for edge in edges),
                "queueMemoryBytes": sum(edge.queued_bytes for edge in edges),
                "maxQueueMemoryBytes": sum(output.queue_bytes for output in self._exits.wiring.outputs),
            }
        return {
            "jobId": self._a.job,
            "defaultFlow": table.default_flow,
            "parsedFlow": _parsed_flow(table),
            "stats": statistics,
        }

    # -- the port --------------------------------------------------------------------------------------------------

    @property
    def exhausted(self) -> bool:
        return self._draining

    def handle(self, frame: InputFrame) -> list[Failure]:
        raise AssertionError(f"a gateway has no input, but got a frame of {frame.count} messages")

    def produce(self, now: float) -> bool:  # noqa: ARG002  # requests come by themselves
        return False

    def wait_s(self, now: float) -> float | None:  # noqa: ARG002  # requests wake the loop
        return None

    def descriptors(self) -> tuple[int, ...]:
        return ()

    def drain(self) -> None:
        self._draining = True

    def finish(self, now: float) -> bool:  # noqa: ARG002  # what was accepted is in the outbox
        return True

    def settled(self) -> None:
        """Tickets are told one by one."""

    def close(self) -> None:
        """All is settled: let the last answers leave."""
        with self._lock:
            self._lock.wait_for(lambda: not self._owed, GATEWAY_FAREWELL_S)
        if self._server is not None:
            self._server.close()


def _parsed_flow(table: RouteTable) -> Mapping[str, list[dict[str, Any]]]:
    """`{flow: [{source, next}]}`: the edges of each flow by source."""
    parsed: dict[str, dict[str, dict[str, None]]] = {}
    places = dict(table.numbered())
    for route in table.routes:
        if route.next:
            targets = parsed.setdefault(route.flow, {}).setdefault(route.node, {})
            targets.update(dict.fromkeys(places[number].node for number in route.next))
    return {
        flow: [{"source": source, "next": list(targets)} for source, targets in sources.items()]
        for flow, sources in parsed.items()
    }
