"""The HTTP face of a gateway: requests in, answers out, and nothing of messages but their bytes.

A client must be able to believe a 2xx, and to act on anything else: so each refusal has a status, says what to do in
JSON, and comes before the body travels where that is possible. Connections are kept alive, one thread each: a thread
that waits for its message to settle costs little, and the standard library's server needs no second loop beside the
one that carries messages. It listens on loopback only; whoever wants it elsewhere puts a proxy with TLS before it.
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import SystemRandom
from socketserver import TCPServer
from threading import BoundedSemaphore, Lock, Thread
from typing import Any, Protocol
from urllib.parse import parse_qsl, unquote

from streamer.errors import FlowError, MessageError, OverloadError, PortError, StreamEndedError
from streamer.limits import (
    GATEWAY_CONNECTIONS_MAX,
    GATEWAY_IDLE_S,
    GATEWAY_READING_BYTES_MAX,
    GATEWAY_RETRY_S,
    MESSAGE_BYTES_MAX,
)
from streamer.protocol.codec import careful, pack_message, packer
from streamer.transport.zeromq import PORTS

ADDRESS = "127.0.0.1"
_PORT_TRIES = 200
_STOP_INTERVAL_S = 0.05
_DISCARDED_BYTES_MAX = 1024 * 1024
"""So much of a refused body is read, so that the connection can be kept; beyond it the connection is closed."""
_LINGER_BYTES_MAX = 64 * 1024 * 1024
_LINGER_S = 2.0
"""A client that still sends its body when it is refused must be let finish, or a reset would eat the answer."""
_JSON, _BYTES = "application/json", "application/octet-stream"
_STATUS = {
    FlowError: HTTPStatus.NOT_FOUND,
    MessageError: HTTPStatus.BAD_REQUEST,
    OverloadError: HTTPStatus.SERVICE_UNAVAILABLE,
    StreamEndedError: HTTPStatus.SERVICE_UNAVAILABLE,
}


class Ticket(Protocol):
    """One message that was accepted."""

    def wait(self, timeout_s: float) -> bool:
        """Whether it is settled within this time."""


class Reception(Protocol):
    """Takes messages over; the calls come from many threads."""

    def route(self, flow: str | None) -> int:
        """Where a message into this flow would go now, None being the default one. Raises FlowError."""

    def admit(self, flow: str | None) -> None:
        """Raises OverloadError, StreamEndedError or FlowError if no message is taken now."""

    def taken(self, blob: bytes, flow: str | None) -> AbstractContextManager[Ticket]:
        """Take a packed message; the answer to its request is written inside. Raises what `admit` raises."""

    def info(self) -> Mapping[str, Any]: ...


class GatewayServer:
    """Serves until it is closed. `port` 0 chooses one: `kept` if that is free, else any."""

    def __init__(self, reception: Reception, name: str, port: int, *, kept: int = 0, settle_s: float) -> None:
        self._server = _listening((port,) if port else _candidates(kept), name, reception, settle_s)
        self._thread = Thread(target=self._server.serve_forever, args=(_STOP_INTERVAL_S,), name="http", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def url(self) -> str:
        """Where messages are posted."""
        return f"http://{ADDRESS}:{self.port}{self._server.message_path}"

    def close(self) -> None:
        self._server.closing = True
        self._server.shutdown()
        self._server.server_close()


def _candidates(kept: int) -> Sequence[int]:
    ports = SystemRandom().sample(PORTS, _PORT_TRIES)
    return [kept, *ports] if kept else ports


def _listening(ports: Sequence[int], name: str, reception: Reception, settle_s: float) -> _Server:
    problem: OSError | None = None
    for port in ports:
        try:
            return _Server(port, name, reception, settle_s)
        except OSError as error:
            problem = error
    raise PortError(f"gateway {name} cannot listen at {ADDRESS}:{ports[-1]}: {problem}")


class _Reading:
    """What the bodies that are on their way in may take together; one is admitted whatever its size."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._bytes = 0

    @contextmanager
    def body(self, length: int) -> Iterator[None]:
        with self._lock:
            if self._bytes and self._bytes + length > GATEWAY_READING_BYTES_MAX:
                raise OverloadError(
                    f"bodies of {self._bytes} bytes are being read already", remedy="Send it again a little later."
                )
            self._bytes += length
        try:
            yield
        finally:
            with self._lock:
                self._bytes -= length


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    """The connections of a killed life must not keep its successor from the port."""
    request_queue_size = GATEWAY_CONNECTIONS_MAX

    def __init__(self, port: int, name: str, reception: Reception, settle_s: float) -> None:
        super().__init__((ADDRESS, port), _Exchange)
        self.reception = reception
        self.settle_s = settle_s
        self.message_path = f"/hkube/gateway/{name}/streaming/message"
        self.info_path = f"/hkube/gateway/{name}/streaming/info"
        self.reading = _Reading()
        self.closing = False
        self._free = BoundedSemaphore(GATEWAY_CONNECTIONS_MAX)

    def server_bind(self) -> None:
        # HTTPServer.server_bind would ask the resolver for a name of this host; nobody reads it.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = ADDRESS, int(self.socket.getsockname()[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        while not self._free.acquire(timeout=_STOP_INTERVAL_S):
            if self.closing:
                self.shutdown_request(request)
                return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no event of the job; anything else is a defect, and is shown whole in the log."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _RefusedError(Exception):
    def __init__(self, status: HTTPStatus, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}


