"""A wire inside one process: queues in place of sockets, for tests and for pipelines that need no network.

It keeps every promise of the port and never loses a frame while both ends live. One thread drives all its instances in
turn, so `wait` returns at once; a wire with delay, loss and cuts is `streamer.testing.network`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import count

from streamer.errors import PlatformError
from streamer.transport.base import Parts


class MemoryHub:
    """What all transports of one process have in common: bindings by endpoint."""

    def __init__(self) -> None:
        self.bindings: dict[str, MemoryBinding] = {}
        self.numbers = count(1)


class MemoryBinding:
    def __init__(self, hub: MemoryHub, endpoint: str) -> None:
        self._hub = hub
        self.endpoint = endpoint
        self.inbox: deque[tuple[bytes, Parts]] = deque()
        self.routes: dict[bytes, deque[Parts]] = {}

    def send(self, route: bytes, parts: Parts) -> bool:
        queue = self.routes.get(route)
        if queue is None:
            return False
        queue.append(parts)
        return True

    def receive(self) -> tuple[bytes, Parts] | None:
        return self.inbox.popleft() if self.inbox else None

    def close(self) -> None:
        self._hub.bindings.pop(self.endpoint, None)
        self.routes.clear()


class MemoryConnection:
    def __init__(self, hub: MemoryHub, endpoint: str) -> None:
        self._hub = hub
        self._endpoint = endpoint
        self._binding: MemoryBinding | None = None
        self._route = b""
        self._inbox: deque[Parts] = deque()

    def _bound(self) -> MemoryBinding | None:
        binding = self._hub.bindings.get(self._endpoint)
        if binding is not self._binding:
            self._binding = binding
            self._route = next(self._hub.numbers).to_bytes(5, "big")
            if binding is not None:
                binding.routes[self._route] = self._inbox
        return binding

    def send(self, parts: Parts) -> bool:
        binding = self._bound()
        if binding is None:
            return False
        binding.inbox.append((self._route, parts))
        return True

    def receive(self) -> Parts | None:
        return self._inbox.popleft() if self._inbox else None

    def close(self) -> None:
        if self._binding is not None:
            self._binding.routes.pop(self._route, None)


class MemoryTransport:
    changes = 0

    def __init__(self, hub: MemoryHub) -> None:
        self._hub = hub
        self._ends: list[MemoryBinding | MemoryConnection] = []

    def bind(self, endpoint: str) -> MemoryBinding:
        if endpoint.endswith(":0"):
            endpoint = f"{endpoint[:-1]}{next(self._hub.numbers)}"
        if endpoint in self._hub.bindings:
            raise PlatformError(f"{endpoint} is bound already")
        binding = self._hub.bindings[endpoint] = MemoryBinding(self._hub, endpoint)
        self._ends.append(binding)
        return binding

    def connect(self, endpoint: str) -> MemoryConnection:
        connection = MemoryConnection(self._hub, endpoint)
        self._ends.append(connection)
        return connection

    def wait(self, timeout_s: float, descriptors: Sequence[int] = ()) -> None:
        """Return at once."""

    def descriptors(self) -> Sequence[int]:
        return ()

    def ready(self) -> bool:
        return True

    def wake(self) -> None:
        """Nobody waits."""

    def close(self) -> None:
        for end in self._ends:
            end.close()
