"""What an edge needs from a wire.

The producing end binds and addresses each connection by its route; the consuming end connects. Neither end ever blocks
or drops by itself: credit is the only limit. A wire may lose frames when a connection is cut and must then give the
connection that replaces it another route, so that the protocol can tell that something happened.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from streamer.errors import PlatformError

Parts = Sequence[bytes | memoryview]
"""One frame. What is received may be views of the wire's own memory, which live as long as somebody holds them."""


class Binding(Protocol):
    """Producing end."""

    @property
    def endpoint(self) -> str:
        """Where consumers connect."""

    def send(self, route: bytes, parts: Parts) -> bool:
        """Send to one connection; False if it is gone."""

    def receive(self) -> tuple[bytes, Parts] | None:
        """The next frame and the connection that it came on; None if there is none now."""

    def close(self) -> None: ...


class Connection(Protocol):
    """Consuming end of one connection; it reconnects by itself."""

    def send(self, parts: Parts) -> bool:
        """Send, or give False if there is no connection now."""

    def receive(self) -> Parts | None:
        """The next frame; None if there is none now."""

    def close(self) -> None: ...


class Transport(Protocol):
    """One instance's access to a wire. All but `wake` belong to the thread that owns the ends."""

    def bind(self, endpoint: str) -> Binding:
        """Bind; a port of 0 chooses one. Raises PlatformError if the endpoint is taken."""

    def connect(self, endpoint: str) -> Connection: ...

    def wait(self, timeout_s: float, descriptors: Sequence[int] = ()) -> None:
        """Return when a frame may have come on any end, one of `descriptors` is readable, `wake` was called, or the
        time is over. It may return early for no reason."""

    def wake(self) -> None:
        """Make the present or next `wait` return; from any thread."""

    def close(self) -> None: ...


class Watched(Protocol):
    """A wire whose descriptors can be watched by somebody else's loop, in the place of `wait`."""

    changes: int
    """Grows whenever the descriptors are others: a closed one's number may come back for another end."""

    def descriptors(self) -> Sequence[int]: ...

    def ready(self) -> bool:
        """Whether `wait` would return at once: to be asked before each wait for the descriptors."""


def bound_again(transport: Transport, endpoint: str) -> Binding:
    """Bind where the former life was bound; if another program has taken that port meanwhile, at any other."""
    try:
        return transport.bind(endpoint)
    except PlatformError:
        host, _, port = endpoint.rpartition(":")
        if port == "0":
            raise
        return transport.bind(f"{host}:0")
