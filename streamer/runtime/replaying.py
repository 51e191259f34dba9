"""Dead letters that come in again: an instance takes those of its node from the store, as if a peer had sent them.

They need no network, no credit and no producer that keeps them: the store does, until they are settled. So a frame of
them is the only one of a session that has no other end. Each message is a new root, of a
new id, under a version of the flows that is alive; where it came from stands in its headers. A frame is taken when the
one before last is settled, and has as many messages as the instance asks of a producer: so a large store is not read
into memory, and what is replayed does not crowd out the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from streamer.clock import Clock
from streamer.errors import MessageError
from streamer.limits import REPLAY_FRAMES_MAX
from streamer.plan.assignment import Assignment
from streamer.protocol.buffers import Bulky
from streamer.protocol.codec import join, pack_headers
from streamer.protocol.frames import Data, InHand
from streamer.protocol.identity import ROOT_HASH, chained, origin_of, step_of
from streamer.protocol.input_frame import InputFrame
from streamer.protocol.segment import Segment
from streamer.protocol.session import ReceivingSession
from streamer.runtime.exits import Exits
from streamer.runtime.inbox import Inbox
from streamer.runtime.stores import Claimed, ReplayStore
from streamer.state.dead_letters import DeadLetter

REPLAY_OF = "streamer-replay-of"
"""The header with the id that a replayed message had."""
_PARTITION = "dead letters"


class _Session(ReceivingSession):
    """Hands on what is settled. `claimed` are the letters of its frame, until they are."""

    def __init__(
        self, number: int, parent: str, on_settled: Callable[[int], None], over: Callable[[InputFrame], None]
    ) -> None:
        super().__init__(number, parent, False, on_settled)
        self._over = over
        self.claimed: Sequence[int] = ()

    def take(self, data: Data, numbers: Sequence[int], now: float) -> ReplayedFrame:
        self.received = data.sequence
        self.claimed = numbers
        frame = self.frames[data.sequence] = ReplayedFrame(self, data, numbers, now)
        return frame

    def settled(self, frame: InputFrame) -> None:
        super().settled(frame)
        self.claimed = ()
        self._over(frame)


class ReplayedFrame(InputFrame):
    """`numbers` are those of the letters that its messages were."""

    __slots__ = ("numbers",)

    def __init__(self, session: ReceivingSession, data: Data, numbers: Sequence[int], now: float) -> None:
        super().__init__(session, data, now)
        self.numbers = numbers

    def again(self, index: int) -> int | None:
        return self.numbers[index]


class Replaying:
    """Of one instance; all calls come under its lock. Nothing is looked for before somebody has asked."""

    def __init__(
        self,
        assignment: Assignment,
        exits: Exits,
        store: ReplayStore | None,
        number: Callable[[], int],
        wall: Clock,
        on_settled: Callable[[int], None],
        crashed: Sequence[InHand],
    ) -> None:
        self._node = assignment.node
        self._instance = assignment.instance
        self._exits = exits
        self._store = store
        self._number = number
        self._wall = wall
        self._on_settled = on_settled
        self._crashed = crashed
        self._begun = False
        self._asked = False
        self._lives: Sequence[str] = ()
        self._sessions: dict[int, _Session] = {}

    def ask(self, lives: Sequence[str]) -> None:
        """Somebody wants letters of this node; these are its instances."""
        self._asked = self._store is not None
        self._lives = lives

    @property
    def due(self) -> bool:
        """Whether another frame may be taken."""
        return self._asked and sum(len(session.frames) for session in self._sessions.values()) < REPLAY_FRAMES_MAX

    def sessions(self) -> Iterator[ReceivingSession]:
        return iter(self._sessions.values())

    def feed(self, inbox: Inbox, now: float, mine: Callable[[bytes], bool] | None) -> None:
        """Let a frame in, if one is due: of letters that are `mine`, where instances own keys. Raises StateError."""
        if self.due and not inbox.shut and (frame := self._take(inbox.pace.window(1), now, mine)) is not None:
            inbox.admit(frame)

    def let_go(self) -> None:
        """The keys have other owners: frames that were handed back are theirs, and this instance looks for its own."""
        for session in self._sessions.values():
            if session.claimed and not session.frames:
                assert self._store is not None
                self._store.let_go(self._instance, session.claimed)
                session.claimed = ()
        self._asked = bool(self._lives) and self._store is not None

    def _take(self, most: int, now: float, mine: Callable[[bytes], bool] | None) -> InputFrame | None:
        """Claim the letters of one frame; None if none can be had."""
        store = self._store
        assert store is not None
        if not self._begun:
            self._begun = True
            store.begin(self._instance, self._crashed, self._wall())
        number = self._number()
        claimed = store.claim(self._node, self._instance, self._lives, number, 1, most, mine)
        if not claimed:
            self._asked = False
            return None
        placed = []
        for one in claimed:
            route = self._route(one)
            if route is None:
                store.refuse(one.kept.number, _no_way(one))
            else:
                placed.append((one, route))
        return self._frame(number, placed, now) if placed else None

    def _route(self, one: Claimed) -> int | None:
        letter = one.kept.letter
        version = None if one.current_flows else letter.version
        return self._exits.at(letter.flow, letter.occurrence, version)

    def _frame(self, number: int, placed: Sequence[tuple[Claimed, int]], now: float) -> InputFrame:
        letters = [one.kept.letter for one, _ in placed]
        time_us = int(self._wall() * 1e6)
        segments = [
            self._segment([one for one, _ in alike], route, replays, time_us)
            for (route, replays), alike in groupby(placed, lambda of: (of[1], of[0].kept.replays))
        ]
        body = join([letter.packed for letter in letters])
        data = Data(1, segments, len(letters), body, placed[0][0].alone)
        if isinstance(letters[0].packed, Bulky):
            data.buffers = letters[0].packed.buffers
        session = _Session(number, letters[0].source, self._on_settled, self._over)
        self._sessions = {n: s for n, s in self._sessions.items() if s.frames}
        self._sessions[number] = session
        return session.take(data, [one.kept.number for one, _ in placed], now)

    def _segment(self, alike: Sequence[Claimed], route: int, replays: int, time_us: int) -> Segment:
        place = self._exits.place(route)
        return Segment(
            origin_of(self._node, _PARTITION, replays),
            [one.kept.number for one in alike],
            chained(ROOT_HASH, step_of(self._node, place.flow, place.occurrence, 0)),
            None,
            route,
            0,
            time_us,
            [_headers(one.kept.letter) for one in alike],
        )

    def _over(self, frame: InputFrame) -> None:
        """A frame is settled; those of its messages that are dead again have their letters already."""
        assert self._store is not None and isinstance(frame, ReplayedFrame)
        self._store.settled(self._node, self._instance, frame.numbers)
        self._asked = True


def _headers(letter: DeadLetter) -> bytes | None:
    """Those that it had, and whose replay it is."""
    facts: Mapping[str, Any] = {REPLAY_OF: letter.message_id}
    try:
        return pack_headers(facts, letter.headers)
    except MessageError:  # they are full
        return letter.headers


def _no_way(one: Claimed) -> str:
    letter = one.kept.letter
    if one.current_flows:
        return f"in the flows of now, {letter.flow!r} does not come to node {letter.target!r}"
    return f"version {letter.version} of the flows is over: give --current-flows"