class _Exchange(BaseHTTPRequestHandler):
    """The requests of one connection, one after the other."""

    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = GATEWAY_IDLE_S
    wbufsize = -1
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self._pack = careful(packer())
        self._unread: int | None = None
        self._expected = False

    def _exchange(self) -> None:
        try:
            self._unread = None
            self._unread = self._length()
            self._handler()()
        except _RefusedError as refused:
            self._refuse(refused.status, str(refused), refused.headers)
        except tuple(_STATUS) as error:
            status = _STATUS[type(error)]
            later = {"Retry-After": str(GATEWAY_RETRY_S)} if status is HTTPStatus.SERVICE_UNAVAILABLE else {}
            self._refuse(status, f"{error}. {error.advice}", later)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _exchange  # noqa: N815 - names of the base class
    do_HEAD = do_TRACE = do_CONNECT = _exchange  # noqa: N815 - names of the base class

    def _handler(self) -> Callable[[], None]:
        path = unquote(self.path.partition("?")[0]).rstrip("/")
        server = self.server
        known = {server.message_path: ("POST", self._message), server.info_path: ("GET", self._info)}
        if path not in known:
            raise _RefusedError(
                HTTPStatus.NOT_FOUND,
                f"nothing is at {path or '/'}: POST {server.message_path} or GET {server.info_path}",
            )
        allowed, handler = known[path]
        if self.command != allowed:
            raise _RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, f"{path} takes {allowed} only", {"Allow": allowed})
        return handler

    def _info(self) -> None:
        self._answer(HTTPStatus.OK, self.server.reception.info())

    def _message(self) -> None:
        server = self.server
        flow, wait = self._parameters()
        server.reception.route(flow)
        decode = self._decoder()
        length = self._unread or 0
        if length > MESSAGE_BYTES_MAX:
            raise _RefusedError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"a body of {length} bytes is larger than the limit of {MESSAGE_BYTES_MAX} (MESSAGE_BYTES_MAX)",
            )
        server.reception.admit(flow)
        with server.reading.body(length):
            blob = pack_message(self._pack, decode(self._body(length)))
        with server.reception.taken(blob, flow) as ticket:
            if not wait:
                self._answer(HTTPStatus.ACCEPTED, {"message": "accepted"})
            elif ticket.wait(server.settle_s):
                self._answer(HTTPStatus.OK, {"message": "OK"})
            else:
                self._refuse(
                    HTTPStatus.GATEWAY_TIMEOUT,
                    f"the message was accepted and is not settled after {server.settle_s:g} s. It goes on its way: "
                    "sending it again may make a second one.",
                )

    # -- what a request says ---------------------------------------------------------------------------------------

    def _length(self) -> int:
        """Bytes of the body."""
        self._expected = self.headers.get("Expect", "").lower() == "100-continue"
        if "Transfer-Encoding" in self.headers:
            raise _RefusedError(HTTPStatus.LENGTH_REQUIRED, "send the body whole, with Content-Length")
        text = self.headers.get("Content-Length", "0").strip()
        if not (text.isascii() and text.isdigit()):
            raise _RefusedError(HTTPStatus.BAD_REQUEST, f"Content-Length {text!r} is no number of bytes")
        return int(text)

    def _parameters(self) -> tuple[str | None, bool]:
        """The flow, None being the default one, and whether the answer waits for the message to settle."""
        flow, wait = None, True
        for key, value in parse_qsl(self.path.partition("?")[2], keep_blank_values=True):
            if key == "flow":
                flow = value or None
            elif key == "wait" and value in ("true", "false"):
                wait = value == "true"
            else:
                raise _RefusedError(
                    HTTPStatus.BAD_REQUEST, f"{key}={value} is not a parameter: use flow=NAME and wait=true or false"
                )
        return flow, wait

    def _decoder(self) -> Callable[[bytes], object]:
        kind = self.headers.get_content_type() if "Content-Type" in self.headers else ""
        charset = self.headers.get_content_charset("utf-8")
        if self.headers.get("Content-Encoding", "identity") == "identity":
            if kind == _BYTES:
                return bytes
            if kind == _JSON and charset in ("utf-8", "us-ascii"):
                return _json
        encoding = self.headers.get("Content-Encoding", "")
        got = " ".join(filter(None, (encoding, kind, f"in {charset}"))) if kind else "a body with no Content-Type"
        raise _RefusedError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"{got} cannot be read: send Content-Type: {_JSON} in UTF-8 or {_BYTES}, not compressed",
        )

    def handle_expect_100(self) -> bool:
        """The client is asked for its body when that is wanted, and not before."""
        return True

    def _body(self, length: int) -> bytes:
        if self._expected:
            self.send_response_only(HTTPStatus.CONTINUE)
            self.end_headers()
            self.wfile.flush()
        body = self.rfile.read(length)
        if len(body) < length:
            raise ConnectionAbortedError("the client went away inside its request")
        self._unread = 0
        return body

    # -- answers ---------------------------------------------------------------------------------------------------

    def _refuse(self, status: HTTPStatus, message: str, headers: Mapping[str, str] | None = None) -> None:
        self._answer(status, {"error": {"code": status.value, "message": message}}, headers)

    def _answer(
        self, status: HTTPStatus, document: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> None:
        body = json.dumps(document).encode() + b"\n"
        clear = self._cleared()
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Type", _JSON)
        self.send_header("Content-Length", str(len(body)))
        if not clear:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()
        if not clear:
            self._linger()

    def _cleared(self) -> bool:
        """Whether the next request on this connection begins where this one ends."""
        if self._unread == 0:
            return True
        if self._unread is None or self._expected or self._unread > _DISCARDED_BYTES_MAX:
            return False
        return len(self.rfile.read(self._unread)) == self._unread

    def _linger(self) -> None:
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(_LINGER_S)
            left = _LINGER_BYTES_MAX
            while left > 0 and (piece := self.rfile.read1(65_536)):
                left -= len(piece)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the base class refuses: a request that is no HTTP, or of a method that nothing here has."""
        self._unread = None
        self._refuse(HTTPStatus(code), message or explain or HTTPStatus(code).phrase)

    def version_string(self) -> str:
        return "streamer"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        """Nothing is logged for each message."""


def _json(body: bytes) -> object:
    try:
        return _DECODER.decode(body.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        problem = f"{error.msg}, line {error.lineno}, column {error.colno}" if body.strip() else "it is empty"
    except UnicodeDecodeError as error:
        problem = f"byte {error.start} is not UTF-8"
    except RecursionError:
        problem = "it is nested too deeply"
    except ValueError as error:  # a constant that is no JSON, or a number of over 4300 digits
        problem = str(error)
    raise _RefusedError(HTTPStatus.BAD_REQUEST, f"the body is not JSON: {problem}")


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no value of JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)
