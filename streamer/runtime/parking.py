"""Frames whose messages came by a version of the flows that is not known here: kept aside, or known to be too late.

Every instance knows a version before the first root takes it, so this is for what nobody has planned: a frame is never
dropped because word of its version was lost. One of the next version waits, unsettled, and so does all that its session
brings behind it, since order within a session holds; then the word comes, and they go on. A version that is over has
nothing left unsettled anywhere, so its stragglers, of producers that are dead, are given up with a reason.
"""

from __future__ import annotations

from collections.abc import Iterator

from streamer.protocol.input_frame import InputFrame
from streamer.runtime.exits import Exits, Fate


class Parking:
    """Of one instance; all calls come under its lock."""

    def __init__(self, exits: Exits) -> None:
        self._exits = exits
        self._frames: list[InputFrame] = []

    def __bool__(self) -> bool:
        return bool(self._frames)

    def admit(self, frame: InputFrame) -> bool:
        """Whether the frame can be handled now, those of its messages that are too late being marked; else it stays."""
        fates = [self._exits.fate(segment.route) for segment in frame.segments]
        if Fate.EARLY in fates or any(parked.session is frame.session for parked in self._frames):
            self._frames.append(frame)
            return False
        first, late = 0, []
        for segment, fate in zip(frame.segments, fates, strict=True):
            if fate is Fate.LATE:
                late.append(range(first, first + len(segment)))
            first += len(segment)
        frame.late = tuple(late)
        return True

    def give_up(self) -> list[InputFrame]:
        """All that waits, which is not to be handled here."""
        waiting, self._frames = self._frames, []
        return waiting

    def release(self) -> Iterator[InputFrame]:
        """The flows have changed: the frames that can be handled now, in the order in which they came."""
        waiting, self._frames = self._frames, []
        for frame in waiting:
            if self.admit(frame):
                yield frame
