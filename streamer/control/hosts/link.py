"""The controller's end of the control links: samples in, commands out, beside the data path.

Every instance connects to this one socket, so an instance that starts needs to know one address only. A message counts
only with the job's token, because anybody on the machine can connect to a port. An answer goes to where the last
sample of that life came from: a connection that breaks comes back under another routing id, and the next sample brings
it. What cannot be delivered is dropped; the controller repeats itself.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator

import msgpack
import zmq

from streamer import limits
from streamer.errors import PlatformError
from streamer.metrics.samples import InstanceSample
from streamer.plan.assignment import Command

_HOST = "tcp://127.0.0.1"
_LASTING_PORTS = (20_000, 32_768)
_MESSAGES_MAX = 1000
"""Received in one round, so that instances that report a lot do not keep the host from its other work."""


class ControlLink:
    """`endpoint` is where instances connect, `refused` counts what came without the token or could not be read.

    `lasting`: the instances may meet another supervisor there, so the port is one that the system gives nobody by
    itself: somebody who asks a closed port of its own for a connection again and again would get one, to himself.
    """

    def __init__(self, token: str, endpoint: str = "", *, lasting: bool = False) -> None:
        self._token = token.encode()
        self._routes: dict[str, tuple[int, bytes]] = {}
        self.refused = 0
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = self._context.socket(zmq.ROUTER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.MAXMSGSIZE, limits.CONTROL_FRAME_BYTES_MAX)
        try:
            if endpoint:
                self.socket.bind(endpoint)
            elif lasting:
                self.socket.bind_to_random_port(_HOST, *_LASTING_PORTS)
            else:
                self.socket.bind(f"{_HOST}:*")
        except zmq.ZMQError as error:
            self.close()
            raise PlatformError(f"the control link finds no port at {endpoint or _HOST}: {error}") from error
        self.endpoint = self.socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def receive(self) -> Iterator[InstanceSample]:
        """What has come, up to a limit."""
        for _ in range(_MESSAGES_MAX):
            try:
                route, *parts = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            sample = self._read(parts)
            if sample is None:
                self.refused += 1
                continue
            epoch, _ = self._routes.get(sample.instance, (0, b""))
            if sample.epoch >= epoch:
                self._routes[sample.instance] = (sample.epoch, route)
            yield sample

    def send(self, instance: str, epoch: int, command: Command) -> None:
        known, route = self._routes.get(instance, (0, b""))
        if known != epoch:
            return
        # a ROUTER never waits: what has no taker is dropped
        self.socket.send_multipart([route, msgpack.packb(command.to_wire())], zmq.NOBLOCK)

    def close(self) -> None:
        self.socket.close()
        self._context.term()

    def _read(self, parts: list[bytes]) -> InstanceSample | None:
        if len(parts) != 2 or not hmac.compare_digest(parts[0], self._token):
            return None
        try:
            return InstanceSample.from_wire(msgpack.unpackb(parts[1]))
        except (ValueError, TypeError, KeyError, AttributeError, msgpack.UnpackException):
            return None
