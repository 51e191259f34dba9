"""What a dead letter says, for each way in which a message can be given up.

Handlers fail, records and bodies cannot be read, loops run too long, messages kill their instance: each is known at
another place of the runtime, and all of them must tell the same things (message, route, error, id). The store behind it
makes them durable before the message counts as dead-lettered.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from traceback import TracebackException

import msgpack

import streamer
from streamer.clock import Clock
from streamer.connectors.base import BadRecord
from streamer.connectors.json_form import to_json
from streamer.errors import MessageError, VersionError
from streamer.limits import CRASH_ATTEMPTS_MAX
from streamer.plan.assignment import Assignment
from streamer.protocol.chunk import Chunk
from streamer.protocol.codec import BadBody, cut_out, pack_message, packer
from streamer.protocol.identity import MessageId
from streamer.protocol.input_frame import InputFrame
from streamer.protocol.partition import AnyEdge
from streamer.protocol.segment import Segment
from streamer.runtime.stores import LetterStore
from streamer.state.dead_letters import DeadLetter, shortened

TOO_LATE = "it came by a version of the flows that is over: all that was known of that version was settled"
_OURS = f"{Path(streamer.__file__).parent}{os.sep}"
_STANDARD = f"{Path(os.__file__).parent}{os.sep}"
_INSTALLED = (f"{_STANDARD}site-packages{os.sep}", f"{_STANDARD}dist-packages{os.sep}")
_USED_BY_US = (_STANDARD, "<frozen ", "msgpack/", f"{Path(msgpack.__file__).parent}{os.sep}")
"""Files whose functions the engine calls: what executes a file of the user, and what packs a message."""


class Failure:
    """A message that was not handled: its index in the frame, and why.

    `raised` is what its handler has raised; `attempts` counts its calls, where they were not those of its frame, and
    `failed_at` is when the first of them failed.
    """

    __slots__ = ("attempts", "bad", "error", "failed_at", "index", "raised", "reason", "traceback")

    def __init__(
        self, index: int, error: BaseException | BadBody, attempts: int = 0, failed_at: float | None = None
    ) -> None:
        self.index = index
        self.attempts = attempts if attempts > 1 else 0
        self.failed_at = failed_at if attempts > 1 else None
        self.bad: bytes | None = None
        self.raised: BaseException | None = None
        if isinstance(error, BadBody):
            self.bad, self.reason, self.error, self.traceback = error.blob, "unreadable", error.reason, ""
        elif isinstance(error, VersionError):
            self.reason, self.error, self.traceback = "flow version", str(error), ""
        else:
            self.raised = error
            self.reason = "handler"
            self.error = f"{type(error).__name__}: {error}"
            self.traceback = user_traceback(error)


def user_traceback(error: BaseException) -> str:
    """The traceback of an error in user code, with what it came from, without the engine's own frames.

    What the engine does above the user's code, and below it where that calls the api, tells the user nothing; nor does
    an error that the engine was handling by itself.
    """
    told = TracebackException.from_exception(error, compact=True)
    left = [told]
    while left:
        one = left.pop()
        _trim(one)
        if one.__context__ is not None and one.__cause__ is None and not _trim(one.__context__):
            one.__context__ = None
        left += [inner for inner in (one.__cause__, one.__context__, *(one.exceptions or ())) if inner is not None]
    return shortened("".join(told.format()))


def has_user_frames(error: BaseException) -> bool:
    """Whether code that is not the engine's had a part in it; else it is a defect of the engine, or of its machine."""
    return _trim(TracebackException.from_exception(error, compact=True))


def _trim(told: TracebackException) -> bool:
    """Whether frames of the user are left. Those of a library that the engine has called are the engine's."""
    users, ours = [], False
    for frame in told.stack:
        name = frame.filename
        library = name.startswith(_USED_BY_US) and not name.startswith(_INSTALLED)
        ours = name.startswith(_OURS) or (ours and library)
        if not ours:
            users.append(frame)
    told.stack[:] = users
    return bool(users)


Position = Callable[[int], tuple[str, int, int]]
"""Flow, occurrence and version of a route."""


class Letters:
    """Writes the letters of one instance. What was seen at a time of its `clock` is told by `wall`."""

    def __init__(
        self, assignment: Assignment, store: LetterStore, clock: Clock, wall: Clock, position: Position
    ) -> None:
        self._a = assignment
        self._position = position
        self._store = store
        self._clock = clock
        self._wall = wall

    def failed(self, frame: InputFrame, failures: Sequence[Failure]) -> None:
        """Messages of a frame that were given up here."""
        packed = cut_out(frame.body, frame.count, frame.buffers, {failure.index for failure in failures})
        letters = []
        for failure in failures:
            segment, index = frame.place(failure.index)
            blob = packed.get(failure.index, b"") if failure.bad is None else failure.bad
            letters.append(
                self._letter(
                    failure.reason, failure.error, failure.traceback, self._a.node, frame.session.parent,
                    segment, index, failure.attempts or frame.attempts, blob, frame.again(failure.index),
                    frame.failed_at if failure.failed_at is None else failure.failed_at,
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

    def too_late(self, segment: Segment, blobs: Sequence[bytes]) -> None:
        """Roots of this node by a version of the flows that is over."""
        node = self._a.node
        self._store.append(
            [
                self._letter("flow version", TOO_LATE, "", node, node, segment, at, 0, blob, None)
                for at, blob in enumerate(blobs)
            ]
        )

    def unreadable(self, origin: int, records: Sequence[BadRecord]) -> None:
        """Records of this source that could not be read."""
        pack = packer()
        a = self._a
        self._store.append(
            [
                DeadLetter(
                    self._wall(), a.node, a.instance, "unreadable record", f"{bad.place}: {bad.error}", "", "",
                    a.node, bad.place, str(MessageId(origin, bad.position, 0)), 1, pack_message(pack, bad.text),
                )
                for bad in records
            ]
        )  # fmt: skip

    def unpackable(self, origin: int, position: int, value: object, error: MessageError) -> None:
        """A record of this source that cannot travel: it is kept in its JSON form."""
        a = self._a
        self._store.append(
            [
                DeadLetter(
                    self._wall(), a.node, a.instance, "unpackable record", f"{type(error).__name__}: {error}", "", "",
                    a.node, a.node, str(MessageId(origin, position, 0)), 1, pack_message(packer(), to_json(value)),
                )
            ]
        )  # fmt: skip

    def _of_chunk(self, edge: AnyEdge, chunk: Chunk, reason: str, error: str, attempts: int) -> DeadLetter:
        return self._letter(
            reason, error, "", edge.target, self._a.node, chunk.segment, 0, attempts, chunk.blobs[0], None,
            edge.accused_at(chunk.segment.id(0)),
        )  # fmt: skip

    def _letter(
        self,
        reason: str,
        error: str,
        trace: str,
        target: str,
        source: str,
        segment: Segment,
        index: int,
        attempts: int,
        packed: bytes,
        again: int | None,
        failed_at: float | None = None,
    ) -> DeadLetter:
        now_s = self._wall()
        flow, occurrence, version = self._position(segment.route)
        return DeadLetter(
            time_s=now_s,
            first_s=None if failed_at is None else now_s - (self._clock() - failed_at),
            node=self._a.node,
            instance=self._a.instance,
            reason=reason,
            error=error,
            traceback=trace,
            flow=flow,
            target=target,
            source=source,
            message_id=str(segment.id(index)),
            attempts=attempts,
            packed=packed,
            headers=segment.headers[index] if segment.headers is not None else None,
            occurrence=occurrence,
            version=version,
            again=again,
        )
