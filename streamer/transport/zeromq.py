"""ZeroMQ: a ROUTER with mandatory routing at the producing end, a DEALER per connection at the consuming end.

Sockets have no high-water marks (credit limits what is under way, so a socket never drops or blocks), no LINGER but at
an orderly end, and libzmq's heartbeats, which find a cut or stopped peer. A DEALER queues only to a completed
connection, and takes a fresh routing id with each. Waiting is done on the sockets' descriptors and not on the sockets,
because other threads of a user may send through the ROUTER meanwhile; descriptors are edge-triggered, so `wait` first
asks each socket, under a lock that senders take too, and whoever sends from another thread must call `wake` afterwards.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Sequence
from contextlib import suppress
from random import Random
from threading import Lock
from typing import Any

import zmq
from zmq.backend import Socket as _Raw

from streamer.errors import PlatformError
from streamer.transport.base import Parts
from streamer.transport.curve import secure

PORTS = range(20_000, 32_000)
"""Ports are chosen here, outside the kernel's ephemeral range: a connection that is tried again and again to a port in
that range can at last meet itself, and then holds the port."""
_BIND_TRIES = 200
_HEARTBEAT_MS = 1_000
_HEARTBEAT_TIMEOUT_MS = 4_000
_RECONNECT_MS = 20
_RECONNECT_MAX_MS = 500
_LINGER_MS = 1_000
_WAKES = 4_096
_PLAIN_PARTS = 2
_VIEWED_BYTES = 4 * 1024
"""A part of this size is read where libzmq has received it: a view costs as much as copying so much."""
_UNCOPIED_BYTES = 128 * 1024
"""Handing a part over uncopied costs a few microseconds: so much as copying a part of this size."""

# pyzmq's own methods look up flags as enumerations and count parts anew, for each part: twice the cost of the call
_get: Callable[[Any, int], Any] = _Raw.get
_send: Callable[[Any, bytes | memoryview, int], object] = _Raw.send
_receive: Callable[[Any, int, bool], Any] = _Raw.recv
_EVENTS, _POLLIN = int(zmq.EVENTS), int(zmq.POLLIN)
_NOBLOCK, _MORE = int(zmq.NOBLOCK), int(zmq.NOBLOCK | zmq.SNDMORE)

Forget = Callable[["zmq.Socket[bytes]"], None]


def free_endpoint(socket: zmq.Socket[bytes], host: str = "127.0.0.1") -> str:
    """Bind `socket` to a free port outside the ephemeral range. Raises PlatformError if none is found."""
    ports = Random(os.urandom(8))
    for _ in range(_BIND_TRIES):
        endpoint = f"tcp://{host}:{ports.choice(PORTS)}"
        try:
            socket.bind(endpoint)
        except zmq.ZMQError:
            continue
        return endpoint
    raise PlatformError(f"no free port was found between {PORTS.start} and {PORTS.stop}")


def _options(socket: zmq.Socket[bytes]) -> None:
    socket.setsockopt(zmq.SNDHWM, 0)
    socket.setsockopt(zmq.RCVHWM, 0)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.HEARTBEAT_IVL, _HEARTBEAT_MS)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, _HEARTBEAT_TIMEOUT_MS)


def _readable(socket: zmq.Socket[bytes]) -> bool:
    return bool(_get(socket, _EVENTS) & _POLLIN)


def _received(socket: zmq.Socket[bytes]) -> list[bytes | memoryview]:
    """All parts of the next frame, which is there; those that are large as they lie in libzmq's memory."""
    parts = []
    more = True
    while more:
        part = _receive(socket, _NOBLOCK, False)
        parts.append(part.bytes if len(part) < _VIEWED_BYTES else part.buffer)
        more = part.more
    return parts


class ZmqBinding:
    """`guard` is held whenever the socket is touched: libzmq's sockets bear one thread at a time."""

    def __init__(self, socket: zmq.Socket[bytes], endpoint: str, forget: Forget, guard: Lock) -> None:
        self._socket = socket
        self._forget = forget
        self._guard = guard
        self.endpoint = endpoint

    def send(self, route: bytes, parts: Parts) -> bool:
        try:
            with self._guard:
                if len(parts) > _PLAIN_PARTS and len(parts[-2]) >= _UNCOPIED_BYTES:
                    self._socket.send_multipart([route, *parts], zmq.NOBLOCK, copy=False)
                    return True
                socket = self._socket
                _send(socket, route, _MORE)
                for part in parts[:-1]:
                    _send(socket, part, _MORE)
                _send(socket, parts[-1], _NOBLOCK)
        except zmq.ZMQError as error:
            if error.errno in (zmq.EHOSTUNREACH, zmq.EAGAIN):
                return False
            raise
        return True

    def receive(self) -> tuple[bytes, Parts] | None:
        with self._guard:
            if not _readable(self._socket):
                return None
            route, *parts = _received(self._socket)
        return bytes(route), parts

    def close(self) -> None:
        self._forget(self._socket)
        self._socket.close(_LINGER_MS)


