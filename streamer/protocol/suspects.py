"""Which messages were in hand when instances died, and which of them are not to be tried again.

An instance that comes back says what its predecessor had in hand: session, sequence and index. The producer still knows
the ids of what an ended session held, so that the message gains an attempt, and no neighbour does. At the third the
message is guilty, and it stays so: where a flow goes round, each death has messages above it handled anew, and they
make the same message (the same id) again; forgetting it would kill three more instances for each copy.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from streamer.limits import CRASH_ATTEMPTS_MAX, CRASH_SUSPECTS_MAX, ENDED_SESSIONS_KEPT
from streamer.protocol.identity import MessageId
from streamer.protocol.segment import Segment

Kept = Mapping[int, list[Segment]]
"""What a session held at its end: segments by the sequence of their frame."""


class Suspects:
    """Of one edge at one producing instance. Nothing is asked per message as long as nobody died.

    `_attempts` has, for each suspect, its deaths, and when the first of them became known.
    """

    __slots__ = ("_accused", "_attempts", "_ended", "_guilty", "_guilty_positions")

    def __init__(self) -> None:
        self._attempts: dict[MessageId, tuple[int, float]] = {}
        self._guilty: dict[MessageId, None] = {}
        self._guilty_positions: set[int] = set()
        self._ended: OrderedDict[int, Kept] = OrderedDict()
        self._accused: dict[int, set[tuple[int, int]]] = {}

    def __bool__(self) -> bool:
        return bool(self._attempts)

    @property
    def any_guilty(self) -> bool:
        return bool(self._guilty)

    def remember(self, session: int, kept: Kept) -> None:
        """A session has ended, and this is what it held."""
        self._ended[session] = kept
        self._accused[session] = set()
        while len(self._ended) > ENDED_SESSIONS_KEPT:
            gone, _ = self._ended.popitem(last=False)
            del self._accused[gone]

    def accuse(self, session: int, sequence: int, index: int, now: float) -> bool:
        """An instance died with this message of an ended session in hand: it gains an attempt.

        False if that is unknown, or known already: each session that the next life opens tells of the same death.
        """
        segments = self._ended.get(session, {}).get(sequence)
        if segments is None or (sequence, index) in self._accused[session]:
            return False
        place = index
        for segment in segments:
            if place < len(segment):
                self._accused[session].add((sequence, index))
                self._gain(segment.id(place), now)
                return True
            place -= len(segment)
        return False

    def _gain(self, who: MessageId, now: float) -> None:
        if who not in self._attempts and len(self._attempts) >= CRASH_SUSPECTS_MAX:
            self._forget(next(iter(self._attempts)))
        before, first = self._attempts.get(who, (0, now))
        attempts = before + 1
        self._attempts[who] = attempts, first
        if attempts >= CRASH_ATTEMPTS_MAX:
            self._guilty[who] = None
            self._guilty_positions.add(who.position)

    def _forget(self, who: MessageId) -> None:
        del self._attempts[who]
        if who in self._guilty:
            del self._guilty[who]
            self._guilty_positions = {guilty.position for guilty in self._guilty}

    def accused_at(self, who: MessageId) -> float | None:
        """When it was known of this message that an instance had died with it in hand; None if none has."""
        return self._attempts[who][1] if who in self._attempts else None

    def first_in(self, segment: Segment) -> int | None:
        """Index of the first suspect among these messages."""
        return next((i for i in range(len(segment)) if segment.id(i) in self._attempts), None)

    def guilty_in(self, segment: Segment) -> list[int]:
        """Indexes of the guilty among these messages."""
        if not self._guilty or self._guilty_positions.isdisjoint(segment.positions):
            return []
        return [i for i in range(len(segment)) if segment.id(i) in self._guilty]
