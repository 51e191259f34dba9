"""Small proxies before the instances of a job, for machines on which the network itself cannot be cut.

Each instance that others read from gets a port to be bound at and a port to be found at, both known before the job
begins, so that nothing has to be agreed while processes die. The proxies live in the verifier and outlive everybody
else. A cut breaks every connection through one of them, with whatever it held: frames of which the sender believes
that they have arrived.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from threading import Thread
from urllib.parse import urlsplit

from streamer.errors import PlatformError
from streamer.plan.compile import Plan
from streamer.transport.zeromq import PORTS

LINKS_FILE = "links.json"
"""In the job's folder: {instance: [where it is to be bound, where others find it]}."""
_HOST = "127.0.0.1"
_BYTES = 1 << 16
_TRIES = 200
_PATIENCE_S = 10.0


@dataclass(slots=True)
class _Gate:
    """One proxy: the port behind it, whether it is cut, and what passes."""

    port: int
    cut: bool = False
    writers: set[asyncio.StreamWriter] = field(default_factory=set)


class ProxiedLinks:
    """Of one job at a time."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="proxies", daemon=True)
        self._thread.start()
        self._gates: dict[str, _Gate] = {}
        self._servers: list[asyncio.Server] = []

    def lay(self, plan: Plan, folder: Path) -> None:
        self._close_gates()
        ports = _free_ports()
        endpoints = {}
        for node in plan.nodes.values():
            for index in range(max(node.replicas, node.max_replicas or 1)):
                gate = self._gates[f"{node.name}-{index}"] = _Gate(next(ports))
                endpoints[f"{node.name}-{index}"] = [_endpoint(gate.port), _endpoint(self._open(gate))]
        (folder / LINKS_FILE).write_text(json.dumps(endpoints))

    def supervisor(self, home: Path, job: str) -> Sequence[str]:
        return (sys.executable, "-m", "streamer.testing.verify.supervise", str(home), job)

    def cut(self, instance: str, endpoint: str) -> None:
        """It is cut from all that come by its proxy; `endpoint` is where it was told to be bound."""
        gate = self._gates[instance]
        if urlsplit(endpoint).port == gate.port:
            gate.cut = True
            self._loop.call_soon_threadsafe(self._break, gate)

    def heal(self, instance: str, endpoint: str) -> None:  # noqa: ARG002  # as above
        self._gates[instance].cut = False

    def close(self) -> None:
        self._close_gates()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE_S)

    # -- in the thread of the proxies ----------------------------------------------------------------------------------

    def _break(self, gate: _Gate) -> None:
        for writer in gate.writers:
            writer.transport.abort()

    def _open(self, gate: _Gate) -> int:
        async def passes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await _pass(gate, reader, writer)

        async def serve() -> asyncio.Server:
            return await asyncio.start_server(passes, _HOST, 0)

        server = asyncio.run_coroutine_threadsafe(serve(), self._loop).result(_PATIENCE_S)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    def _close_gates(self) -> None:
        for gate in self._gates.values():
            self._loop.call_soon_threadsafe(self._break, gate)
        for server in self._servers:
            self._loop.call_soon_threadsafe(server.close)
        self._gates, self._servers = {}, []


async def _pass(gate: _Gate, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one connection until either end, or a cut, breaks it."""
    gate.writers.add(writer)
    beyond: asyncio.StreamWriter | None = None
    try:
        if not gate.cut:
            back, beyond = await asyncio.open_connection(_HOST, gate.port)
            gate.writers.add(beyond)
            copies = [asyncio.ensure_future(_copy(reader, beyond)), asyncio.ensure_future(_copy(back, writer))]
            _, pending = await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
            for copy in pending:
                copy.cancel()
    except OSError:
        pass  # nobody is behind it just now, which its caller learns by the end of the connection
    finally:
        for one in (writer, beyond):
            if one is not None:
                gate.writers.discard(one)
                one.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while block := await reader.read(_BYTES):
            writer.write(block)
            await writer.drain()


def _endpoint(port: int) -> str:
    return f"tcp://{_HOST}:{port}"


def _free_ports() -> Iterator[int]:
    """Ports that nobody is bound at, each once. Raises PlatformError if there are none."""
    random = Random()
    given: set[int] = set()
    for _ in range(_TRIES):
        port = random.choice(PORTS)
        with socket.socket() as probe, suppress(OSError):
            if port not in given:
                probe.bind((_HOST, port))
                given.add(port)
                yield port
    raise PlatformError("no free ports are left for the instances of a job")
