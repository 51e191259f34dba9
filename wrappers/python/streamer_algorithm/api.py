"""The `api` that an instance hands to `start`, as a typed protocol.

The camelCase names are HKube's and stay, so that its algorithms come along unchanged; the snake_case names beside them
are the same calls for new code. A protocol and not a base class, because an algorithm's tests should be able to pass
any object that has the calls they need.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

OnMessage = Callable[[Any, str], object] | Callable[[Any], object]
"""`onMessage(msg, origin)` or `onMessage(msg)`: `origin` is the name of the node that sent the message."""

OnMessages = Callable[[list[Any], str], object] | Callable[[list[Any]], object]
"""`onMessages(messages, origin)` or `onMessages(messages)`: a batch, all of it from the node `origin`."""


class Hold(Protocol):
    """A message that is not settled when its handler returns. All calls may be made from any thread."""

    def settle(self) -> None:
        """The message is handled."""

    def fail(self, error: BaseException | str) -> None:
        """The message is given up: it goes to the dead letters."""

    def sendMessage(self, msg: object, flowName: str | None = None) -> None:
        """Send for the held message, as its handler would."""

    def send_message(self, msg: object, flow_name: str | None = None, /) -> None: ...


class StreamingApi(Protocol):
    """The calls of a streaming algorithm. They may be made from any thread."""

    def registerInputListener(self, onMessage: OnMessage) -> None:
        """Have `onMessage` called for each message, once `startMessageListening` was called."""

    def registerBatchListener(self, onMessages: OnMessages) -> None:
        """Have `onMessages` called for all messages at hand at once; a node has batch listeners or input listeners."""

    def startMessageListening(self) -> None:
        """Begin to take messages; each goes to all registered listeners."""

    def isListeningToMessages(self) -> bool: ...

    @property
    def headers(self) -> dict[str, Any]:
        """Of the message in hand: what its senders have put there, down from its root; empty outside of a handler."""

    def sendMessage(self, msg: object, flowName: str | None = None, headers: Mapping[str, Any] | None = None) -> None:
        """Send `msg` to the next nodes of its flow, or along the flow named.

        The message is packed before the call returns, so the object may be used again. Raises if it does not pack, is
        over the size limit, or if the flow does not exist or has no next node here. Waits while they are full.
        """

    def hold(self, timeout_s: float | None = None) -> Hold:
        """In a handler: do not settle the message when the handler returns, but when the hold is ended, or given up."""

    def on_settled(self, callback: Callable[[], object]) -> None:
        """In a handler: once its message is settled. Elsewhere: once all that this instance has sent so far is."""

    def emit_at(self, time_s: float, msg: object, flowName: str | None = None) -> None:
        """Send as a message of its own at a time, in seconds since 1970 (`time.time()`)."""

    def stopStreaming(self, force: bool = True) -> None:
        """Take no further messages; with `force=False` those already received are handled first."""

    def get_streaming_statistics(self) -> list[dict[str, Any]]:
        """For each next node: nodeName, sent, queueSize, dropped, responses, and durations in milliseconds."""

    def resetQueue(self) -> None:
        """Drop all messages that were sent here and not yet handed to a next node; they are counted as dropped."""

    def resetQueuePartial(self, numberOfMessagesToRemove: int) -> None:
        """Drop the oldest so many of them."""

    # Positional, because an instance takes HKube's names for the parameters.
    def register_input_listener(self, on_message: OnMessage, /) -> None: ...

    def register_batch_listener(self, on_messages: OnMessages, /) -> None: ...

    def start_message_listening(self) -> None: ...

    def is_listening_to_messages(self) -> bool: ...

    def send_message(
        self, msg: object, flow_name: str | None = None, headers: Mapping[str, Any] | None = None, /
    ) -> None: ...

    def stop_streaming(self, force: bool = True) -> None: ...

    def reset_queue(self) -> None: ...

    def reset_queue_partial(self, number_of_messages_to_remove: int, /) -> None: ...
