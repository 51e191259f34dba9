"""Calling the user's function for each message of a frame, and collecting what it returns or sends.

The reference is a loop that calls the same function on the same messages and keeps what it returns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.micro.timing import FRAME, Case, message
from streamer import clock
from streamer.plan.routing import Route, RouteTable
from streamer.protocol.codec import join, packer, unpack
from streamer.protocol.frames import Data
from streamer.protocol.segment import Segment
from streamer.protocol.session import InputFrame, ReceivingSession
from streamer.runtime.api import Api, Host
from streamer.runtime.calls import Calls, Handler, StatefulCalls, StatelessCalls
from streamer.runtime.turn import HAND_WORDS, Exits, Turn

_TABLE = RouteTable(
    routes=(Route("main", "source", 0, (1,)), Route("main", "relay", 0, (2,)), Route("main", "sink", 0, ())),
    default_flow="main",
)


def relay(args: dict[str, Any], _api: object) -> dict[str, Any]:
    received: dict[str, Any] = args["streamInput"]["message"]
    return received


def ignore(_message: object, _origin: str) -> None:
    """The least that a listener can do."""


class _NoHost:
    """Where calls of the api that do not belong to a handler would go; these cases make none."""

    listening = True

    def send_root(self, sent: object, flow: str | None) -> None:
        raise AssertionError(f"{sent} was sent into {flow} outside of a handler")

    def set_listening(self, listening: bool, *, force: bool) -> None:
        raise AssertionError(f"listening was set to {listening} with force={force}")

    def statistics(self) -> Sequence[dict[str, Any]]:
        return ()

    def reset(self, messages: int | None) -> int:
        return messages or 0


def _emit(segment: Segment, blobs: list[bytes], parent: InputFrame | None, indexes: Sequence[int]) -> None:
    """The outbox is another case."""


class Stage:
    """A node whose position in the flow has this route, without anything around its handler."""

    def __init__(self, route: int) -> None:
        hand = memoryview(bytearray(8 * HAND_WORDS)).cast("Q")
        self.route = route
        self.hand = hand
        self.turn = Turn(Exits(_TABLE.routes[route].node, _TABLE), _emit, hand, lambda: None, lambda _route: None)
        host: Host = _NoHost()
        self.api = Api(host, self.turn)
        pack = packer()
        self.body = join([pack(message(n)) for n in range(FRAME)])

    def frame(self) -> InputFrame:
        session = ReceivingSession(1, "source", False, lambda _count: None)
        segment = Segment(7, range(FRAME), 5, None, self.route, 0, 0)
        return InputFrame(session, Data(1, [segment], FRAME, self.body, False), 0.0)

    def handling(self, calls: Calls) -> Callable[[], None]:
        handler = Handler(calls, self.turn, self.hand, clock.now, lambda _busy_s: None)
        frame = self.frame()

        def handle() -> None:
            self.api.in_handler(True)
            handler.handle(frame)

        return handle

    def stateless(self, start: Callable[..., Any]) -> Callable[[], None]:
        return self.handling(StatelessCalls(start, {}, self.api, self.turn, self.hand))

    def stateful(self, listener: Callable[..., Any]) -> Callable[[], None]:
        calls = StatefulCalls(self.hand)
        calls.listeners.append(listener)
        return self.handling(calls)


def _call(body: bytes) -> None:
    for received in unpack(body):
        ignore(received, "source")


def cases() -> dict[str, Case]:
    middle, last = Stage(1), Stage(2)
    pack = packer()
    body = middle.body
    send = middle.api.sendMessage
    return {
        "unpack and call": Case(lambda: _call(body)),
        "stateless at the end": Case(last.stateless(lambda _args, _api: None), reference="unpack and call"),
        "stateful at the end": Case(last.stateful(ignore), reference="unpack and call"),
        "unpack, call and pack": Case(
            lambda: [pack(relay({"streamInput": {"message": m}}, None)) for m in unpack(body)]
        ),
        "stateless that returns": Case(middle.stateless(relay), reference="unpack, call and pack"),
        "stateful that sends": Case(
            middle.stateful(lambda received, _origin: send(received)), reference="unpack, call and pack"
        ),
    }
