"""Calling the user's function for each message of a frame: the innermost loop of the engine.

Per message it costs one store (which message is in hand, in a page that survives a kill), the call, and the packing of
what it returns. A call that raises ends the loop with the message in hand named; `Handler` takes back what that
call sent, notes the failure and goes on behind it, so one bad message never harms its frame.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from streamer.clock import Clock
from streamer.limits import MESSAGE_BYTES_MAX, SPILL_BYTES
from streamer.protocol.codec import UNPACK_ERRORS, BadBody, size_error, unpack, unpack_each
from streamer.protocol.session import InputFrame
from streamer.runtime.algorithm import Function
from streamer.runtime.letters import Failure
from streamer.runtime.turn import IN_FRAME, IN_HAND, IN_SESSION, NOTHING, Hand, Sends, Turn


class Calls(Protocol):
    """How one message is handed to the user's code."""

    def over(self, bodies: Sequence[Any], first: int, origin: str, own: Sends | None) -> None:
        """Call for each of `bodies`, the first of which has index `first`. Raises what the user's code raises."""


class StatelessCalls:
    """`start(args, api)` once per message; what it returns continues the message's flow, nothing filters."""

    def __init__(self, start: Function, args: dict[str, Any], api: object, turn: Turn, hand: Hand) -> None:
        self._start = start
        self._args = args
        self._api = api
        self._turn = turn
        self._hand = hand

    def over(self, bodies: Sequence[Any], first: int, origin: str, own: Sends | None) -> None:
        start, args, api, hand, pack = self._start, self._args, self._api, self._hand, self._turn.pack
        index, size = first - 1, 0
        for body in bodies:
            index += 1
            hand[IN_HAND] = index
            args["streamInput"] = {"message": body, "origin": origin}
            result = start(args, api)
            if result is not None and own is not None:
                blob = pack(result)
                size += len(blob)
                if size > SPILL_BYTES:
                    if len(blob) > MESSAGE_BYTES_MAX:
                        raise size_error(len(blob))
                    self._turn.make_room()
                    size = len(blob)
                own.blobs.append(blob)
                own.indexes.append(index)


class StatefulCalls:
    """`onMessage(msg, origin)` of each registered listener; what it returns is nobody's."""

    def __init__(self, hand: Hand) -> None:
        self.listeners: list[Function] = []
        self._hand = hand

    def over(self, bodies: Sequence[Any], first: int, origin: str, own: Sends | None) -> None:  # noqa: ARG002  # a stateful node returns nothing
        hand, listeners = self._hand, self.listeners
        index = first - 1
        if len(listeners) == 1:
            on_message = listeners[0]
            for body in bodies:
                index += 1
                hand[IN_HAND] = index
                on_message(body, origin)
            return
        for body in bodies:
            index += 1
            hand[IN_HAND] = index
            for on_message in listeners:
                on_message(body, origin)


class Handler:
    """Takes frames through the calls. `first_call` is told how long the first call of a frame took (a sample)."""

    def __init__(self, calls: Calls, turn: Turn, hand: Hand, clock: Clock, first_call: Callable[[float], None]) -> None:
        self._calls = calls
        self._turn = turn
        self._hand = hand
        self._clock = clock
        self._first_call = first_call

    def handle(self, frame: InputFrame) -> list[Failure]:
        """Call for every message of the frame and hand on what was sent; gives those that failed."""
        failures: list[Failure] = []
        bodies = bodies_of(frame, failures)
        bad = {failure.index for failure in failures}
        hand = self._hand
        hand[IN_SESSION] = frame.session.number
        hand[IN_FRAME] = frame.sequence
        base = 0
        for segment in frame.segments:
            own = self._turn.begin(frame, segment, base)
            end = base + len(segment)
            if base == 0 and 0 not in bad:
                began = self._clock()
                self._range(bodies, 0, 1, frame.session.parent, own, failures)
                self._first_call(self._clock() - began)
                base = 1
            for first, last in _gaps(base, end, bad):
                self._range(bodies, first, last, frame.session.parent, own, failures)
            hand[IN_HAND] = NOTHING
            self._turn.commit()
            base = end
        return failures

    def _range(
        self, bodies: list[Any], first: int, last: int, origin: str, own: Sends | None, failures: list[Failure]
    ) -> None:
        while first < last:
            try:
                part = bodies if first == 0 and last == len(bodies) else bodies[first:last]
                self._calls.over(part, first, origin, own)
                return
            except Exception as error:  # noqa: BLE001  # a handler's error is its message's fate: it goes to the dead letters
                first = self._hand[IN_HAND]
                failures.append(Failure(first, bodies[first], error))
                self._turn.roll_back()
                first += 1


def bodies_of(frame: InputFrame, failures: list[Failure]) -> list[Any]:
    """The frame's messages; one that does not unpack is added to `failures` and keeps its place."""
    try:
        return unpack(frame.body)
    except UNPACK_ERRORS:
        bodies = unpack_each(frame.body, frame.count)
        failures += [Failure(i, body.blob, body) for i, body in enumerate(bodies) if isinstance(body, BadBody)]
        return bodies


def _gaps(first: int, last: int, bad: set[int]) -> list[tuple[int, int]]:
    """The parts of first..last without the bad indexes."""
    if not bad:
        return [(first, last)] if first < last else []
    gaps = []
    for index in sorted(i for i in bad if first <= i < last):
        if first < index:
            gaps.append((first, index))
        first = index + 1
    if first < last:
        gaps.append((first, last))
    return gaps