class ZmqConnection:
    def __init__(self, socket: zmq.Socket[bytes], forget: Forget) -> None:
        self._socket = socket
        self._forget = forget

    def send(self, parts: Parts) -> bool:
        try:
            for part in parts[:-1]:
                _send(self._socket, part, _MORE)
            _send(self._socket, parts[-1], _NOBLOCK)
        except zmq.Again:
            return False
        return True

    def receive(self) -> Parts | None:
        if not _readable(self._socket):
            return None
        return _received(self._socket)

    def close(self) -> None:
        self._forget(self._socket)
        self._socket.close(_LINGER_MS)


class ZmqTransport:
    """All ends of one instance share one context with one network thread."""

    def __init__(self, token: str = "") -> None:
        self._token = token
        self._context = zmq.Context(io_threads=1)
        self._sockets: dict[zmq.Socket[bytes], int] = {}
        self._poll = select.poll()
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(self._wake, False)
        self._poll.register(self._woken, select.POLLIN)
        self._extra: set[int] = set()
        self._guard = Lock()
        self._waking = Lock()
        self.changes = 0
        self._closed = False

    @property
    def context(self) -> zmq.Context[zmq.Socket[bytes]]:
        """For the control thread, which has sockets of its own."""
        return self._context

    def bind(self, endpoint: str) -> ZmqBinding:
        socket = self._context.socket(zmq.ROUTER)
        _options(socket)
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        secure(socket, endpoint, self._token, server=True)
        try:
            if endpoint.endswith(":0"):
                endpoint = free_endpoint(socket, endpoint.removeprefix("tcp://").rpartition(":")[0])
            else:
                socket.bind(endpoint)
        except (zmq.ZMQError, PlatformError) as error:
            socket.close()  # one that stays open keeps the context from ending
            raise PlatformError(f"{endpoint} cannot be bound: {error}") from error
        self._watch(socket)
        return ZmqBinding(socket, endpoint, self._unwatch, self._guard)

    def connect(self, endpoint: str) -> ZmqConnection:
        socket = self._context.socket(zmq.DEALER)
        _options(socket)
        socket.setsockopt(zmq.IMMEDIATE, 1)
        socket.setsockopt(zmq.RECONNECT_IVL, _RECONNECT_MS)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, _RECONNECT_MAX_MS)
        secure(socket, endpoint, self._token, server=False)
        socket.connect(endpoint)
        self._watch(socket)
        return ZmqConnection(socket, self._unwatch)

    def _watch(self, socket: zmq.Socket[bytes]) -> None:
        descriptor = int(socket.getsockopt(zmq.FD))
        self._sockets[socket] = descriptor
        self.changes += 1
        self._poll.register(descriptor, select.POLLIN)

    def _unwatch(self, socket: zmq.Socket[bytes]) -> None:
        if (descriptor := self._sockets.pop(socket, None)) is not None:
            self._poll.unregister(descriptor)
            self.changes += 1

    def descriptors(self) -> Sequence[int]:
        return (self._woken, *self._sockets.values())

    def ready(self) -> bool:
        try:
            os.read(self._woken, _WAKES)
        except BlockingIOError:
            return self._any_readable()
        return True

    def _any_readable(self) -> bool:
        with self._guard:
            return any(_readable(socket) for socket in self._sockets)

    def wait(self, timeout_s: float, descriptors: Sequence[int] = ()) -> None:
        if self._any_readable():
            return
        if self._extra.symmetric_difference(descriptors):
            for gone in self._extra.difference(descriptors):
                self._poll.unregister(gone)
            for new in set(descriptors) - self._extra:
                self._poll.register(new, select.POLLIN)
            self._extra = set(descriptors)
        ready = self._poll.poll(max(0.0, timeout_s) * 1000)
        if any(descriptor == self._woken for descriptor, _ in ready):
            os.read(self._woken, _WAKES)

    def wake(self) -> None:
        with self._waking:  # a thread of the user may be late, and the descriptor soon somebody else's
            if not self._closed:
                with suppress(BlockingIOError):  # so many wakes wait already that one more says nothing
                    os.write(self._wake, b"\0")

    def close(self) -> None:
        for socket in self._sockets:
            socket.close(_LINGER_MS)
        self._context.term()
        with self._waking:
            self._closed = True
            os.close(self._wake)
            os.close(self._woken)
