"""Floors of origins: below which position all messages of a source are settled, whoever has handled them.

A node that knows its repeats by their ids may forget an id once it cannot come again. Only the origin knows that: all
of its messages up to some position are settled, on every way. So it says so, at a low rate and in absolute terms, and
each instance tells its consumers what it has heard; a floor that was lost comes with the next one.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgpack

from streamer.errors import PeerError
from streamer.limits import FLOORS_MAX
from streamer.protocol.frames import WIRE_VERSION, Kind, Parts, Received, bounded, unsigned


class Floors:
    """What one instance knows of origins. `changed`: there is something that was not passed on yet."""

    def __init__(self) -> None:
        self.known: dict[int, int] = {}
        self.changed = False

    def hear(self, floors: Mapping[int, int]) -> None:
        """Take what is newer; the origins that were heard of first are forgotten when there are too many."""
        for origin, floor in floors.items():
            if floor > self.known.get(origin, 0):
                self.known[origin] = floor
                self.changed = True
        while len(self.known) > FLOORS_MAX:
            del self.known[next(iter(self.known))]

    def take(self) -> Mapping[int, int]:
        """What is to be passed on: all of it if anything has changed."""
        if not self.changed:
            return {}
        self.changed = False
        return self.known


def encode_floors(floors: Mapping[int, int]) -> Parts:
    """Positions by origin: all messages below them are settled."""
    return [bytes((WIRE_VERSION, Kind.FLOORS)), msgpack.packb(dict(floors))]


def decode_floors(parts: Received) -> dict[int, int]:
    """Read FLOORS. Raises PeerError."""
    try:
        floors = msgpack.unpackb(bounded(parts[1]), strict_map_key=False)
        return dict(zip(unsigned(floors.keys()), unsigned(floors.values()), strict=True))
    except (ValueError, TypeError, AttributeError, IndexError, msgpack.UnpackException) as error:
        raise PeerError(f"floors cannot be read: {error}") from error
