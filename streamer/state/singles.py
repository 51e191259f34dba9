"""Keyed states with one value for each key, in a box: values and counters.

To add to a counter is what a counting node does for every message; the common case of that is in `adding`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import repeat
from operator import index
from typing import Any

from streamer.errors import MessageError
from streamer.limits import STATE_CELL_BYTES
from streamer.state.adding import Add, adding
from streamer.state.base import COUNTER, VALUE, Entry, EntryKey
from streamer.state.boxes import Box
from streamer.state.cells import (
    ABSENT,
    INT_MAX,
    INT_MIN,
    MISSING,
    Expiring,
    cell_of,
    living,
    make_tuple,
    no_key,
    value_of,
)
from streamer.state.kinds import GroupCells, Keyed, Shared


class _Single(Keyed):
    """Cells of it are in boxes."""

    def __contains__(self, key: object) -> bool:
        return self._find(key) is not ABSENT

    def __delitem__(self, key: object) -> None:
        """The key has no value after this, whether it had one or not."""
        self._put(key, ABSENT)

    def items(self) -> Iterator[tuple[Any, Any]]:
        """Keys and values as they are now, in the order of the packed keys: the same in each life.

        On a node that is partitioned, those of the key group of the message in hand.
        """
        found: dict[bytes, Any] = {}
        if not self._here.complete:
            for at, entry in self._shared.store.scan(self.name, self._group):
                found[at.key] = cell_of(entry)
        for key, box in self._cells.items():
            if box.cell is not MISSING:
                found[self._shared.coder.packed_key(key)] = box.cell
        kept_key = self._shared.coder.kept_key
        return (
            (kept_key(key), value_of(cell))
            for key, cell in living(sorted(found.items(), key=_first), self._shared.wall)
        )

    def _box(self, key: object) -> Box:
        """The key's box, MISSING in it if the key is new here. Raises MessageError for what is no key."""
        try:
            box: Box | None = self._cells.get(key)
        except TypeError as error:
            raise no_key(key, error) from error
        if box is None:
            kept, _ = self._shared.coder.key(key)
            box = self._cells[kept] = Box(kept, MISSING)
        return box

    def _find(self, key: object) -> Any:
        """The key's cell, no longer expiring. Raises MessageError for what is no key."""
        box = self._box(key)
        cell = box.cell
        if cell is MISSING:
            packed = self._shared.coder.packed_key
            cell = ABSENT if self._here.complete else self._shared.load(self._at(packed(box.key)))
            box.cell = cell
        if type(cell) is Expiring:
            return cell.cell if not self._is_over(cell) else ABSENT
        return cell

    def _put(self, key: object, cell: Any) -> None:
        box = self._box(key)
        self._undo.note_box(box)
        self._mark(box, self._dirty)
        box.cell = cell

    @staticmethod
    def _mark(box: Box, dirty: set[Any]) -> None:
        if box.clean:
            box.clean = False
            dirty.add(box)

    def _changed(self, here: GroupCells) -> Iterable[tuple[bytes, bytes, Any]]:
        packed_key = self._shared.coder.packed_key
        return [(packed_key(box.key), b"", box.cell) for box in here.dirty]

    def _take(self, group: int, here: GroupCells, found: dict[EntryKey, Entry | None]) -> None:
        """In bulk where keys and cells are plain, as those of a count are."""
        cells = [box.cell for box in here.dirty]
        keys = self._shared.coder.plain_keys([box.key for box in here.dirty])
        values = self._shared.coder.plain_values(cells)
        if keys is None or values is None:
            super()._take(group, here, found)
        else:
            at = map(
                make_tuple, repeat(EntryKey), zip(repeat(group), repeat(self.name), keys, repeat(b""), strict=False)
            )
            found.update(zip(at, map(make_tuple, repeat(Entry), zip(values, repeat(0.0), strict=False)), strict=False))
            self._shared.growth_bytes += STATE_CELL_BYTES * len(cells) + sum(map(len, values))
        for box in here.dirty:
            box.clean = True

    def put_back(self, at: EntryKey) -> None:
        here = self._groups[at.group]
        self._mark(here.cells[self._shared.coder.kept_key(at.key)], here.dirty)

    def _keys(self, dirty: Iterable[Any]) -> set[Any]:
        return {box.key for box in dirty}


def _first(pair: tuple[bytes, Any]) -> bytes:
    return pair[0]


class ValueState(_Single):
    """A value for each key. What is read is the reader's own: to change what is kept, set it."""

    kind = VALUE

    def __init__(self, shared: Shared, name: str, ttl_s: float | None, default: Any) -> None:
        super().__init__(shared, name, ttl_s)
        self._default = default

    def get(self, key: object = None) -> Any:
        """The key's value, or the default."""
        cell = self._find(key)
        return value_of(self._default if cell is ABSENT else cell)

    def set(self, key: object, value: object) -> None:
        """Raises MessageError for what msgpack cannot carry; then nothing has changed."""
        self._put(key, self._cell(value))

    __getitem__ = get

    def __setitem__(self, key: object, value: object) -> None:
        self.set(key, value)


class CounterState(_Single):
    """A number for each key."""

    kind = COUNTER

    def __init__(self, shared: Shared, name: str, ttl_s: float | None) -> None:
        self._adding = adding(shared.undo, self._add_with_care)
        self.add: Add = self._adding.add if ttl_s is None else self._add_with_care
        super().__init__(shared, name, ttl_s)

    def enter(self, group: int) -> None:
        super().enter(group)
        self._adding.enter(self._cells, self._dirty)

    def _add_with_care(self, key: object = None, n: float = 1) -> int | float:
        """For a key that is new here or expires, for floats, and for what cannot be added."""
        cell = self._find(key)
        total: int | float = (0 if cell is ABSENT else cell) + _number(n)
        if isinstance(total, int) and not INT_MIN <= total <= INT_MAX:
            raise MessageError(
                f"counter {self.name!r} would have more than 64 bits: {total}",
                remedy="Count in larger units, or with floats.",
            )
        self._put(key, self._cell(total))
        return total

    def get(self, key: object = None) -> int | float:
        """The key's number, 0 where nothing was added."""
        cell = self._find(key)
        return 0 if cell is ABSENT else cell

    __getitem__ = get


def _number(n: object) -> int | float:
    if isinstance(n, float):
        return float(n)
    try:
        return index(n)  # type: ignore[arg-type]  # what is no int raises
    except TypeError as error:
        raise MessageError(
            f"a value of type {type(n).__name__} cannot be counted: {error}", remedy="Add an int or a float."
        ) from error
