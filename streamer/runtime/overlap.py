"""Handlers that wait: up to `concurrency` calls of `async` functions overlap, all in the message thread.

Messages of several frames may be in hand at once. So each call has a turn of its own, found through its context, which
collects what it sends and takes it back if it raises; and words of its own in the page that survives a kill, so that a
death accuses exactly what was in hand. What was accused is called alone the next time, or it would take innocents with
it again. The loop of the standard library runs in the message thread and watches the
wire's descriptors; a thread for it, or sockets of asyncio's own, would cost more than the calls.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import count
from typing import Any

from streamer.clock import Clock
from streamer.protocol.input_frame import InputFrame
from streamer.protocol.keys import KeyPath
from streamer.protocol.segment import Segment
from streamer.runtime.calls import bodies_of, gaps
from streamer.runtime.letters import Failure
from streamer.runtime.turn import IN_BASE, IN_FRAME, IN_HAND, IN_MORE, IN_SESSION, NOTHING, Hand, Turn, Undoing

Invoke = Callable[[Turn, list[Any], int, str], Awaitable[None]]
"""Call the user's function for these messages, the first of which has this index, from this node."""


Headers = Mapping[str, Any] | None


class _Call:
    """One call at work; `turn` is None once it is done, for tasks that it left behind."""

    __slots__ = ("turn",)

    def __init__(self, turn: Turn) -> None:
        self.turn: Turn | None = turn


_current: ContextVar[_Call | None] = ContextVar("streamer_call", default=None)


class ContextTurn:
    """Sends for the call in whose context it is asked; `root` is for what is in none."""

    def __init__(self, root: Callable[[object, str | None, Headers], None]) -> None:
        self._root = root

    @property
    def at_work(self) -> Turn | None:
        call = _current.get()
        return None if call is None else call.turn

    def send(self, message: object, flow: str | None, headers: Headers = None) -> None:
        turn = self.at_work
        if turn is None:
            self._root(message, flow, headers)
        else:
            turn.send(message, flow, headers)


class _Flight:
    """A frame of which calls are at work or still to be made."""

    __slots__ = ("bodies", "busy_s", "calls", "failures", "frame", "told")

    def __init__(self, frame: InputFrame) -> None:
        self.frame = frame
        self.failures: list[Failure] = []
        self.bodies = bodies_of(frame, self.failures)
        self.calls: deque[_Planned] = deque()
        self.busy_s = 0.0
        self.told = 0

    def plan(self, *, whole: bool) -> None:
        """One call for each message, or for all neighbours of a segment."""
        bad = {failure.index for failure in self.failures} | set(self.frame.repeats)
        base = 0
        for segment in self.frame.segments:
            for first, last in gaps(base, base + len(segment), bad):
                step = last - first if whole else 1
                self.calls.extend(_Planned(segment, base, at, at + step) for at in range(first, last, step))
            base += len(segment)


@dataclass(frozen=True, slots=True)
class _Planned:
    """A call for the messages `first` to before `last`, which lie in a segment that begins at index `base`."""

    segment: Segment
    base: int
    first: int
    last: int


