"""A network from a seed: delays, cuts, lost frames, partitions and slow links behind the port of a transport.

It behaves as libzmq does where that matters to the protocol. Frames of one link stay in order, links among each other
do not. A link that is cut loses a part of what was under way without a word, the two ends notice it at different times,
and what is given to it until then is lost too; the connection is made again by itself under a fresh route, and frames
of the old link that were already through are still read, beside those of the new one. A worse network than libzmq's can
be asked for as well: one that drops frames in the middle of a link and goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import IntEnum
from heapq import heapify, heappop, heappush
from itertools import count
from random import Random
from typing import Protocol

from streamer.errors import PlatformError
from streamer.testing.clock import VirtualClock
from streamer.transport.base import Parts

_DELAY_S = (0.000_02, 0.002)
_RECONNECT_S = (0.001, 0.5)
_NOTICED_BY_HEARTBEAT_S = 4.0
"""An end that is told nothing finds out by libzmq's heartbeats."""


class Way(IntEnum):
    """Direction on a link: `UP` from the consumer to the producer, `DOWN` from the producer to the consumer."""

    UP = 0
    DOWN = 1


class Host(Protocol):
    """A simulated process, as the network sees it."""

    name: str

    def now(self) -> float:
        """Its own present, which may be ahead of the world's while it is busy."""

    def wake_at(self, time_s: float) -> None:
        """Something comes at this moment."""

    def operate(self) -> None:
        """Called before every effect on the outside; this is where a kill can strike."""

    def wait(self, timeout_s: float) -> None:
        """Let the world go on until something comes, at most for so long."""


class Wire(Protocol):
    """Sees every frame when it is sent, whether or not it arrives. `connection` tells connections apart."""

    def up(self, connection: int, host: Host, parts: Parts) -> None: ...

    def down(self, connection: int, host: Host, parts: Parts) -> None: ...


class Mailbox:
    """Frames that are on their way to one end, or have come there."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._frames: list[tuple[float, int, Link, Parts]] = []

    def put(self, arrival_s: float, number: int, link: Link, parts: Parts) -> None:
        heappush(self._frames, (arrival_s, number, link, parts))
        self.host.wake_at(arrival_s)

    def take(self) -> tuple[Link, Parts] | None:
        if not self._frames or self._frames[0][0] > self.host.now():
            return None
        _, _, link, parts = heappop(self._frames)
        return link, parts

    def lose(self, link: Link, now: float, kept: float) -> None:
        """Of what `link` has under way, only this part (the first of it) still arrives."""
        under_way = sorted(f for f in self._frames if f[2] is link and f[0] > now)
        lost = {f[1] for f in under_way[int(kept * len(under_way)) :]}
        if lost:
            self._frames = [f for f in self._frames if f[1] not in lost]
            heapify(self._frames)


class Link:
    """One life of a connection, from its handshake to its end."""

    def __init__(self, connection: SimConnection, binding: SimBinding, route: bytes, delay_s: float) -> None:
        self.connection = connection
        self.binding = binding
        self.route = route
        self.delay_s = delay_s
        self.broken = False
        self.last_s = [0.0, 0.0]
        self.skip = [0, 0]
        """By way: so many frames are lost next."""

    @property
    def names(self) -> tuple[str, str]:
        return self.connection.host.name, self.binding.host.name


class SimBinding:
    def __init__(self, network: Network, host: Host, endpoint: str) -> None:
        self._network = network
        self.host = host
        self.endpoint = endpoint
        self.mailbox = Mailbox(host)
        self.links: dict[bytes, Link] = {}

    def send(self, route: bytes, parts: Parts) -> bool:
        self.host.operate()
        link = self.links.get(route)
        if link is None:
            return False
        self._network.transmit(link, Way.DOWN, self.host.now(), parts)
        return True

    def receive(self) -> tuple[bytes, Parts] | None:
        taken = self.mailbox.take()
        return None if taken is None else (taken[0].route, taken[1])

    def close(self) -> None:
        self._network.unbind(self, orderly=True)


class SimConnection:
    def __init__(self, network: Network, host: Host, endpoint: str, number: int) -> None:
        self._network = network
        self.host = host
        self.endpoint = endpoint
        self.number = number
        self.mailbox = Mailbox(host)
        self.link: Link | None = None
        self.closed = False

    def send(self, parts: Parts) -> bool:
        if self.link is None:
            return False
        self.host.operate()
        self._network.transmit(self.link, Way.UP, self.host.now(), parts)
        return True

    def receive(self) -> Parts | None:
        taken = self.mailbox.take()
        return None if taken is None else taken[1]

    def close(self) -> None:
        self._network.disconnect(self, orderly=True)


class SimTransport:
    """One process's access to the network."""

    def __init__(self, network: Network, host: Host) -> None:
        self._network = network
        self._host = host
        self._bindings: list[SimBinding] = []
        self._connections: list[SimConnection] = []

    def bind(self, endpoint: str) -> SimBinding:
        binding = self._network.bind(self._host, endpoint)
        self._bindings.append(binding)
        return binding

    def connect(self, endpoint: str) -> SimConnection:
        connection = self._network.connect(self._host, endpoint)
        self._connections.append(connection)
        return connection

    def wait(self, timeout_s: float, descriptors: Sequence[int] = ()) -> None:  # noqa: ARG002  # nothing else is waited for in virtual time
        self._host.wait(timeout_s)

    def wake(self) -> None:
        self._host.wake_at(self._host.now())

    def close(self) -> None:
        """An orderly end: what was sent still arrives."""
        self._end(orderly=True)

    def crash(self) -> None:
        """The end of the process by kill -9."""
        self._end(orderly=False)

    def _end(self, *, orderly: bool) -> None:
        for connection in self._connections:
            self._network.disconnect(connection, orderly=orderly)
        for binding in self._bindings:
            self._network.unbind(binding, orderly=orderly)


