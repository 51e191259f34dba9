"""Messages whose handler has raised and is to be called for them again: they wait aside, and their neighbours go on.

A retry that stood in the way of what follows would let one bad message stop a node for as long as it is tried. So it is
copied out of its frame as it came (its handler may have changed the object), waits for its time by the
instance's clock, and is then a frame by itself: the same ids, so that what is sent for it has the ids that it would
have had, and the same place for whoever asks what was in hand at a death. Its own frame stays open for it, so it counts
as unsettled, and an end waits for it. Of a batch each message is tried by itself, so that only the guilty ones fail for
good. What waits is bounded: beyond that, nothing else is begun.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush

from streamer.limits import RETRIES_BYTES_MAX, RETRIES_MESSAGES_MAX
from streamer.plan.assignment import OnError
from streamer.protocol.buffers import Bulky
from streamer.protocol.codec import cut_out, join
from streamer.protocol.frames import Data
from streamer.protocol.input_frame import InputFrame
from streamer.protocol.segment import Segment
from streamer.runtime.letters import Failure


class RetriedFrame(InputFrame):
    """One message of `origin`, which waits for it; `attempts` counts the call that is to come.

    The first one failed at `failed_at`.
    """

    __slots__ = ("_index", "attempts", "failed_at", "origin")

    def __init__(
        self, origin: InputFrame, index: int, segment: Segment, blob: bytes, attempts: int, failed_at: float
    ) -> None:
        data = Data(origin.sequence, [segment], 1, join([blob]), False)
        if isinstance(blob, Bulky):
            data.buffers = blob.buffers
        super().__init__(origin.session, data, 0.0)
        self.alone = origin.alone
        self.origin = origin
        self._index = index
        self.attempts = attempts
        self.failed_at = failed_at
        origin.open += 1
        origin.aside += (range(index, index + 1),)

    @property
    def base(self) -> int:
        return self._index

    @property
    def waiting(self) -> Sequence[range]:
        """It has failed again, and another one waits in its place."""
        return (range(1),) if self.origin.aside.count(range(self._index, self._index + 1)) > 1 else ()

    def again(self, index: int) -> int | None:
        return self.origin.again(self._index + index)

    def settle(self, count: int) -> None:
        self.open -= count
        if self.open == 0:
            origin, index = self.origin, self._index
            origin.dead += [index] * len(self.dead)
            origin.dropped += [index] * len(self.dropped)
            left = list(origin.aside)
            left.remove(range(index, index + 1))
            origin.aside = tuple(left)
            origin.settle(1)
            self.tell_watches(set())


class Retries:
    """Of one instance; all calls come under its lock. `waiting` are frames with their times and numbers, a heap."""

    def __init__(self, policy: OnError) -> None:
        self._policy = policy
        self._bytes = 0
        self._count = 0
        self.waiting: list[tuple[float, int, RetriedFrame]] = []

    @property
    def full(self) -> bool:
        return len(self.waiting) >= RETRIES_MESSAGES_MAX or self._bytes >= RETRIES_BYTES_MAX

    def take(self, frame: InputFrame, failures: Sequence[Failure], now: float) -> Sequence[Failure]:
        """Let those wait that may be tried again; gives the others. The frame still has its body."""
        if frame.attempts > self._policy.limit:
            return failures
        again = [failure.index for failure in failures if failure.raised is not None]
        blobs = cut_out(frame.body, frame.count, frame.buffers, set(again))
        due_s = now + self._policy.delay_s_after(frame.attempts)
        for index in again:
            if index in blobs:
                self._put(frame, index, blobs[index], now, due_s)
        return [failure for failure in failures if failure.index not in blobs]

    def _put(self, frame: InputFrame, index: int, blob: bytes, now: float, due_s: float) -> None:
        segment, place = frame.place(index)
        origin = frame.origin if isinstance(frame, RetriedFrame) else frame
        one = segment.cut(place, place + 1)
        failed_at = now if frame.failed_at is None else frame.failed_at
        retried = RetriedFrame(origin, frame.base + index, one, blob, frame.attempts + 1, failed_at)
        retried.arrived_at = due_s
        self._count += 1
        self._bytes += retried.size
        heappush(self.waiting, (due_s, self._count, retried))

    def next(self, now: float) -> RetriedFrame | None:
        """The one that is due, if one is."""
        if not self.waiting or self.waiting[0][0] > now:
            return None
        _, _, frame = heappop(self.waiting)
        self._bytes -= frame.size
        return frame

    def wait_s(self, now: float) -> float | None:
        """Seconds until one is due; None if none waits."""
        return max(0.0, self.waiting[0][0] - now) if self.waiting else None
