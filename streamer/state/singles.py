"""Keyed states with one value for each key: values and counters.

`CounterState.add` is what a counting node does for every message, so its common case (a key that was used before, and
no time to live) is one lookup, one sum and one store, and everything else is found out by its failing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import repeat
from operator import index
from typing import Any

from streamer.errors import MessageError
from streamer.limits import STATE_CELL_BYTES
from streamer.state.base import COUNTER, VALUE, Entry, EntryKey
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
        for key, cell in self._cells.items():
            found[self._shared.coder.packed_key(key)] = cell
        kept_key = self._shared.coder.kept_key
        return (
            (kept_key(key), value_of(cell))
            for key, cell in living(sorted(found.items(), key=_first), self._shared.wall)
        )

    def _find(self, key: object) -> Any:
        """The key's cell, no longer expiring. Raises MessageError for what is no key."""
        try:
            cell = self._cells.get(key, MISSING)
        except TypeError as error:
            raise no_key(key, error) from error
        if cell is MISSING:
            kept, packed = self._shared.coder.key(key)
            cell = ABSENT if self._here.complete else self._shared.load(self._at(packed))
            self._cells[kept] = cell
        if type(cell) is Expiring:
            return cell.cell if not self._is_over(cell) else ABSENT
        return cell

    def _put(self, key: object, cell: Any) -> None:
        cells = self._cells
        try:
            old = cells.get(key, MISSING)
        except TypeError as error:
            raise no_key(key, error) from error
        if old is MISSING:
            key, _ = self._shared.coder.key(key)
        self._undo.note(cells, key, old)
        self._dirty.add(key)
        cells[key] = cell

    def _changed(self, here: GroupCells) -> Iterable[tuple[bytes, bytes, Any]]:
        cells, packed_key = here.cells, self._shared.coder.packed_key
        return [(packed_key(key), b"", cells.get(key, MISSING)) for key in here.dirty]

    def _take(self, group: int, here: GroupCells, found: dict[EntryKey, Entry | None]) -> None:
        """In bulk where keys and cells are plain, as those of a count are."""
        cells = list(map(here.cells.get, here.dirty, repeat(MISSING)))
        keys = self._shared.coder.plain_keys(here.dirty)
        values = self._shared.coder.plain_values(cells)
        if keys is None or values is None:
            super()._take(group, here, found)
            return
        at = map(make_tuple, repeat(EntryKey), zip(repeat(group), repeat(self.name), keys, repeat(b""), strict=False))
        found.update(zip(at, map(make_tuple, repeat(Entry), zip(values, repeat(0.0), strict=False)), strict=False))
        self._shared.growth_bytes += STATE_CELL_BYTES * len(cells) + sum(map(len, values))

    def put_back(self, at: EntryKey) -> None:
        self._groups[at.group].dirty.add(self._shared.coder.kept_key(at.key))

    def _keys(self, dirty: Iterable[Any]) -> set[Any]:
        return set(dirty)


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

    def enter(self, group: int) -> None:
        super().enter(group)
        self._countable = self._cells if self.ttl_s is None else {}

    def add(self, key: object = None, n: float = 1) -> int | float:
        """Add to the key's number, and give the new one. Raises MessageError."""
        cells = self._countable
        try:
            total = (old := cells[key]) + n
        except (KeyError, TypeError):
            return self._add_with_care(key, n)
        # ints of 30 bits are compared several times faster, and literals cost no look-up
        if type(total) is int and (-0x40000000 < total < 0x40000000 or INT_MIN <= total <= INT_MAX):
            undo, dirty = self._undo, self._dirty
            undo.last = (undo.last, cells, key, old)
            if key not in dirty:
                dirty.add(key)
            cells[key] = total
            return total
        return self._add_with_care(key, n)

    def _add_with_care(self, key: object, n: float) -> int | float:
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
