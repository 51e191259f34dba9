"""The address where a Prometheus server finds and scrapes a job: its pages on loopback.

`/sd` tells, in the form of Prometheus' discovery over HTTP, a target for each living instance (`/metrics/INSTANCE`) and
one for what belongs to the job as a whole (`/metrics/job`). They are pages of one address, so that nothing has to reach
the instances, but targets of their own all the same: a server then knows of each whether it is up, and its series end
with it. `/metrics` shows everything at once, for people and for servers without discovery. A thread of its own answers
with the last observation that was published, so a scrape never asks an instance, and a slow reader never delays the
controller. prometheus_client's server is not used: it resolves host names when it starts and takes half a second to
stop, and a job that has ended should give its terminal back at once.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from types import TracebackType
from urllib.parse import unquote

from streamer import clock
from streamer.errors import PortError
from streamer.metrics.exposition import CONTENT_TYPE, Observation, exposition

_ADDRESS = "127.0.0.1"
_READ_TIMEOUT_S = 10.0
_INSTANCE_PAGES = "/metrics/"
_JOB_PAGE = "/metrics/job"
"""No instance has this name: theirs end in a number."""
_JSON = "application/json; charset=utf-8"
_STOP_INTERVAL_S = 0.02


class Endpoint:
    """Serves these pages from the moment it exists until it is closed. `port` 0 chooses a free one."""

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
        self._server.published = observation, clock.now()

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
    published: tuple[Observation, float] | None = None

    @property
    def observation(self) -> Observation | None:
        """What was published last, as old as it is by now: who stands still must not look alive."""
        if self.published is None:
            return None
        observation, published_at = self.published
        return observation.later(clock.now() - published_at)

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
        path = unquote(self.path.partition("?")[0])
        if path == "/sd":
            self._answer(_JSON, _discovery(f"{_ADDRESS}:{self.server.server_port}", observation))
        elif path in ("/", "/metrics"):
            self._answer(CONTENT_TYPE, exposition(observation))
        elif (part := _part(observation, path)) is not None:
            self._answer(CONTENT_TYPE, exposition(part))
        else:
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


def _part(observation: Observation | None, path: str) -> Observation | None:
    """What the page of the job or of an instance shows; None if there is no such page."""
    if observation is None:
        return None
    if path == _JOB_PAGE:
        return observation.of_job()
    return observation.of_instance(path.removeprefix(_INSTANCE_PAGES)) if path.startswith(_INSTANCE_PAGES) else None


def _discovery(address: str, observation: Observation | None) -> str:
    """A list of targets with their labels; a job that was not observed yet has none.

    Paths are told as they are: the server that reads them is the one that quotes them.
    """
    if observation is None:
        return json.dumps([])
    job = {"job": observation.job, "pipeline": observation.pipeline}
    instances = [{**job, "node": sample.node, "instance": sample.instance} for sample in observation.samples]
    pages = [(_JOB_PAGE, job), *((_INSTANCE_PAGES + labels["instance"], labels) for labels in instances)]
    return json.dumps([{"targets": [address], "labels": {"__metrics_path__": path, **own}} for path, own in pages])
