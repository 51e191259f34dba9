"""A node's algorithm at work: stateless (`start` per message) or stateful (`start` once, listeners per message).

A stateful `start` belongs to the main thread and may send for as long as it lives; this class is told when it returns.
When the input has ended, or a node without input is drained, the user's `stop(args)` is called first, then `start` gets
a grace period to return, so that what it sends last still goes on its way.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from threading import Event
from typing import TYPE_CHECKING, Any

from streamer.errors import StreamerError
from streamer.limits import START_GRACE_S
from streamer.protocol.input_frame import InputFrame
from streamer.protocol.keys import KeyPath
from streamer.runtime.algorithm import Algorithm, Function, form_of
from streamer.runtime.api import Api
from streamer.runtime.calls import Handler, StatefulCalls
from streamer.runtime.letters import Failure
from streamer.runtime.turn import Undoing

if TYPE_CHECKING:
    # It brings asyncio with it, and is there only once a handler is async.
    from streamer.runtime.overlap import Overlap


class AlgorithmWork:
    """`calls` is given for a stateful node: it listens once its user says so, and its `start` runs elsewhere.

    `has_inputs` is asked again and again, since flows change while the job runs.
    `overlap` is there once a handler is `async`: frames go to it then.
    """

    unread = None

    def __init__(
        self,
        algorithm: Algorithm,
        args: dict[str, Any],
        api: Api,
        handler: Handler,
        calls: StatefulCalls | None,
        begin_overlap: Callable[[], Overlap],
        has_inputs: Callable[[], bool],
    ) -> None:
        self._algorithm = algorithm
        self._args = args
        self._api = api
        self._handler = handler
        self._begin_overlap = begin_overlap
        self.overlap: Overlap | None = begin_overlap() if calls is None and algorithm.form.overlaps else None
        self._calls = calls
        self._has_inputs = has_inputs
        self.listening = calls is None
        self._frames_left = 0
        self._draining = False
        self._stopped_by_user = False
        self._stop_deadline: float | None = None
        self.start_returned = Event()
        self._state: Undoing | None = None
        self._keys: KeyPath | None = None
        if calls is not None:
            api.listeners_go_to(self)

    # -- what the user's code asks for -----------------------------------------------------------------------------

    def listen(self, on_message: Function) -> None:
        assert self._calls is not None
        self._calls.listen(on_message)
        self._may_overlap(on_message)

    def listen_to_batches(self, on_messages: Function) -> None:
        assert self._calls is not None
        self._calls.listen_to_batches(on_messages)
        self._may_overlap(on_messages)

    def _may_overlap(self, listener: Function) -> None:
        if self.overlap is None and form_of(listener).overlaps:
            self.overlap = self._begin_overlap()
            if self._state is not None:
                self.overlap.keep(self._state, self._keys)
        self._check_batches()

    def keep(self, state: Undoing, keys: KeyPath | None) -> None:
        """The algorithm keeps state from now on, by the groups of these keys if its node is partitioned.

        Raises StreamerError.
        """
        self._state, self._keys = state, keys
        assert self._calls is not None
        self._check_batches()
        self._calls.keep_state()
        if self.overlap is not None:
            self.overlap.keep(state, keys)

    def _check_batches(self) -> None:
        """Raises StreamerError if state could not be told by the group of a message."""
        if self._state is not None and self._keys is not None and self._calls is not None and self._calls.whole:
            raise StreamerError(
                "a partitioned node that keeps api.state has a listener of batches",
                remedy="Register a listener of single messages: the state of a key belongs to one message at a time.",
            )

    def set_listening(self, on: bool, frames_left: int) -> None:
        """Begin to take frames, or stop after so many more; a node without input ends when it stops."""
        self.listening = on
        self._frames_left = frames_left
        self._stopped_by_user = not on

    def start(self) -> None:
        """Call the user's stateful `start`; listeners that it registered go on when it returns, stopped or not."""
        assert self._algorithm.start is not None
        started = self._algorithm.start(self._args, self._api)
        if inspect.iscoroutine(started):
            import asyncio  # every instance would wait for it at its start, and few need it

            asyncio.run(started)
        if self._calls is not None and self._calls.registered:
            self.listening = True

    # -- the port --------------------------------------------------------------------------------------------------

    @property
    def accepts(self) -> bool:
        wanted = self.listening or self._frames_left > 0
        return wanted and (self.overlap is None or self.overlap.accepts)

    @property
    def at_rest(self) -> bool:
        return self.overlap is None or self.overlap.idle

    @property
    def exhausted(self) -> bool:
        if self._draining or (self._calls is None and self._has_inputs()):
            return True
        return self._calls is not None and (self.start_returned.is_set() or self._stopped_by_user)

    def handle(self, frame: InputFrame) -> list[Failure] | None:
        if not self.listening:
            self._frames_left -= 1
        if self.overlap is not None:
            self._api.in_handler(True)
            self.overlap.take(frame)
            return None
        self._api.in_handler(True)
        try:
            return self._handler.handle(frame)
        finally:
            self._api.in_handler(False)

    def produce(self, now: float) -> bool:  # noqa: ARG002  # an algorithm sends by itself
        return False

    def wait_s(self, now: float) -> float | None:
        return None if self._stop_deadline is None else max(0.0, min(0.02, self._stop_deadline - now))

    def descriptors(self) -> tuple[int, ...]:
        return ()

    def drain(self) -> None:
        self._draining = True

    def finish(self, now: float) -> bool:
        if self.overlap is not None and not self.overlap.idle:
            return False
        if self._stop_deadline is None:
            self._stop_deadline = now + (START_GRACE_S if self._algorithm.stop else 0.0)
            if self._algorithm.stop is not None:
                self._algorithm.stop(self._args)
        return self._calls is None or self.start_returned.is_set() or now >= self._stop_deadline

    def settled(self) -> None:
        """Nothing to remember."""

    def close(self) -> None:
        if self._algorithm.exit is not None:
            self._algorithm.exit(self._args)
