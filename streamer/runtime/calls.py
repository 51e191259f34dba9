"""Calling the user's function for each message of a frame: the innermost loop of the engine.

Per message it costs one store (which message is in hand, in a page that survives a kill), the call, and the packing of
what it returns. A call that raises ends the loop with what is in hand named (one message, or the whole of a batch);
`Handler` takes back what that call sent, notes the failure and goes on behind it, so one bad message never harms its
frame. Each form of a handler has a class of its own, chosen once: a plain function pays nothing for the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Protocol, cast

from streamer.clock import Clock
from streamer.errors import MessageError, StreamerError, VersionError
from streamer.limits import FRAME_MESSAGES_MAX, LARGE_BYTES, SPILL_BYTES
from streamer.protocol.buffers import LargeArrayError
from streamer.protocol.codec import UNPACK_ERRORS, BadBody, pack_large, unpack, unpack_each
from streamer.protocol.input_frame import InputFrame
from streamer.protocol.segment import INDEXES
from streamer.runtime.algorithm import Function
from streamer.runtime.letters import TOO_LATE, Failure
from streamer.runtime.turn import IN_BASE, IN_FRAME, IN_HAND, IN_MORE, IN_SESSION, NOTHING, Hand, Sends, Turn

_WEIGHTY = SPILL_BYTES // FRAME_MESSAGES_MAX
"""A returned message of this size is weighed: of smaller ones, a frame's worth cannot outgrow memory."""


class Calls(Protocol):
    """How messages are handed to the user's code."""

    @property
    def whole(self) -> bool:
        """Whether one call takes all that it can get, so that a frame is not to be cut for a sample."""

    def over(self, bodies: Sequence[Any], first: int, origin: str, own: Sends | None) -> None:
        """Call for `bodies`, the first of which has index `first`. Raises what the user's code raises."""


class StatelessCalls:
    """`start(args, api)` once per message; what it returns continues the message's flow, nothing filters."""

    whole = False

    def __init__(self, start: Function, args: dict[str, Any], api: object, turn: Turn, hand: Hand) -> None:
        self._start = start
        self._args = args
        self._api = api
        self._turn = turn
        self._hand = hand

    def over(self, bodies: Sequence[Any], first: int, origin: str, own: Sends | None) -> None:
        start, args, api, hand, turn = self._start, self._args, self._api, self._hand, self._turn
        pack = turn.pack
        if own is not None:
            add_blob, add_index = own.blobs.append, own.indexes.append
        for index, body in zip(islice(INDEXES, first, None), bodies, strict=False):
            hand[IN_HAND] = turn.index = index
            args["streamInput"] = {"message": body, "origin": origin}
            result = start(args, api)
            if result is not None:
                if own is None:
                    turn.take_each(result)
                    continue
                try:
                    blob = pack(result)
                except LargeArrayError:
                    blob = pack_large(pack, result)
                except TypeError:
                    if not turn.take_each(result):
                        raise
                    continue
                if len(blob) >= _WEIGHTY:
                    blob = pack_large(pack, result) if type(blob) is bytes and len(blob) >= LARGE_BYTES else blob
                    turn.weigh(len(blob))
                    pack = turn.pack
                add_blob(blob)
                add_index(index)


class GeneratorCalls:
    """`start(args, api)` is a generator function: each value that it yields continues the message's flow."""

    whole = False

    def __init__(self, start: Function, args: dict[str, Any], api: object, turn: Turn, hand: Hand) -> None:
        self._start = start
        self._args = args
        self._api = api
        self._turn = turn
        self._hand = hand

    def over(self, bodies: Sequence[Any], first: int, origin: str, own: Sends | None) -> None:  # noqa: ARG002  # the turn knows where values go
        for index, body in enumerate(bodies, first):
            self._hand[IN_HAND] = self._turn.index = index
            self._args["streamInput"] = {"message": body, "origin": origin}
            self._turn.take_each(self._start(self._args, self._api))


