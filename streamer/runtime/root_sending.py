"""Sending from outside of any handler call: which thread does what, so that nobody waits who need not.

A sender in a loop fills frames and sends each full one itself. What it leaves in between is the message thread's, which
looks for it each millisecond while much comes, and is woken while little does. Only a root that comes all by itself is
sent by its own thread: to wake another one takes as long as all that is to be done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from threading import Condition, get_ident
from typing import Any, Protocol

from streamer.clock import Clock
from streamer.runtime.roots import Roots

ROOTS_AGE_MAX_S = 0.001
"""While roots keep coming, the message thread looks for them this often, so that their senders need not wake it."""


class Loop(Protocol):
    """The instance, whose `pump` serves the wire from inside its message thread `thread`."""

    now: Clock
    lock: Condition
    roots: Roots
    thread: int

    def pump(self) -> None: ...

    def wake(self) -> None: ...

    def flush(self, *, drained: bool) -> None:
        """Send what may be sent, from any thread. Under the lock."""


class RootSending:
    """Of one instance; from any thread."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._alone_at = 0.0

    def send(self, message: object, flow: str | None, headers: Mapping[str, Any] | None = None) -> None:
        loop = self._loop
        loop.roots.send(message, flow, headers, partial(loop.flush, drained=False), pump=self._pump_here())
        if not loop.roots.looked_after:
            self._send_alone()
            loop.wake()

    def quick(self) -> Callable[[object], None]:
        """The same, along the default flow and without headers: the way of nearly all."""
        return self._loop.roots.sender(self._loop.wake, partial(self.send, flow=None))

    def wait_for_room(self) -> None:
        """Wait until something may be sent. Under the lock, which is given back meanwhile."""
        self._loop.roots.wait_for_room(self._pump_here())

    def _send_alone(self) -> None:
        loop = self._loop
        now = loop.now()
        if now - self._alone_at > ROOTS_AGE_MAX_S:
            self._alone_at = now
            with loop.lock:
                loop.roots.commit()
                loop.flush(drained=True)

    def _pump_here(self) -> Callable[[], None] | None:
        return self._loop.pump if get_ident() == self._loop.thread else None
