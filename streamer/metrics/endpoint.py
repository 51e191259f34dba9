"""The address where a Prometheus server finds and scrapes a job: two pages on loopback.

All instances of a job are told at one address (`/metrics`), which `/sd` names in the form of Prometheus' discovery over
HTTP: a server that is configured with that page keeps the job's name on the target when no instance is left to say it.
It answers from a thread of its own with the last observation that was published, so a scrape never asks an instance,
and a slow reader never delays the controller. prometheus_client's server is not used: it resolves host names when it
starts and takes half a second to stop, and a job that has ended should give its terminal back at once.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from types import TracebackType

from streamer.errors import PortError
from streamer.metrics.exposition import CONTENT_TYPE, Observation, exposition

_ADDRESS = "127.0.0.1"
_READ_TIMEOUT_S = 10.0
_JSON = "application/json; charset=utf-8"
_STOP_INTERVAL_S = 0.02


class Endpoint:
    """Serves `/metrics` and `/sd` from the moment it exists until it is closed. `port` 0 chooses a free one."""

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
        observation = self.server.observation
        match self.path.partition("?")[0]:
            case "/" | "/metrics":
                self._answer(CONTENT_TYPE, exposition(observation))
            case "/sd":
                self._answer(_JSON, _discovery(f"{_ADDRESS}:{self.server.server_port}", observation))
            case _:
                self.send_error(404, "Metrics are at /metrics, targets at /sd")

    def _answer(self, content_type: str, text: str) -> None:
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        """Scrapes are not written to the terminal of the job."""


def _discovery(target: str, observation: Observation | None) -> str:
    """A list of targets with their labels; a job that has not been observed yet has no name to give."""
    labels = {"job": observation.job, "pipeline": observation.pipeline} if observation is not None else {}
    return json.dumps([{"targets": [target], "labels": labels}])
