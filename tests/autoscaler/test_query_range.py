"""A trace from a range query: its series added up, and whatever else a server may answer told as what it is."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from autoscaler.simulation.traces import traces
from streamer.errors import TraceError


@contextmanager
def _server(body: str, status: int = 200) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *args: object) -> None:
            del args

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/api/v1/query_range?query=x&start=0&end=9&step=1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _matrix(*series: list[tuple[float, str]]) -> str:
    result = [{"metric": {}, "values": values} for values in series]
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}})


def test_series_are_added_up() -> None:
    with _server(_matrix([(10, "1"), (12, "2")], [(10, "5"), (12, "NaN")])) as url:
        [trace] = traces(url)

    assert (trace.name, trace.rates) == ("range", (6, 6, 2, 2))


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        pytest.param("<html>Login</html>", 200, "not that of a range query: '<html>Login", id="a page"),
        pytest.param("", 401, "wants to know who asks (HTTP 401)", id="refused"),
        pytest.param('{"status": "error", "error": "parse error"}', 400, "HTTP 400: parse error", id="a bad query"),
        pytest.param(_matrix(), 200, "has 0 values", id="an empty answer"),
        pytest.param('{"data": {"result": [[1, "2"]]}}', 200, "not that of a range query", id="another query"),
        pytest.param(_matrix([(0, "-1"), (1, "2")]), 200, "not between 0 and", id="negative rates"),
    ],
)
def test_what_is_no_answer_to_a_range_query_is_told(body: str, status: int, said: str) -> None:
    with _server(body, status) as url, pytest.raises(TraceError) as raised:
        traces(url)

    assert said in str(raised.value)


def test_a_server_that_is_not_there_is_told() -> None:
    with pytest.raises(TraceError, match="does not answer"):
        traces("http://127.0.0.1:1/api/v1/query_range?query=x")
