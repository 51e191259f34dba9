"""Taps: who is shown the messages of an edge while they pass, and is waited for by nobody.

A tap could be one more consumer; but a consumer is waited for, and whoever looks at a running job must not be able to
stop it. So a tap has no session, no account and no queue. It is given copies of frames that go to a consumer at this
moment, encoded already, as long as it has room for them by what it said that it has taken; without room it misses them.
The room is the producer's to give (a socket here has no high-water mark), so that a tap that never reads, or that lies,
holds a few frames and no more. One that has not been heard of for some seconds is forgotten, and starts anew when it
speaks again.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from hmac import compare_digest

from streamer.errors import PeerError
from streamer.limits import TAP_BYTES_MAX, TAP_FRAME_BYTES_MAX, TAP_MESSAGES_MAX, TAP_SILENCE_S, TAPS_MAX
from streamer.protocol.frames import Kind, encode_short
from streamer.protocol.tapping import Tap, decode_tap
from streamer.transport.base import Binding, Parts


@dataclass(slots=True)
class _Shown:
    """What one tap has been sent, and has taken, on its present connection."""

    target: str
    route: bytes
    sent_messages: int
    sent_bytes: int
    taken_messages: int
    taken_bytes: int
    heard_at: float = 0.0

    def hear(self, tap: Tap, now: float) -> None:
        """Its newest totals; it cannot have taken what it was not sent."""
        self.taken_messages = min(max(self.taken_messages, tap.taken_messages), self.sent_messages)
        self.taken_bytes = min(max(self.taken_bytes, tap.taken_bytes), self.sent_bytes)
        self.heard_at = now

    @property
    def has_room(self) -> bool:
        """Any room admits one whole frame."""
        return (
            self.sent_messages - self.taken_messages < TAP_MESSAGES_MAX
            and self.sent_bytes - self.taken_bytes < TAP_BYTES_MAX
        )


class Taps:
    """The taps of one producing instance. `watched`: the targets of its edges that have any."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()
        self._shown: dict[int, _Shown] = {}
        self.watched: frozenset[str] = frozenset()

    def hear(self, binding: Binding | None, route: bytes, parts: Parts, targets: Collection[str], now: float) -> None:
        """Take what a tap says; `targets` are those of all edges. Raises PeerError for one that may not watch."""
        assert binding is not None
        tap = decode_tap(parts)
        if not compare_digest(tap.token.encode(), self._token) or tap.node not in targets:
            binding.send(route, encode_short(Kind.REFUSED, tap.number))
            raise PeerError(f"a tap of the edge to {tap.node!r} was refused: wrong token or no such edge")
        if tap.over:
            self._forget(tap.number)
            return
        shown = self._shown.get(tap.number)
        if shown is None and len(self._shown) >= TAPS_MAX:
            binding.send(route, encode_short(Kind.REFUSED, tap.number))
            return
        if shown is None or shown.route != route:  # what was under way on a connection before this one is lost
            taken = tap.taken_messages, tap.taken_bytes
            shown = self._shown[tap.number] = _Shown(tap.node, route, *taken, *taken)
            self._look()
        shown.hear(tap, now)

    def show(self, binding: Binding, target: str, messages: int, parts: Parts) -> None:
        """A frame of so many messages goes to a consumer: give it to the taps of this edge that have room."""
        size = sum(map(len, parts))
        if size > TAP_FRAME_BYTES_MAX:
            return
        for number, shown in list(self._shown.items()):
            if shown.target == target and shown.has_room:
                shown.sent_messages += messages
                shown.sent_bytes += size
                if not binding.send(shown.route, parts):
                    self._forget(number)

    def expire(self, now: float) -> None:
        """Forget those of which nothing was heard for too long."""
        for number, shown in list(self._shown.items()):
            if now - shown.heard_at > TAP_SILENCE_S:
                self._forget(number)

    def _forget(self, number: int) -> None:
        self._shown.pop(number, None)
        self._look()

    def _look(self) -> None:
        self.watched = frozenset(shown.target for shown in self._shown.values())
