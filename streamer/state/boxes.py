"""Where cells stand, and what stood there before: enough to take back any write of any kind of keyed state.

A key with one cell (a value, a counter) has it in a box, which also says whether a checkpoint must write it: one
look-up finds both, where a dict of cells beside a set of dirty keys takes three for a count. The elements of lists and
the fields of maps stand in dicts.
"""

from __future__ import annotations

from typing import Any

from streamer.state.cells import MISSING

Note = tuple[Any, Any, Any, Any]
"""The note before it, a dict and a key of it, or a box and None; and what stood there."""


class Box:
    """The cell of a key; MISSING where only the store knows. `clean`: no checkpoint needs to write it."""

    __slots__ = ("cell", "clean", "key")

    def __init__(self, key: Any, cell: Any) -> None:
        self.key = key
        self.cell = cell
        self.clean = True


class Undo:
    """What the call at work has replaced, the last first.

    It is a chain of notes. Its end is a box, if the call has begun by writing to one, whose cell was `first`: so a call
    that makes one count allocates no note, which would be a tenth of its `add`.
    """

    __slots__ = ("first", "last")

    def __init__(self) -> None:
        self.last: Note | Box | None = None
        self.first: Any = None

    def note(self, cells: dict[Any, Any], key: Any, old: Any) -> None:
        """In this dict stood `old`, or nothing (MISSING)."""
        self.last = (self.last, cells, key, old)

    def note_box(self, box: Box) -> None:
        """It is about to get another cell."""
        if self.last is None:
            self.last, self.first = box, box.cell
        else:
            self.last = (self.last, box, None, box.cell)

    def roll_back(self) -> None:
        note = self.last
        while isinstance(note, tuple):
            note, place, key, old = note
            if isinstance(place, Box):
                place.cell = old
            elif old is MISSING:
                place.pop(key, None)
            else:
                place[key] = old
        if note is not None:
            note.cell = self.first
        self.last = self.first = None
