"""Credit: who may send how much, in messages and in bytes, as totals since the session began.

Edges are pulled: a producer sends to consumers that have granted, so a fast replica takes more and a slow one holds
few. A grant is an absolute total, so a lost one costs nothing and a repeated one grants nothing twice. How much a
consumer grants follows from what it can do: it wants as many unhandled messages as it handles in a fixed time, learnt
from its own handling, within a byte budget that all its producers share. Where that is several frames and more, a frame
too many is no matter, and credit is taken by whole frames: to cut one where a grant happens to end would cost its
producer more than to make it.
"""

from __future__ import annotations

from streamer.limits import CREDIT_BYTES, CREDIT_MESSAGES_MAX, CREDIT_TIME_S, FRAME_MESSAGES_MAX

_GROWTH = 4
"""A window grows at most by this factor from one grant to the next: the first handling times are not typical."""
_SMOOTHING = 0.2
"""Weight of the newest frame in the moving average of the handling time."""
_WIDE = 4 * FRAME_MESSAGES_MAX
"""A grant of so many messages is wide: one frame beyond it is a small part of it."""


class Grant:
    """Producer's view of one session."""

    __slots__ = ("bytes", "messages", "sent_bytes", "sent_messages", "wide")

    def __init__(self) -> None:
        self.messages = self.bytes = self.sent_messages = self.sent_bytes = 0
        self.wide = False

    def raise_to(self, messages: int, size: int, wide: bool = False) -> None:
        """The consumer's newest totals; older ones that arrive late change nothing."""
        if messages >= self.messages:
            self.wide = wide
            self.messages = messages
        if size > self.bytes:
            self.bytes = size

    @property
    def available(self) -> int:
        """Messages that may be sent now; any positive credit of bytes, or a wide one, admits one whole frame."""
        left = self.messages - self.sent_messages
        if left <= 0 or self.sent_bytes >= self.bytes:
            return 0
        return max(left, FRAME_MESSAGES_MAX) if self.wide else left

    def spend(self, messages: int, size: int) -> None:
        self.sent_messages += messages
        self.sent_bytes += size


class Pace:
    """How fast this instance handles messages, and so what it asks of all its producers together.

    `least` is what it asks of each however slow it is: where calls overlap, as many again as are in hand.
    """

    __slots__ = ("_message_s", "least")

    def __init__(self) -> None:
        self._message_s: float | None = None
        self.least = 1

    def handled(self, messages: int, busy_s: float) -> None:
        """One frame of so many messages took so long."""
        each = busy_s / messages
        before = self._message_s
        self._message_s = each if before is None else before + _SMOOTHING * (each - before)

    def window(self, sessions: int) -> int:
        """Messages that one of `sessions` producers may have on the way: the least until something was handled."""
        if self._message_s is None:
            return self.least
        wanted = CREDIT_TIME_S / max(self._message_s, 1e-9)
        return max(self.least, int(min(wanted, CREDIT_MESSAGES_MAX) / (sessions or 1)))


class Window:
    """Consumer's view of one session: what it has handled, and what it grants on top of that."""

    __slots__ = ("_messages", "granted_bytes", "granted_messages", "handled_bytes", "handled_messages")

    def __init__(self) -> None:
        self.handled_messages = self.handled_bytes = 0
        self.granted_messages = self.granted_bytes = 0
        self._messages = 1

    def handled(self, messages: int, size: int) -> None:
        self.handled_messages += messages
        self.handled_bytes += size

    def renew(self, wanted: int, sessions: int, messages_max: int, bytes_max: int) -> None:
        """Grant anew: `wanted` by the pace, never beyond the totals `messages_max` and `bytes_max`, never less."""
        self._messages = min(wanted, self._messages * _GROWTH)
        messages = min(self.handled_messages + self._messages, messages_max)
        size = min(self.handled_bytes + CREDIT_BYTES // (sessions or 1), bytes_max)
        if messages > self.granted_messages:
            self.granted_messages = messages
        if size > self.granted_bytes:
            self.granted_bytes = size

    @property
    def wide(self) -> bool:
        """Whether a frame more or less is no matter."""
        return self.granted_messages - self.handled_messages >= _WIDE

    @property
    def quarter(self) -> int:
        """So many messages handled or settled make a new grant or acknowledgement worth sending."""
        return max(1, self._messages // 4)