class BatchCalls:
    """`onMessages(messages, api)` once for all messages at hand; a list that it returns answers them one by one."""

    whole = True

    def __init__(self, on_messages: Function, api: object, turn: Turn, hand: Hand) -> None:
        self._on_messages = on_messages
        self._api = api
        self._turn = turn
        self._hand = hand

    def over(self, bodies: Sequence[Any], first: int, origin: str, own: Sends | None) -> None:  # noqa: ARG002  # all of a frame have one origin
        self._hand[IN_MORE] = len(bodies) - 1
        self._hand[IN_HAND] = self._turn.index = first
        answers = self._on_messages(list(bodies), self._api)
        self._turn.join(first, len(bodies))
        answer_each(self._turn, answers, first, len(bodies))


def answer_each(turn: Turn, answers: object, first: int, count: int) -> None:
    """Send what `onMessages` has returned. Raises MessageError if it is no answer to so many messages."""
    if answers is None:
        return
    listed = _listed(answers)
    if listed is None or len(listed) != count:
        got = f"a value of type {type(answers).__name__}" if listed is None else f"a list of {len(listed)}"
        raise MessageError(
            f"onMessages was given {count} messages and returned {got}",
            remedy="Return nothing, or a list (or array) with one answer (or None) for each message, in their order.",
        )
    for index, answer in enumerate(listed, first):
        if answer is not None:
            turn.answer(answer, index)


def _listed(answers: object) -> Sequence[object] | None:
    """The answers in a list, a tuple, or an array of one dimension or more; None for anything else."""
    if isinstance(answers, list | tuple):
        return answers
    shape = getattr(answers, "shape", None)
    return list(cast("Any", answers)) if hasattr(answers, "dtype") and shape else None


class StatefulCalls:
    """`onMessage(msg, origin)` of each registered listener; what it returns is nobody's.

    `batch_listeners` get all messages at hand in one call: `onMessages(messages, origin)`.
    """

    def __init__(self, turn: Turn, hand: Hand) -> None:
        self.listeners: list[Function] = []
        self.batch_listeners: list[Function] = []
        self._keeps_state = False
        self._left: Iterator[tuple[int, Any]] = iter(())
        self._turn = turn
        self._hand = hand

    @property
    def whole(self) -> bool:
        return bool(self.batch_listeners)

    @property
    def registered(self) -> bool:
        return bool(self.listeners or self.batch_listeners)

    def keep_state(self) -> None:
        """From the next call on the writes of a call are taken back if it raises. The call at work may have asked."""
        self._keeps_state = True
        self._left = iter(list(self._left))  # which ends the loop at work

    def listen(self, on_message: Function) -> None:
        """Raises StreamerError if there are batch listeners."""
        self._one_kind(self.batch_listeners)
        self.listeners.append(on_message)

    def listen_to_batches(self, on_messages: Function) -> None:
        """Raises StreamerError if there are listeners of single messages."""
        self._one_kind(self.listeners)
        self.batch_listeners.append(on_messages)

    @staticmethod
    def _one_kind(others: list[Function]) -> None:
        if others:
            raise StreamerError(
                "listeners of single messages and of batches were registered at one node",
                remedy="Register one kind: registerInputListener, or registerBatchListener.",
            )

    def over(self, bodies: Sequence[Any], first: int, origin: str, own: Sends | None) -> None:  # noqa: ARG002  # a stateful node returns nothing
        hand, turn, listeners = self._hand, self._turn, self.listeners
        if self.batch_listeners:
            self._over_batch(bodies, first, origin)
            return
        self._left = left = zip(islice(INDEXES, first, None), bodies, strict=False)
        if self._keeps_state:
            self._over_kept(origin)
            return
        if len(listeners) == 1:
            on_message = listeners[0]
            for index, body in left:
                hand[IN_HAND] = turn.index = index
                on_message(body, origin)
        else:
            for index, body in left:
                hand[IN_HAND] = turn.index = index
                for on_message in listeners:
                    on_message(body, origin)
        if self._keeps_state:
            self._over_kept(origin)

    def _over_kept(self, origin: str) -> None:
        """Make the calls that are left; what they write to keyed state is taken back if they raise."""
        hand, turn, listeners = self._hand, self._turn, self.listeners
        if len(listeners) == 1 and turn.state is not None and turn.keys is None:
            on_message, undo = listeners[0], turn.state.undo
            for index, body in self._left:
                hand[IN_HAND] = turn.index = index
                undo.last = None
                on_message(body, origin)
            return
        for index, body in self._left:
            hand[IN_HAND] = turn.index = index
            turn.enter_state(body)
            for on_message in listeners:
                on_message(body, origin)

    def _over_batch(self, bodies: Sequence[Any], first: int, origin: str) -> None:
        self._hand[IN_MORE] = len(bodies) - 1
        self._hand[IN_HAND] = self._turn.index = first
        self._turn.enter_state(bodies[0])
        for on_messages in self.batch_listeners:
            on_messages(list(bodies), origin)
        self._turn.join(first, len(bodies))


