"""A gateway with its HTTP face and its outbox, whose consumers are the test: they settle what they are told to."""

from __future__ import annotations

import http.client
import json
import queue
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Condition
from typing import Any

from streamer.plan.assignment import Assignment, Delivery, Gateway, Output, Overload, Role, Wiring
from streamer.plan.routing import Route, RouteTable
from streamer.protocol.account import InstanceAccount
from streamer.protocol.codec import unpack_one
from streamer.protocol.edge import Edge
from streamer.runtime.entry import Log
from streamer.runtime.exits import Exits
from streamer.runtime.gateway import GatewayWork
from streamer.runtime.letters import Letters
from streamer.runtime.logged_entry import entry_of
from streamer.runtime.outbox import Outbox
from streamer.state.gateway import GatewayRecord

PATIENCE_S = 30.0
PATH = "/hkube/gateway/door/streaming/message"
INFO = "/hkube/gateway/door/streaming/info"
JSON = {"Content-Type": "application/json"}
BYTES = {"Content-Type": "application/octet-stream"}
TABLE = RouteTable(
    (
        Route("main", "door", 0, (1,)),
        Route("main", "save", 0, ()),
        Route("both", "door", 0, (3, 4)),
        Route("both", "save", 0, ()),
        Route("both", "copy", 0, ()),
        Route("inner", "save", 0, (6,)),
        Route("inner", "copy", 0, ()),
    ),
    "main",
)
"""`main: door >> save`, `both: door >> save & copy`, `inner: save >> copy`."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    document: dict[str, Any]

    @property
    def error(self) -> str:
        assert self.document["error"]["code"] == self.status
        return str(self.document["error"]["message"])


class NoLetters:
    def append(self, records: object) -> None:
        raise AssertionError(f"a dead letter that nobody expected: {records}")


class Door:
    """Its job is `abcdefghijkl`; requests that wait for an answer are made by `ask`, others by `post`."""

    def __init__(
        self,
        folder: Path,
        *,
        port: int = 0,
        epoch: int = 1,
        queue_bytes: int = 1024 * 1024,
        overload: Overload = Overload.BLOCK,
        settle_s: float = PATIENCE_S,
        log: Log | None = None,
    ) -> None:
        outputs = tuple(
            Output(target, False, Delivery.AT_LEAST_ONCE, queue_bytes, 64, overload) for target in ("save", "copy")
        )
        assignment = Assignment(
            job="abcdefghijkl", pipeline="p", token="t", node="door", instance="door-0", epoch=epoch, role=Role.GATEWAY,
            wiring=Wiring(1, (TABLE,), 1, (), outputs), folder=str(folder), dead_letters="", control="",
            gateway=Gateway("door", port),
        )  # fmt: skip
        self.account = InstanceAccount()
        self.lock = Condition()
        self.woken: queue.Queue[None] = queue.Queue()
        exits = Exits("door", assignment.wiring)
        letters = Letters(assignment, NoLetters(), lambda: 0.0, lambda: 0.0, exits.position)
        self.outbox = Outbox(assignment, exits, None, self.account, letters)
        self.entry = entry_of(assignment, exits, self.outbox, self.account, letters, lambda: None, log)
        self.work = GatewayWork(
            assignment, exits, self.outbox, self.entry, self.lock,
            lambda: self.woken.put(None), wall=lambda: 1.0,
        )  # fmt: skip
        self._record = GatewayRecord(folder)
        assert assignment.gateway is not None
        self.url = self.work.serve(assignment.gateway, self._record, settle_s=settle_s)
        self.port = int(self.url.split(":")[2].partition("/")[0])
        self._threads = ThreadPoolExecutor(32)
        self._closed = False

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self.work.close()
            self._record.close()
            self._threads.shutdown()

    # -- the client ------------------------------------------------------------------------------------------------

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)

    def post(
        self, body: bytes | str = b"{}", query: str = "", headers: Mapping[str, str] = JSON, path: str = PATH
    ) -> Answer:
        connection = self.connection()
        try:
            return exchange(connection, "POST", path + query, body, headers)
        finally:
            connection.close()

    def ask(self, body: bytes | str = b"{}", query: str = "", headers: Mapping[str, str] = JSON) -> Future[Answer]:
        """A request in a thread of its own; its message has been taken when this returns."""
        future = self._threads.submit(self.post, body, query, headers)
        self.woken.get(timeout=PATIENCE_S)
        return future

    def disk(self, do: Callable[[], object]) -> None:
        """Do this to the disk, and have the gateway see it."""
        with self.lock:
            do()
            self.entry.advance(0.0)

    # -- the consumers ---------------------------------------------------------------------------------------------

    def edge(self, target: str) -> Edge:
        (edge,) = [edge for edge in self.outbox.edges if edge.target == target]
        assert isinstance(edge, Edge)
        return edge

    def settle(self, target: str = "save") -> list[Any]:
        """Take and settle all that waits for this consumer; gives the messages."""
        edge = self.edge(target)
        with self.lock:
            frame = edge.cut(1000)
            assert frame is not None, f"nothing waits for {target}"
            edge.fly(frame)
            edge.counts.settled += edge.settle(frame)
        return [unpack_one(blob) for chunk in frame.chunks for blob in chunk.blobs]

    def bury(self, target: str = "save") -> None:
        """Give up the message that waits for this consumer, as one that has killed it too often."""
        edge = self.edge(target)
        with self.lock:
            frame = edge.cut(1)
            assert frame is not None
            edge.bury(frame.chunks[0])


def exchange(
    connection: http.client.HTTPConnection, method: str, path: str, body: bytes | str, headers: Mapping[str, str]
) -> Answer:
    connection.request(method, path, body, dict(headers))
    response = connection.getresponse()
    return Answer(response.status, dict(response.headers.items()), json.loads(response.read()))
