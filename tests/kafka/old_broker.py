"""A broker of long ago, as far as a client of today gets with it: it tells what it can, and who it is.

No such broker starts without a ZooKeeper and a Java of its time, and what a client must tell a user about it comes from
the first two answers. `speaks` are the versions that Kafka 0.10 had; one of 0.9 hangs up on the question instead.
"""

from __future__ import annotations

import socketserver
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

_METADATA, _VERSIONS = 3, 18
KAFKA_0_10 = {0: 2, 1: 3, 2: 1, _METADATA: 1, 8: 2, 9: 1, 10: 0, 11: 1, 12: 0, 13: 0, 14: 0, _VERSIONS: 0}
"""The newest version of each request that was known then, by its number."""


@contextmanager
def old_broker(speaks: dict[int, int] | None) -> Iterator[str]:
    """Its address; None for one that answers nothing."""

    class Answers(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while len(size := self.rfile.read(4)) == 4:
                key, _version, correlation = struct.unpack_from(">hhi", self.rfile.read(*struct.unpack(">i", size)))
                if speaks is None or key not in speaks:
                    return
                body = _versions(speaks) if key == _VERSIONS else _metadata(self.request.getsockname()[1])
                self.wfile.write(struct.pack(">ii", 4 + len(body), correlation) + body)

    class Listens(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Listens(("127.0.0.1", 0), Answers) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def _versions(speaks: dict[int, int]) -> bytes:
    return struct.pack(">hi", 0, len(speaks)) + b"".join(struct.pack(">hhh", key, 0, v) for key, v in speaks.items())


def _metadata(port: int) -> bytes:
    """It is the only broker, node 1, and has no topics."""
    host = b"127.0.0.1"
    broker = struct.pack(">ih", 1, len(host)) + host + struct.pack(">ih", port, -1)
    return struct.pack(">i", 1) + broker + struct.pack(">ii", 1, 0)
