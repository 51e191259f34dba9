"""A server that gives one answer, whatever it is asked: what may stand in the place of a metrics server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from urllib.parse import parse_qsl


class Answering(HTTPServer):
    """Gives one answer to every request, or one by its path, and keeps the headers and the form of each."""

    def __init__(
        self, code: int, content_type: str, body: str | Callable[[str], str], headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.body = body if callable(body) else lambda _path: body
        self.answer = code, content_type, headers or {}
        self.asked: list[dict[str, str]] = []
        self.forms: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Answering

    def do_POST(self) -> None:
        form = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append({name.lower(): value for name, value in self.headers.items()})
        self.server.forms.append(dict(parse_qsl(form.decode())))
        code, content_type, headers = self.server.answer
        body = self.server.body(self.path).encode()
        self.send_response(code)
        for name, value in {"Content-Type": content_type, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST  # noqa: N815 - the base class names it

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        pass


@contextmanager
def answering(server: Answering) -> Iterator[Answering]:
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
