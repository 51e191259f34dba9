"""Messages that their handler has not done with when it returns: held until the user's code says so, for so long.

A handler that gives its work to somebody else (a thread, a service that calls back) may hold what is in hand. A hold
counts as one more thing that its frame is open for, so nothing else of the engine knows of it; what is sent through it
are children of the message, as if the handler had sent them, and like those they are not sent if the handler raises.
Who never ends a hold would stop its source at last, so a hold that outlives its time gives the message up.
"""

from __future__ import annotations

from threading import Condition
from typing import Protocol

from streamer.clock import Clock
from streamer.errors import HoldError, OverloadError
from streamer.limits import HOLD_S_MAX, SPILL_BYTES
from streamer.protocol.codec import careful, pack_message, packer
from streamer.protocol.input_frame import InputFrame
from streamer.protocol.segment import Segment, children
from streamer.runtime.exits import Exits
from streamer.runtime.failures import Failures
from streamer.runtime.letters import Failure
from streamer.runtime.outbox import Outbox
from streamer.runtime.root_sending import RootSending

_LATER = 1 << 32
"""Children that are sent through a hold are numbered from here, apart from those that the handler has sent."""


class Holder(Protocol):
    """The instance."""

    lock: Condition
    exits: Exits
    outbox: Outbox

    failures: Failures

    root_sending: RootSending

    def wake(self) -> None: ...


class Hold:
    """One held message, or batch. All calls may come from any thread; the first that ends it counts.

    `kept` is what was sent through it while the call that made it is at work; None once that has succeeded.
    """

    def __init__(
        self, holds: Holds, frame: InputFrame, segment: Segment, base: int, those: range, until: float
    ) -> None:
        self._holds = holds
        self.frame = frame
        self.segment = segment
        self.base = base
        self.those = those
        self.until = until
        self.sent = 0
        self.kept: list[tuple[Segment, bytes]] | None = []
        self.kept_bytes = 0

    def settle(self) -> None:
        """The message is handled; it is settled once what was sent for it is."""
        self._holds.end(self, None)

    def fail(self, error: BaseException | str) -> None:
        """The same as if its handler had raised this."""
        self._holds.end(self, error if isinstance(error, BaseException) else HoldError(error))

    def sendMessage(self, msg: object, flowName: str | None = None) -> None:  # noqa: N802, N803  # as in the api
        """Send for the held message, as its handler would."""
        self._holds.send(self, msg, flowName)

    send_message = sendMessage

    def take_effect(self) -> None:
        """The call that made it has succeeded."""
        self._holds.let_out(self)

    def undo(self) -> None:
        """The call that made it has failed, and with that the message."""
        self.kept = []
        self._holds.drop(self)


class Holds:
    """The holds of one instance."""

    def __init__(self, holder: Holder, clock: Clock) -> None:
        self._holder = holder
        self._clock = clock
        self._open: dict[Hold, None] = {}
        self._pack = careful(packer())

    def take(self, frame: InputFrame, segment: Segment, base: int, those: range, timeout_s: float | None) -> Hold:
        """Hold these messages of a frame, which lie in a segment that begins at index `base`. Raises HoldError."""
        timeout_s = HOLD_S_MAX if timeout_s is None else timeout_s
        if not 0 < timeout_s <= HOLD_S_MAX:
            raise HoldError(f"a message cannot be held for {timeout_s:g} s; the limit is {HOLD_S_MAX:g} (HOLD_S_MAX)")
        hold = Hold(self, frame, segment, base, those, self._clock() + timeout_s)
        with self._holder.lock:
            self._open[hold] = None
            frame.open += 1
            frame.held += (those,)
        return hold

    def end(self, hold: Hold, error: BaseException | None) -> None:
        with self._holder.lock:
            if hold in self._open and (error is None or self._failed(hold, error)):
                self.drop(hold)
                self._holder.outbox.dirty = True
        self._holder.wake()

    def _failed(self, hold: Hold, error: BaseException) -> bool:
        left = [index for index in hold.those if index not in hold.frame.dead]
        return self._holder.failures.judge(hold.frame, [Failure(index, error) for index in left])

    def drop(self, hold: Hold) -> None:
        """The hold is no more."""
        with self._holder.lock:
            if hold in self._open:
                del self._open[hold]
                held = list(hold.frame.held)
                held.remove(hold.those)
                hold.frame.held = tuple(held)
                hold.frame.settle(1)

    def expire(self, now: float) -> None:
        """Give up what was held for too long. Under the lock."""
        for hold in [hold for hold in self._open if hold.until <= now]:
            self.end(hold, HoldError("a held message was neither settled nor failed in time"))

    def send(self, hold: Hold, message: object, flow: str | None) -> None:
        """Send for a held message. Raises HoldError, FlowError, MessageError, OverloadError."""
        holder = self._holder
        with holder.lock:
            holder.root_sending.wait_for_room()
            if hold not in self._open:
                raise HoldError("something was sent for a message that is held no more")
            segment = hold.segment
            exits = holder.exits
            route = exits.unnamed(segment.route) if flow is None else exits.named(flow, segment.route)
            if (edge := holder.outbox.refusing(route)) is not None:
                raise OverloadError(f"edge {edge} is full")
            blob = pack_message(self._pack, message)
            place = exits.place(route)
            first = hold.those.start
            ids = children(segment, [first - hold.base], place.node, place.flow, place.occurrence, _LATER + hold.sent)
            ids.route = route
            hold.sent += 1
            if hold.kept is None:
                self._emit(hold, ids, blob)
            else:
                hold.kept.append((ids, blob))
                hold.kept_bytes += len(blob)
                if hold.kept_bytes > SPILL_BYTES:
                    self.let_out(hold)
        holder.wake()

    def let_out(self, hold: Hold) -> None:
        """What was sent through it goes on its way, at once from now on."""
        with self._holder.lock:
            kept, hold.kept = hold.kept, None
            for ids, blob in kept or ():
                self._emit(hold, ids, blob)

    def _emit(self, hold: Hold, ids: Segment, blob: bytes) -> None:
        if len(hold.those) > 1:
            hold.frame.together += (hold.those,)
        self._holder.outbox.emit(ids, [blob], hold.frame, [hold.those.start])
