"""`sendMessage` for what nearly every call is: a small message, without headers, along its own flow.

A handler that does little spends its time in here. So what such a call needs lies in cells of one function, which cost
half of what attributes do, and all else is found out by whoever takes the call `otherwise`: a large message and the one
after it, one that does not pack, a named flow. What comes from another thread than the handler's is a `root`. The way
through the objects that decide all this costs a third more (1,010 ns against 900 for a relay's message).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import get_ident
from typing import Any, NamedTuple, Protocol

from streamer.limits import LARGE_BYTES
from streamer.protocol.codec import PACK_ERRORS, Pack

NOBODY = 0
"""No thread has this number."""


class Indexed(Protocol):
    """Knows the index of the message in hand."""

    index: int


class Quick(NamedTuple):
    """`send` is for the user's code. It takes messages once it is armed: for these lists, and from this thread only.

    `taken` gives how many bytes it took since it was armed or asked last. `handled_by` says which thread calls
    handlers; NOBODY while none does.
    """

    send: Callable[..., None]
    arm: Callable[[Callable[[bytes], None], Callable[[int], None], int], None]
    disarm: Callable[[], None]
    taken: Callable[[], int]
    handled_by: Callable[[int], None]


def quick_send(  # noqa: C901  # what the five functions share are cells of this one
    turn: Indexed, pack: Pack, otherwise: Callable[..., None], root: Callable[[object], None]
) -> Quick:
    """Of small messages one in LARGE_BYTES goes `otherwise` too, and is packed twice."""
    thread, handler, room = NOBODY, NOBODY, LARGE_BYTES
    add_blob: Callable[[bytes], None]
    add_index: Callable[[int], None]
    ident = get_ident

    def send_message(msg: object, flowName: str | None = None, headers: Mapping[str, Any] | None = None) -> None:  # noqa: N803  # HKube's
        nonlocal room
        if flowName is not None or headers:
            otherwise(msg, flowName, headers)
            return
        if (me := ident()) != thread:
            if me == handler:
                otherwise(msg)
            else:
                root(msg)
            return
        try:
            blob = pack(msg)
        except PACK_ERRORS:
            otherwise(msg)
            return
        left = room - len(blob)
        if left < 0:
            otherwise(msg)
            return
        add_blob(blob)
        add_index(turn.index)
        room = left

    def arm(to_blobs: Callable[[bytes], None], to_indexes: Callable[[int], None], of_thread: int) -> None:
        nonlocal add_blob, add_index, thread
        add_blob, add_index, thread = to_blobs, to_indexes, of_thread

    def disarm() -> None:
        nonlocal thread, room
        thread, room = NOBODY, LARGE_BYTES

    def taken() -> int:
        nonlocal room
        size, room = LARGE_BYTES - room, LARGE_BYTES
        return size

    def handled_by(of_thread: int) -> None:
        nonlocal handler
        handler = of_thread

    return Quick(send_message, arm, disarm, taken, handled_by)
