"""The address where a Prometheus server scrapes a job: one page of text on loopback.

It answers from a thread of its own with the last observation that was published, so a scrape never asks an instance,
and a slow reader never delays the controller. prometheus_client's server is not used: it resolves host names when it
starts and takes half a second to stop, and a job that has ended should give its terminal back at once.
"""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from types import TracebackType

from streamer.errors import PortError
from streamer.metrics.exposition import CONTENT_TYPE, Observation, exposition

_ADDRESS = "127.0.0.1"
_READ_TIMEOUT_S = 10.0
_STOP_INTERVAL_S = 0.02


class Endpoint:
    """Serves `/metrics` from the moment it exists until it is closed. `port` 0 chooses a free one."""

    def __init__(self, port: int = 0) -> None:
        try:
            self._server = _Server((_ADDRESS, port), _Page)
        except (OSError, OverflowError) as error:
            raise PortError(f"metrics cannot be served at {_ADDRESS}:{port}: {error}") from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_STOP_INTERVAL_S,), name="metrics", daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://{_ADDRESS}:{self._server.server_port}/metrics"

    def publish(self, observation: Observation) -> None:
        self._server.observation = observation

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Endpoint:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    observation: Observation | None = None

    def server_bind(self) -> None:
        # HTTPServer.server_bind would ask the resolver for a name of this host; nobody reads it.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = _ADDRESS, int(self.socket.getsockname()[1])

    def handle_error(self, request: object, client_address: object) -> None:
        """A reader that goes away in the middle of an answer is no event of the job."""


class _Page(BaseHTTPRequestHandler):
    server: _Server
    timeout = _READ_TIMEOUT_S

    def do_GET(self) -> None:
        if self.path.partition("?")[0] not in ("/", "/metrics"):
            self.send_error(404, "Metrics are at /metrics")
            return
        body = exposition(self.server.observation).encode()
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        """Scrapes are not written to the terminal of the job."""
