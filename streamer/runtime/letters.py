"""What a dead letter says, for each way in which a message can be given up.

Handlers fail, records and bodies cannot be read, loops run too long, messages kill their instance: each is known at
another place of the runtime, and all of them must tell the same things (message, route, error, id). The store behind it
makes them durable before the message counts as dead-lettered.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from streamer.clock import Clock
from streamer.connectors.base import BadRecord
from streamer.errors import VersionError
from streamer.limits import CRASH_ATTEMPTS_MAX
from streamer.plan.assignment import Assignment
from streamer.protocol.chunk import Chunk
from streamer.protocol.codec import UNPACK_ERRORS, BadBody, unpack_one
from streamer.protocol.identity import MessageId
from streamer.protocol.partition import AnyEdge
from streamer.protocol.segment import Segment
from streamer.runtime.dead_letters import DeadLetter

TOO_LATE = "it came by a version of the flows that is over: all that was known of that version was settled"
_NOT_USERS = {__name__.partition(".")[0], "importlib", "runpy"}
"""Packages whose frames stand above user code."""


class LetterStore(Protocol):
    """Where letters become durable; they survive a kill when `append` returns."""

    def append(self, records: Sequence[DeadLetter]) -> None: ...


class Failure:
    """A message that was not handled: its index in the frame, what it was, and why."""

    __slots__ = ("error", "index", "message", "reason", "traceback")

    def __init__(self, index: int, message: object, error: BaseException | BadBody) -> None:
        self.index = index
        self.message = message
        if isinstance(error, BadBody):
            self.message, self.reason, self.error, self.traceback = error.blob, "unreadable", error.reason, ""
        elif isinstance(error, VersionError):
            self.reason, self.error, self.traceback = "flow version", str(error), ""
        else:
            self.reason = "handler"
            self.error = f"{type(error).__name__}: {error}"
            self.traceback = user_traceback(error)


def user_traceback(error: BaseException) -> str:
    """The traceback of an error in user code, without the engine's own frames above it."""
    frames = traceback.extract_tb(error.__traceback__)
    modules = [str(frame.f_globals.get("__name__", "")) for frame, _ in traceback.walk_tb(error.__traceback__)]
    first = next((i for i, name in enumerate(modules) if name.partition(".")[0] not in _NOT_USERS), 0)
    lines = traceback.format_list(frames[first:]) + traceback.format_exception_only(error)
    return "Traceback (most recent call last):\n" + "".join(lines)


class Letters:
    """Writes the letters of one instance. `flow_of` gives the flow of a route."""

    def __init__(self, assignment: Assignment, store: LetterStore, wall: Clock, flow_of: Callable[[int], str]) -> None:
        self._a = assignment
        self._flow_of = flow_of
        self._store = store
        self._wall = wall

    def failed(self, origin: str, segments: Sequence[Segment], failures: Sequence[Failure]) -> None:
        """Messages that came from node `origin` and were given up here."""
        letters = []
        for failure in failures:
            segment, index = _place(segments, failure.index)
            flow = self._flow_of(segment.route)
            letters.append(
                self._letter(
                    failure.reason, failure.error, failure.traceback, flow, self._a.node, origin,
                    segment.id(index), 1, failure.message,
                )
            )  # fmt: skip
        self._store.append(letters)

    def crashed(self, edge: AnyEdge, chunks: Sequence[Chunk]) -> None:
        """Messages that were in hand at too many deaths of instances of the edge's target."""
        error = f"in hand when {CRASH_ATTEMPTS_MAX} instances of node {edge.target!r} died"
        self._store.append([self._of_chunk(edge, c, "crash", error, CRASH_ATTEMPTS_MAX) for c in chunks])

    def undelivered(self, edge: AnyEdge, chunk: Chunk, reason: str, error: str) -> None:
        """Messages that were not to be sent on into this edge."""
        count = len(chunk.blobs)
        self._store.append([self._of_chunk(edge, chunk.cut(i, i + 1), reason, error, 0) for i in range(count)])

    def unreadable(self, origin: int, records: Sequence[BadRecord]) -> None:
        """Records of this source that could not be read."""
        self._store.append(
            [
                self._letter(
                    "unreadable record", f"{bad.place}: {bad.error}", "", "", self._a.node, bad.place,
                    MessageId(origin, bad.position, 0), 1, bad.text,
                )
                for bad in records
            ]
        )  # fmt: skip

    def _of_chunk(self, edge: AnyEdge, chunk: Chunk, reason: str, error: str, attempts: int) -> DeadLetter:
        flow = self._flow_of(chunk.segment.route)
        message: Any
        try:
            message = unpack_one(chunk.blobs[0])
        except UNPACK_ERRORS:
            message = chunk.blobs[0]
        who = chunk.segment.id(0)
        return self._letter(reason, error, "", flow, edge.target, self._a.node, who, attempts, message)

    def _letter(
        self,
        reason: str,
        error: str,
        trace: str,
        flow: str,
        target: str,
        source: str,
        who: MessageId,
        attempts: int,
        message: object,
    ) -> DeadLetter:
        return DeadLetter(
            time_s=self._wall(),
            node=self._a.node,
            instance=self._a.instance,
            reason=reason,
            error=error,
            traceback=trace,
            flow=flow,
            target=target,
            source=source,
            message_id=str(who),
            attempts=attempts,
            message=message,
        )


def _place(segments: Sequence[Segment], index: int) -> tuple[Segment, int]:
    for segment in segments:
        if index < len(segment):
            return segment, index
        index -= len(segment)
    raise IndexError(index)
