"""TAP frames: somebody watches what is sent into an edge.

A tap takes no part in the edge: it is waited for by nobody, and its word carries all that its producer must know of it,
so that a word which is lost costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgpack

from streamer.errors import PeerError
from streamer.protocol.frames import WIRE_VERSION, Kind, Parts, Received, bounded, unsigned


@dataclass(frozen=True, slots=True)
class Tap:
    """Somebody wants to be shown what is sent to `node`, and is waited for by nobody. It is said again and again.

    `taken_messages` and `taken_bytes` are totals of what this tap has taken off its connection: room for as much again.
    `over`: it ends.
    """

    token: str
    node: str
    number: int
    taken_messages: int = 0
    taken_bytes: int = 0
    over: bool = False


def encode_tap(tap: Tap) -> Parts:
    facts = [tap.token, tap.node, tap.number, tap.taken_messages, tap.taken_bytes, tap.over]
    return [bytes((WIRE_VERSION, Kind.TAP)), msgpack.packb(facts)]


def decode_tap(parts: Received) -> Tap:
    """Read a TAP. Raises PeerError."""
    try:
        token, node, number, messages, size, over = msgpack.unpackb(bounded(parts[1]))
        if not isinstance(token, str) or not isinstance(node, str) or not isinstance(over, bool):
            raise PeerError("a tap with fields of other types")
        number, messages, size = unsigned((number, messages, size))
        return Tap(token, node, number, messages, size, over)
    except (ValueError, TypeError, IndexError, msgpack.UnpackException) as error:
        raise PeerError(f"a tap cannot be read: {error}") from error
