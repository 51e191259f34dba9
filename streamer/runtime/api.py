"""The `api` object that the user's code gets: HKube's names, and snake_case names beside them.

It decides who is calling: a call from a handler, on the message thread, belongs to the message in hand; one from any
other place makes a root. Everything else is handed on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, Any, Protocol

from streamer.errors import HoldError, StreamerError
from streamer.runtime.algorithm import listener
from streamer.runtime.holds import Hold
from streamer.runtime.quick import NOBODY
from streamer.runtime.turn import Effect, Turn

if TYPE_CHECKING:
    from streamer.state.keyed import KeyedState  # most instances never need it


class Host(Protocol):
    """What the instance offers to its api."""

    def send_root(self, message: object, flow: str | None, headers: Mapping[str, Any] | None) -> None: ...

    def root_sender(self) -> Callable[[object], None]:
        """`send_root` for messages without headers along the default flow."""

    def ask_later(self, time_s: float, message: object, flow: str | None) -> Effect: ...

    def watch_roots(self, tell: Callable[[], None]) -> None: ...

    def call(self, function: Callable[[], object]) -> None: ...

    def set_listening(self, listening: bool, *, force: bool) -> None: ...

    @property
    def listening(self) -> bool: ...

    def statistics(self) -> Sequence[dict[str, Any]]: ...

    def reset(self, messages: int | None) -> int: ...

    def state(self, *, in_handler: bool) -> KeyedState: ...


class Sender(Protocol):
    """What sends for the message in hand."""

    @property
    def at_work(self) -> Turn | None:
        """The turn of the call at work; None outside of one."""

    def send(self, message: object, flow: str | None, headers: Mapping[str, Any] | None = None) -> None: ...


class Listeners(Protocol):
    """Where the listeners of a stateful node are kept."""

    def listen(self, on_message: Callable[..., Any]) -> None: ...

    def listen_to_batches(self, on_messages: Callable[..., Any]) -> None: ...


class Api:
    """HKube's streaming api. `turn` is None where the node handles no messages (it only sends)."""

    def __init__(self, host: Host, turn: Sender | None) -> None:
        self.handler_thread = NOBODY
        self._host = host
        self._turn = turn
        self._listeners: Listeners | None = None
        self._send_root = host.root_sender()
        self._handled_by: Callable[[int], None] | None = None
        if isinstance(turn, Turn):
            quick = turn.quick(self.sendMessage, self._send_root)
            self._handled_by = quick.handled_by
            vars(self).update(sendMessage=quick.send, send_message=quick.send)

    def in_handler(self, on: bool) -> None:
        """The calling thread begins (or stops) to call handlers."""
        self.handler_thread = get_ident() if on else NOBODY
        if self._handled_by is not None:
            self._handled_by(self.handler_thread)

    def sends_go_to(self, turn: Sender) -> None:
        """Whom the calls of handlers belong to is decided by `turn` from now on."""
        self._turn = turn

    def listeners_go_to(self, listeners: Listeners) -> None:
        """Where registered listeners are kept; without it, registering is refused."""
        self._listeners = listeners

    def sendMessage(self, msg: object, flowName: str | None = None, headers: Mapping[str, Any] | None = None) -> None:
        """Send to the next nodes of the message's flow, or along the flow named; `headers` beside those inherited."""
        if self._turn is not None and get_ident() == self.handler_thread:
            self._turn.send(msg, flowName, headers)
        else:
            self._host.send_root(msg, flowName, headers)

    @property
    def headers(self) -> dict[str, Any]:
        """Of the message in hand: what its senders have put there, down from its root; empty outside of a handler."""
        turn = self._at_work()
        return {} if turn is None else turn.headers

    def hold(self, timeout_s: float | None = None) -> Hold:
        """Do not settle the message in hand when the handler returns, but when the hold is ended, or its time is."""
        turn = self._at_work()
        if turn is None:
            raise HoldError("hold was called outside of the handler of a message")
        return turn.hold(timeout_s)

    def on_settled(self, callback: Callable[[], object]) -> None:
        """In a handler: once the message in hand is settled. Elsewhere: once all that was sent here so far is."""
        turn, tell = self._at_work(), partial(self._host.call, callback)
        if turn is None:
            self._host.watch_roots(tell)
        else:
            turn.watch(tell)

    @property
    def state(self) -> KeyedState:
        """Keyed state that checkpoints keep: what is written counts once for each message. Raises StreamerError."""
        if self._listeners is None:
            raise StreamerError(
                "api.state was used on a stateless node", remedy="Set stateType: stateful on a node that keeps state."
            )
        return self._host.state(in_handler=self._at_work() is not None)

    def emit_at(self, time_s: float, msg: object, flowName: str | None = None) -> None:
        """Send as a new root at a time, in seconds since 1970 (`time.time()`)."""
        turn, asked = self._at_work(), self._host.ask_later(time_s, msg, flowName)
        if turn is None:
            asked.take_effect()
        else:
            turn.effect(asked)

    def _at_work(self) -> Turn | None:
        return self._turn.at_work if self._turn is not None and get_ident() == self.handler_thread else None

    def registerInputListener(self, onMessage: Callable[..., Any]) -> None:
        """Have `onMessage(msg, origin)` called for each message, once listening has started."""
        self._kept("registerInputListener").listen(listener(onMessage))

    def registerBatchListener(self, onMessages: Callable[..., Any]) -> None:
        """Have `onMessages(messages, origin)` called for all messages at hand at once."""
        self._kept("registerBatchListener").listen_to_batches(listener(onMessages))

    def _kept(self, call: str) -> Listeners:
        if self._listeners is None:
            raise StreamerError(
                f"{call} was called on a stateless node",
                remedy="A stateless node gets its message in args['streamInput']; or set stateType: stateful.",
            )
        return self._listeners

    def startMessageListening(self) -> None:
        self._host.set_listening(True, force=False)

    def isListeningToMessages(self) -> bool:
        return self._host.listening

    def stopStreaming(self, force: bool = True) -> None:
        """Take no further messages (without `force`, after those that were received); a source's stream ends."""
        self._host.set_listening(False, force=force)

    def get_streaming_statistics(self) -> list[dict[str, Any]]:
        """Per next node: nodeName, sent, queueSize, netDurations, durations, queueDurations, responses, dropped."""
        return list(self._host.statistics())

    def resetQueue(self) -> None:
        """Drop what was sent here and not yet handed to a next node; it is counted as dropped."""
        self._host.reset(None)

    def resetQueuePartial(self, numberOfMessagesToRemove: int) -> None:
        """Drop the oldest so many of them."""
        self._host.reset(numberOfMessagesToRemove)

    send_message = sendMessage
    register_input_listener = registerInputListener
    register_batch_listener = registerBatchListener
    start_message_listening = startMessageListening
    is_listening_to_messages = isListeningToMessages
    stop_streaming = stopStreaming
    getStreamingStatistics = get_streaming_statistics
    reset_queue = resetQueue
    reset_queue_partial = resetQueuePartial