class Network:
    """All links of a world. `wire` sees every frame that is sent."""

    def __init__(self, clock: VirtualClock, random: Random, wire: Wire) -> None:
        self._clock = clock
        self._random = random
        self._wire = wire
        self._numbers = count(1)
        self._bindings: dict[str, SimBinding] = {}
        self._waiting: dict[str, list[SimConnection]] = {}
        self._partitions: dict[frozenset[str], float] = {}

    # -- what ends do --------------------------------------------------------------------------------------------------

    def bind(self, host: Host, endpoint: str) -> SimBinding:
        if endpoint.endswith(":0"):
            endpoint = f"{endpoint[:-1]}{next(self._numbers)}"
        if endpoint in self._bindings:
            raise PlatformError(f"{endpoint} is bound already")
        binding = self._bindings[endpoint] = SimBinding(self, host, endpoint)
        for connection in self._waiting.pop(endpoint, ()):
            self._reconnect(connection)
        return binding

    def unbind(self, binding: SimBinding, *, orderly: bool) -> None:
        if self._bindings.get(binding.endpoint) is binding:
            del self._bindings[binding.endpoint]
        for link in list(binding.links.values()):
            self._sever(link, kept_down=1.0 if orderly else self._random.random(), kept_up=0.0)
        binding.links.clear()

    def connect(self, host: Host, endpoint: str) -> SimConnection:
        connection = SimConnection(self, host, endpoint, next(self._numbers))
        self._clock.after(self._delay(), lambda: self._establish(connection))
        return connection

    def disconnect(self, connection: SimConnection, *, orderly: bool) -> None:
        connection.closed = True
        if connection.link is not None:
            link, connection.link = connection.link, None
            self._sever(link, kept_up=1.0 if orderly else self._random.random(), kept_down=0.0)

    def transmit(self, link: Link, way: Way, now: float, parts: Parts) -> None:
        if way is Way.UP:
            self._wire.up(link.connection.number, link.connection.host, parts)
        else:
            self._wire.down(link.connection.number, link.binding.host, parts)
        if link.broken:
            return
        if link.skip[way]:
            link.skip[way] -= 1
            return
        arrival_s = max(link.last_s[way], now + link.delay_s * (0.5 + self._random.random()))
        if self._partitions:
            arrival_s = max(arrival_s, self._partitions.get(frozenset(link.names), 0.0))
        link.last_s[way] = arrival_s
        mailbox = link.binding.mailbox if way is Way.UP else link.connection.mailbox
        mailbox.put(arrival_s, next(self._numbers), link, parts)

    # -- faults --------------------------------------------------------------------------------------------------------

    def links(self) -> Iterator[Link]:
        """All links that are whole, in a fixed order."""
        for binding in self._bindings.values():
            yield from (link for link in binding.links.values() if not link.broken)

    def cut(self, link: Link) -> None:
        """Break one link; each end notices in its own time."""
        if not link.broken:
            self._sever(link, kept_up=self._random.choice((0.0, 1.0)), kept_down=self._random.choice((0.0, 0.5, 1.0)))

    def partition(self, one: str, other: str, for_s: float) -> None:
        """Nothing comes through between two processes for so long; links do not outlive it if it is long."""
        pair = frozenset((one, other))
        now = self._clock.now()
        self._partitions[pair] = max(self._partitions.get(pair, 0.0), now + for_s)
        self._clock.after(for_s, lambda: self._heal(pair))
        if for_s > _NOTICED_BY_HEARTBEAT_S:
            for link in self.links():
                if pair == frozenset(link.names):
                    self._clock.after(_NOTICED_BY_HEARTBEAT_S, lambda link=link: self.cut(link))  # type: ignore[misc]  # binds this round's link

    def isolate(self, name: str) -> None:
        """A process has been silent for so long that its peers have given up its links."""
        for link in list(self.links()):
            if name in link.names:
                self.cut(link)

    def _heal(self, pair: frozenset[str]) -> None:
        if self._partitions.get(pair, 0.0) <= self._clock.now():
            self._partitions.pop(pair, None)

    # -- connections ---------------------------------------------------------------------------------------------------

    def _sever(self, link: Link, *, kept_up: float, kept_down: float) -> None:
        if link.broken:
            return
        link.broken = True
        now = self._clock.now()
        link.binding.mailbox.lose(link, now, kept_up)
        link.connection.mailbox.lose(link, now, kept_down)
        self._clock.after(self._notice_s(), lambda: self._binding_notices(link))
        self._clock.after(self._notice_s(), lambda: self._connection_notices(link))

    def _notice_s(self) -> float:
        if self._random.random() < 0.8:
            return self._random.uniform(0.0, 0.01)
        return self._random.uniform(0.0, _NOTICED_BY_HEARTBEAT_S)

    def _binding_notices(self, link: Link) -> None:
        link.binding.links.pop(link.route, None)

    def _connection_notices(self, link: Link) -> None:
        connection = link.connection
        if connection.link is link:
            connection.link = None
            self._reconnect(connection)

    def _reconnect(self, connection: SimConnection) -> None:
        self._clock.after(self._random.uniform(*_RECONNECT_S), lambda: self._establish(connection))

    def _establish(self, connection: SimConnection) -> None:
        if connection.closed or connection.link is not None:
            return
        binding = self._bindings.get(connection.endpoint)
        if binding is None:
            self._waiting.setdefault(connection.endpoint, []).append(connection)
            return
        if frozenset((connection.host.name, binding.host.name)) in self._partitions:
            self._reconnect(connection)
            return
        route = next(self._numbers).to_bytes(5, "big")
        connection.link = binding.links[route] = Link(connection, binding, route, self._delay())

    def _delay(self) -> float:
        low, high = _DELAY_S
        return low + (high - low) * self._random.random() ** 3