class Overlap:
    """Takes frames and tells `finished(frame, failures, busy_s, told)` when all their calls are done.

    `busy_s` is the time of the calls divided by how many may overlap. Of `told` messages of the frame `ahead` was told
    when their call was done, so that credit for more is asked for before the slowest call is done. `in_place_s` gives
    the seconds after which a call that has failed so often is to be made again at once.
    """

    def __init__(
        self,
        invoke: Invoke,
        turns: Sequence[tuple[Turn, Hand]],
        clock: Clock,
        first_call: Callable[[float], None],
        ahead: Callable[[InputFrame, int], None],
        finished: Callable[[InputFrame, list[Failure], float, int], None],
        in_place_s: Callable[[int], float | None],
        *,
        whole: bool,
    ) -> None:
        self._invoke = invoke
        self._turns = turns
        self._free = list(turns)
        self._concurrency = len(turns)
        self._clock = clock
        self._first_call = first_call
        self._ahead = ahead
        self._finished = finished
        self._in_place_s = in_place_s
        self._whole = whole
        self._waiting: deque[_Flight] = deque()
        self._open: dict[_Flight, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._alone = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake: Callable[[], None] = lambda: None

    def begin(self, loop: asyncio.AbstractEventLoop, wake: Callable[[], None]) -> None:
        """The loop that runs the calls is there; `wake` is called when one of them is done."""
        self._loop = loop
        self._wake = wake
        self._fill()

    def keep(self, state: Undoing, keys: KeyPath | None) -> None:
        """Calls keep state from now on: they do not overlap any more, so that each can be taken back by itself."""
        self._concurrency = 1
        self._free = self._free[:1]
        for turn, _ in self._turns:
            turn.state, turn.keys = state, keys

    @property
    def accepts(self) -> bool:
        """Whether a call of another frame could begin now."""
        return self._loop is not None and not self._waiting and self._may_begin(alone=False)

    def _may_begin(self, *, alone: bool) -> bool:
        if len(self._free) == self._concurrency:
            return True
        return bool(self._free) and not self._alone and not alone

    @property
    def idle(self) -> bool:
        return not self._open

    def take(self, frame: InputFrame) -> None:
        """Begin with a frame, as soon as calls of earlier ones leave room."""
        flight = _Flight(frame)
        flight.plan(whole=self._whole)
        self._open[flight] = len(flight.calls)
        if flight.calls:
            self._waiting.append(flight)
            self._fill()
        else:
            self._close(flight)

    def _fill(self) -> None:
        while self._loop is not None and self._waiting and self._may_begin(alone=self._waiting[0].frame.alone):
            flight = self._waiting[0]
            self._alone = flight.frame.alone
            planned = flight.calls.popleft()
            if not flight.calls:
                self._waiting.popleft()
            task = self._loop.create_task(self._call(flight, planned, *self._free.pop()))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _call(self, flight: _Flight, planned: _Planned, turn: Turn, hand: Hand) -> None:
        frame, first, last = flight.frame, planned.first, planned.last
        turn.begin(frame, planned.segment, planned.base)
        hand[IN_SESSION] = frame.session.number
        hand[IN_FRAME] = frame.sequence
        hand[IN_BASE] = frame.base
        hand[IN_MORE] = last - first - 1
        hand[IN_HAND] = turn.index = first
        turn.enter_state(flight.bodies[first])
        call = _Call(turn)
        _current.set(call)
        began = self._clock()
        failed_at = 0.0
        for attempts in count(1):
            try:
                await self._invoke(turn, flight.bodies[first:last], first, frame.session.parent)
                break
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  # a handler's error is its message's fate: it goes to the dead letters
                turn.roll_back()
                failed_at = self._clock() if attempts == 1 else failed_at
                if (delay_s := self._in_place_s(attempts)) is None:
                    flight.failures += [Failure(index, error, attempts, failed_at) for index in range(first, last)]
                    break
            await asyncio.sleep(delay_s)
        call.turn = None
        hand[IN_HAND] = NOTHING
        turn.commit()
        took_s = self._clock() - began
        if first == 0:
            self._first_call(took_s / last)
        flight.busy_s += took_s
        self._free.append((turn, hand))
        self._done(flight, last - first)

    def _done(self, flight: _Flight, messages: int) -> None:
        self._open[flight] -= 1
        if self._open[flight]:
            flight.told += messages
            self._ahead(flight.frame, messages)
        else:
            self._close(flight)
        self._fill()
        self._wake()

    def _close(self, flight: _Flight) -> None:
        del self._open[flight]
        flight.failures.sort(key=lambda failure: failure.index)
        self._finished(flight.frame, flight.failures, flight.busy_s / self._concurrency, flight.told)
