"""Messages that are sent outside of any handler call: roots, which nothing upstream can make again.

A stateful algorithm may send from `start` or from threads of its own. There is no hand-over queue: the sending thread
packs and collects under the instance's one lock, and sends a full frame itself; a frame that is not full is sent by
the message thread as soon as that is free, which is at once if it is idle. So a sender in a loop makes full frames, and
a single message does not wait for others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from threading import Condition
from typing import Any

from streamer.clock import Clock
from streamer.errors import OverloadError, StreamEndedError
from streamer.limits import FRAME_BYTES_MAX, FRAME_MESSAGES_MAX, LARGE_BYTES
from streamer.protocol.codec import PACK_ERRORS, careful, pack_headers, pack_message, packer
from streamer.protocol.settlement import Barrier
from streamer.runtime.entry import Entry, routes_of
from streamer.runtime.exits import Detour, Exits
from streamer.runtime.outbox import Outbox

_WAIT_S = 0.1


_Way = tuple[int, Detour | None]
"""A route, and while there is a canary where its share goes."""


class _Open:
    """Roots of one way that were not handed on yet."""

    __slots__ = ("blobs", "headers", "size", "time_us")

    def __init__(self) -> None:
        self.blobs: list[bytes] = []
        self.headers: dict[int, bytes] = {}
        self.size = 0
        self.time_us = 0


class Roots:
    """`lock` is the instance's lock; whoever makes room in the outbox notifies it while `waiters` is positive.

    `looked_after`: the message thread found many when it looked last, and will look again in a millisecond by itself.
    """

    def __init__(self, exits: Exits, outbox: Outbox, lock: Condition, entry: Entry, wall: Clock) -> None:
        self._exits = exits
        self._outbox = outbox
        self._entry = entry
        self._lock = lock
        self._wall = wall
        self._pack = packer()
        self._careful = careful(self._pack)
        self._open: dict[_Way, _Open] = {}
        self._by_flow: dict[str | None, _Open] = {}
        self._default: _Open | None = None
        self.looked_after = False
        self._barrier: Barrier | None = None
        self.waiters = 0
        self.ended = False

    @property
    def empty(self) -> bool:
        return self._entry.idle and not any(held.blobs for held in self._open.values())

    def sender(self, wake: Callable[[], None], otherwise: Callable[[object], None]) -> Callable[[object], None]:
        """Takes a small message along the default flow into a frame that was begun; all else goes `otherwise`.

        Half of its time is the packing. The way through the objects that decide all else takes five times as long.
        """
        acquire, release = self._lock.acquire, self._lock.release
        pack = self._pack
        last = FRAME_MESSAGES_MAX - 1

        def send_root(message: object) -> None:
            acquire()
            try:
                held = self._default
                if held is not None and (blobs := held.blobs):
                    blob = pack(message)
                    size = held.size + len(blob)
                    if size < FRAME_BYTES_MAX and len(blob) < LARGE_BYTES and len(blobs) < last:
                        blobs.append(blob)
                        held.size = size
                        return
            except PACK_ERRORS:
                pass  # which of them, and what to do, is told by packing it with more care
            finally:
                release()
                if not self.looked_after:
                    wake()
            otherwise(message)

        return send_root

    def send(
        self,
        message: object,
        flow: str | None,
        headers: Mapping[str, Any] | None,
        full: Callable[[], None],
        *,
        pump: Callable[[], None] | None,
    ) -> None:
        """Take one message. Waits while the outbox is full: by `pump` if that is given, else for room to be notified.

        `full` is called under the lock when a whole frame has been collected. Raises FlowError, MessageError,
        StreamEndedError.
        """
        with self._lock:
            held = self._by_flow.get(flow)
            if held is None or not held.blobs or headers or self.ended:
                held = self._begin(flow, pump)
            blob = pack_message(self._pack if held.blobs else self._careful, message)
            if headers:
                held.headers[len(held.blobs)] = pack_headers(headers, None)
            held.blobs.append(blob)
            held.size += len(blob)
            if len(held.blobs) >= FRAME_MESSAGES_MAX or held.size >= FRAME_BYTES_MAX:
                self.commit()
                full()

    def _begin(self, flow: str | None, pump: Callable[[], None] | None) -> _Open:
        """A frame of roots begins: here, and not for each of its messages, its sender waits for room.

        Raises FlowError, OverloadError, StreamEndedError.
        """
        self.wait_for_room(pump)
        way = route, detour = self._way(flow)
        edge = self._outbox.refusing(route) or (detour and self._outbox.refusing(detour.route))
        if edge:
            raise OverloadError(f"edge {edge} is full")
        held = self._by_flow[flow] = self._opened(way)
        if flow is None:
            self._default = held
        return held

    def _way(self, flow: str | None) -> _Way:
        if self.ended:
            raise StreamEndedError(f"the stream of node {self._exits.node!r} has ended")
        route = self._exits.unnamed(None) if flow is None else self._exits.named(flow, None)
        return route, self._exits.detour(flow)

    def _opened(self, way: _Way) -> _Open:
        held = self._open.get(way)
        if held is None:
            held = self._open[way] = _Open()
        if not held.blobs:
            held.time_us = int(self._wall() * 1e6)
        return held

    def end(self) -> None:
        """Take nothing any more. Under the lock."""
        self.ended = True
        self._default = None

    def forget_flows(self) -> None:
        """The wiring is about to change: hand on what was collected, and look names up anew. Under the lock."""
        self.commit()
        self._by_flow.clear()
        self._default = None
        self._open.clear()

    def held_routes(self) -> Iterator[int]:
        """Of all that was collected, and of all that is not in the outbox yet."""
        routes = (route for way, held in self._open.items() if held.blobs for route in routes_of(*way))
        return chain(routes, self._entry.held_routes())

    def packed(self, message: object, flow: str | None) -> tuple[int, Detour | None, bytes]:
        """The way and the bytes of a message. Raises StreamEndedError, FlowError, MessageError. Under the lock."""
        return *self._way(flow), pack_message(self._careful, message)

    def take(self, route: int, detour: Detour | None, blob: bytes) -> None:
        """Collect one packed message. Under the lock."""
        held = self._opened((route, detour))
        held.blobs.append(blob)
        held.size += len(blob)
        if len(held.blobs) >= FRAME_MESSAGES_MAX or held.size >= FRAME_BYTES_MAX:
            self.commit()

    def watch(self, tell: Callable[[], None]) -> None:
        """Have `tell` called once all roots that were sent so far are settled."""
        with self._lock:
            self.commit()
            barrier = self._barrier = Barrier(tell, self._barrier)
            for edge in self._outbox.edges:
                edge.wait_for_roots(barrier)
            if self._outbox.kept is not None:
                self._outbox.kept.watch(barrier)
            self._entry.wait_for_roots(barrier)
            barrier.settle(1)

    def wait_for_room(self, pump: Callable[[], None] | None) -> None:
        while not self.ended and not self._entry.room():
            if pump is not None:
                pump()
            else:
                self.waiters += 1
                self._lock.wait(_WAIT_S)
                self.waiters -= 1

    def commit(self) -> int:
        """Hand on what was collected; gives how many messages that were. Under the lock."""
        count = 0
        for (route, detour), held in self._open.items():
            if held.blobs:
                count += len(held.blobs)
                headers = [held.headers.get(at) for at in range(len(held.blobs))] if held.headers else None
                self._entry.send(route, held.blobs, held.time_us, detour=detour, headers=headers)
                held.headers = {}
                held.blobs = []
                held.size = 0
        return count