class Handler:
    """Takes frames through the calls. `first_call` is told how long the first call of a frame took (a sample).

    `in_place_s` gives the seconds after which a call that has failed so often is to be made again at once, and `pause`
    lets them pass.
    """

    def __init__(
        self,
        calls: Calls,
        turn: Turn,
        hand: Hand,
        clock: Clock,
        first_call: Callable[[float], None],
        in_place_s: Callable[[int], float | None],
        pause: Callable[[float], None],
    ) -> None:
        self._in_place_s = in_place_s
        self._pause = pause
        self._calls = calls
        self._turn = turn
        self._hand = hand
        self._clock = clock
        self._first_call = first_call

    def handle(self, frame: InputFrame) -> list[Failure]:
        """Call for every message of the frame and hand on what was sent; gives those that failed."""
        failures: list[Failure] = []
        bodies = bodies_of(frame, failures)
        bad = {failure.index for failure in failures} | set(frame.repeats)
        hand = self._hand
        hand[IN_SESSION] = frame.session.number
        hand[IN_FRAME] = frame.sequence
        hand[IN_BASE] = frame.base
        base = 0
        for segment in frame.segments:
            own = self._turn.begin(frame, segment, base)
            end = base + len(segment)
            if base == 0 and 0 not in bad:
                last = min((end, *bad)) if self._calls.whole else 1
                began = self._clock()
                self._range(bodies, 0, last, frame.session.parent, own, failures)
                self._first_call((self._clock() - began) / last)
                base = last
            for first, last in gaps(base, end, bad):
                self._range(bodies, first, last, frame.session.parent, own, failures)
            hand[IN_HAND] = NOTHING
            hand[IN_MORE] = 0
            self._turn.commit()
            base = end
        return failures

    def _range(
        self, bodies: list[Any], first: int, last: int, origin: str, own: Sends | None, failures: list[Failure]
    ) -> None:
        failed, attempts, failed_at = -1, 0, 0.0
        while first < last:
            try:
                part = bodies if first == 0 and last == len(bodies) else bodies[first:last]
                self._calls.over(part, first, origin, own)
                return
            except Exception as error:  # noqa: BLE001  # a handler's error is its message's fate: it goes to the dead letters
                first = self._hand[IN_HAND]
                behind = first + self._hand[IN_MORE] + 1
                self._turn.roll_back()
                attempts = attempts + 1 if failed == first else 1
                failed = first
                failed_at = self._clock() if attempts == 1 else failed_at
                if (delay_s := self._in_place_s(attempts)) is not None:
                    self._hand[IN_HAND] = NOTHING
                    self._pause(delay_s)
                    continue
                failures += [Failure(index, error, attempts, failed_at) for index in range(first, behind)]
                first = behind


def bodies_of(frame: InputFrame, failures: list[Failure]) -> list[Any]:
    """The frame's messages; one that does not unpack, or is too late, is added to `failures` and keeps its place."""
    try:
        bodies = unpack(frame.body, frame.buffers)
    except UNPACK_ERRORS:
        bodies = unpack_each(frame.body, frame.count)
        failures += [Failure(i, body) for i, body in enumerate(bodies) if isinstance(body, BadBody)]
    for those in frame.late:
        failures += [Failure(i, VersionError(TOO_LATE)) for i in those if not isinstance(bodies[i], BadBody)]
    return bodies


def gaps(first: int, last: int, bad: set[int]) -> list[tuple[int, int]]:
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
