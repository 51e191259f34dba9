"""What must hold in every world: watched at each frame and step, and judged when the job has ended.

A test that only compares what a sink got would miss most defects: a message sent twice without need, an account that is
wrong for a moment, a frame out of order that arrives in a lucky one. So the watch reads the wire itself. It knows
nothing of the engine's tables: it compares frames with grants, with what handlers said that they sent, and with the
account that a kill would leave behind at this moment.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from streamer.limits import MESSAGE_OVERHEAD_BYTES, RETAINED_BYTES_MAX
from streamer.plan.assignment import Delivery
from streamer.plan.routing import part_of
from streamer.protocol.account import InstanceAccount
from streamer.protocol.codec import payload_bytes, unpack
from streamer.protocol.edge import Edge
from streamer.protocol.frames import Data, Kind, decode_data, decode_open, decode_short, decode_status, kind_of
from streamer.protocol.identity import MessageId
from streamer.transport.base import Parts

if TYPE_CHECKING:
    # The life calls its watch, and not the other way round.
    from streamer.testing.life import Life
    from streamer.testing.network import Host


_MESSAGE_BYTES_MAX = 256
"""Messages of simulated worlds are shorter than this when packed."""


class PromiseError(AssertionError):
    """A promise of the engine was not kept."""


class _Session:
    """What the watch has seen of one connection, which carries one session."""

    def __init__(self) -> None:
        self.number = 0
        self.granted_messages = self.granted_bytes = 0
        self._producer: Host | None = None

    def comes_from(self, producer: Host) -> None:
        """A producer that comes back may take up a session of which the consumer has got nothing yet."""
        if producer is not self._producer:
            self._producer = producer
            self.sequence = self.sent_messages = self.sent_bytes = 0
            self.last_emission: dict[int, int] = {}


class _Peaks:
    """The most that one edge had on its way, and that one step put into it."""

    __slots__ = ("flying_bytes", "output_messages", "sent")

    def __init__(self) -> None:
        self.flying_bytes = self.output_messages = self.sent = 0


class _Sender:
    """What the watch has seen of one life as a producer."""

    __slots__ = ("first_deliveries", "known_page", "known_sent", "life", "peaks", "sent_before")

    def __init__(self, life: Life) -> None:
        self.life = life
        self.first_deliveries = 0
        self.peaks: dict[str, _Peaks] = {}
        self.known_page = b""
        self.known_sent = self.sent_before = _sent(life.disk.account())

    @property
    def lossy(self) -> bool:
        wiring = self.life.instance.wiring if self.life.begun else self.life.assignment.wiring
        return any(output.delivery is Delivery.AT_MOST_ONCE for output in wiring.outputs)

    def sent(self) -> int:
        """Messages that the page in force says this life has sent."""
        if self.life.disk.page is not self.known_page:
            self.known_page = self.life.disk.page
            self.known_sent = _sent(self.life.disk.account())
        return self.known_sent - self.sent_before


class Watch:
    """Sees every frame, step and death of a world.

    `frames_with` tells, by message, in frames of which size it went, `taken` by record in which version of the flows:
    `version_of` is asked for it when a route is seen for the first time. `replayable`: all roots can be read again, so
    that a message has the same id each time it is made, and a record takes one version.
    """

    def __init__(self, *, replayable: bool) -> None:
        self.frames_with: dict[object, list[int]] = {}
        self.frames = 0
        self.taken: dict[str, int] = {}
        self.version_of: Callable[[int], int] = lambda _route: 1
        self._parts: dict[object, int] = {}
        self._sessions: dict[int, _Session] = {}
        self._taps: set[int] = set()
        self._senders: dict[str, _Sender] = {}
        self._ids: dict[tuple[int, object], MessageId] = {}
        self._owners: dict[tuple[int, MessageId], object] = {}
        self._replayable = replayable

    # -- lives ---------------------------------------------------------------------------------------------------------

    def began(self, life: Life) -> None:
        self._senders[life.name] = _Sender(life)

    def read(self, life: Life, record: object) -> None:
        """A source gives a record."""
        life.emits(record)

    def stepped(self, life: Life) -> None:
        instance = life.instance
        account_balances(life.name, instance.account)
        held = 0
        for edge in instance.outbox.edges:
            if edge.counts.in_flight != edge.pending_messages + edge.flying_messages:
                raise PromiseError(
                    f"{life.name} -> {edge.target}: {edge.counts.in_flight} in flight by the account, but "
                    f"{edge.pending_messages} wait and {edge.flying_messages} are on their way"
                )
            held += edge.held_bytes
        for outlet in instance.outbox.outlets:
            if not outlet.policy.inside:
                self._bounded(life, outlet.edge, outlet.policy.queue_bytes)
        if held > RETAINED_BYTES_MAX:
            raise PromiseError(f"{life.name} retains {held} bytes")

    def _bounded(self, life: Life, edge: Edge, queue_bytes: int) -> None:
        """Only one step's output may go beyond a full queue, and what came back from a session that ended."""
        peaks = self._senders[life.name].peaks.setdefault(edge.target, _Peaks())
        peaks.output_messages = max(peaks.output_messages, edge.counts.sent - peaks.sent)
        peaks.sent = edge.counts.sent
        peaks.flying_bytes = max(peaks.flying_bytes, edge.held_bytes - edge.queued_bytes)
        output_bytes = peaks.output_messages * (_MESSAGE_BYTES_MAX + MESSAGE_OVERHEAD_BYTES)
        if edge.queued_bytes > queue_bytes + output_bytes + peaks.flying_bytes:
            raise PromiseError(
                f"{life.name} -> {edge.target}: {edge.queued_bytes} bytes wait in a queue of {queue_bytes}"
            )

    def ended(self, life: Life) -> None:
        """A life is over: its page must balance as it is, and once its successor has opened it."""
        account = life.disk.account()
        account_balances(f"{life.name}, after its end", account)
        account.recover()
        account_balances(f"{life.name}, recovered", account)

    # -- frames --------------------------------------------------------------------------------------------------------

    def up(self, connection: int, host: Host, parts: Parts) -> None:  # noqa: ARG002  # who says it does not matter here
        kind = kind_of(parts)
        if kind is Kind.OPEN:
            self._session(connection).number = decode_open(parts).session
        elif kind is Kind.STATUS:
            session, status = self._session(connection), decode_status(parts)
            session.granted_messages = max(session.granted_messages, status.granted_messages)
            session.granted_bytes = max(session.granted_bytes, status.granted_bytes)
        elif kind is Kind.TAP:
            self._taps.add(connection)

    def down(self, connection: int, host: Host, parts: Parts) -> None:
        if connection in self._taps:
            return  # copies, of which nothing is promised
        kind = kind_of(parts)
        session = self._session(connection)
        session.comes_from(host)
        if kind is Kind.END and decode_short(parts) > session.sequence:
            session.sequence = decode_short(parts)
        elif kind is Kind.DATA:
            self.frames += 1
            data = decode_data(parts)
            if data.sequence > session.sequence:
                self._new_frame(session, self._senders[host.name], data)

    def _session(self, connection: int) -> _Session:
        return self._sessions.setdefault(connection, _Session())

    def _new_frame(self, session: _Session, sender: _Sender, data: Data) -> None:
        where = f"{sender.life.name}, session {session.number}, frame {data.sequence}"
        if data.sequence != session.sequence + 1 and not sender.lossy:
            raise PromiseError(f"{where}: it follows frame {session.sequence}")
        session.sequence = data.sequence
        if session.sent_bytes >= session.granted_bytes:
            raise PromiseError(f"{where}: {session.sent_bytes} bytes were sent on a grant of {session.granted_bytes}")
        session.sent_messages += data.count
        session.sent_bytes += payload_bytes(data.body, data.count)
        if session.sent_messages > session.granted_messages:
            raise PromiseError(f"{where}: {session.sent_messages} messages on a grant of {session.granted_messages}")
        if not data.redelivered:
            sender.first_deliveries += data.count
            if sender.first_deliveries > sender.sent():
                raise PromiseError(
                    f"{where}: {sender.first_deliveries} messages have left, the page in force says {sender.sent()}"
                )
        for route, who, message in _messages(data):
            self.frames_with.setdefault(message, []).append(data.count)
            self._know(where, route, who, message)
            self._goes_one_way(where, route, who, message)
            if not data.redelivered:
                self._in_order(where, session, sender.life, route, message)

    def _know(self, where: str, route: int, who: MessageId, message: object) -> None:
        """One message, one id: two of one edge with the same id would be judged together."""
        if self._owners.setdefault((route, who), message) != message:
            raise PromiseError(f"{where}: {message!r} has the id of {self._owners[route, who]!r}")
        if self._replayable and self._ids.setdefault((route, message), who) != who:
            raise PromiseError(f"{where}: {message!r} was made again under another id")

    def _goes_one_way(self, where: str, route: int, who: MessageId, message: object) -> None:
        """All that is made of one root goes by one version of the flows, and so it is when the root is read again."""
        roots: list[object] = [(who.origin, who.position)]
        if self._replayable:
            record = str(message).partition("/")[0]
            roots.append(record)
            if record not in self.taken:
                self.taken[record] = self.version_of(route)
        for root in roots:
            if self._parts.setdefault(root, part_of(route)) != part_of(route):
                raise PromiseError(f"{where}: {message!r} goes by another version of the flows than {root} before")

    @staticmethod
    def _in_order(where: str, session: _Session, life: Life, route: int, message: object) -> None:
        """First deliveries of one session keep, on each route, the order in which they were sent."""
        emissions = life.emitted.get(message, [])
        at = bisect_right(emissions, session.last_emission.get(route, 0))
        if at == len(emissions):
            raise PromiseError(f"{where}: {message!r} came out of order, or was never sent")
        session.last_emission[route] = emissions[at]


def _messages(data: Data) -> Iterator[tuple[int, MessageId, object]]:
    bodies = iter(unpack(data.body))
    for segment in data.segments:
        for index in range(len(segment)):
            yield segment.route, segment.id(index), next(bodies)


def _sent(account: InstanceAccount) -> int:
    return sum(edge.sent for edge in account.edges)


def account_balances(where: str, account: InstanceAccount) -> None:
    """Raises PromiseError if an edge's account is wrong by a single message."""
    for edge in account.edges:
        if not edge.balanced or edge.in_flight < 0:
            raise PromiseError(f"{where}: the account of the edge to {edge.target} does not balance: {edge}")
