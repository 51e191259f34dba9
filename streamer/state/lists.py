"""Keyed state with a list for each key: elements are appended, read together, and cleared or expire.

Each element is an entry of its own, numbered as it was appended, so that a checkpoint writes what came since the last
one and not the whole list. The list of a key is read whole when it is first used, because a new element needs the last
one's number; a list of very many elements is better kept under several keys.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from streamer.state.base import LIST, EntryKey
from streamer.state.cells import ABSENT, MISSING, living, no_key, value_of
from streamer.state.kinds import GroupCells, Keyed

_INDEX_BYTES = 8


class _Elements(dict[int, Any]):
    """Cells by their number, in its order. No element has a number below `first`."""

    __slots__ = ("first",)

    def __init__(self) -> None:
        super().__init__()
        self.first = 0


class ListState(Keyed):
    """A list for each key. What is read is the reader's own."""

    kind = LIST

    def append(self, key: object, value: object) -> None:
        """Raises MessageError for what msgpack cannot carry; then nothing has changed."""
        cell = self._cell(value)
        self._add(*self._elements(key), cell)

    def extend(self, key: object, values: Iterable[object]) -> None:
        """All of them, or, if one raises MessageError, none."""
        cells = [self._cell(value) for value in values]
        key, elements = self._elements(key)
        for cell in cells:
            self._add(key, elements, cell)

    def _add(self, key: object, elements: _Elements, cell: Any) -> None:
        number = next(reversed(elements), elements.first - 1) + 1
        self._undo.note(elements, number, MISSING)
        self._dirty.add((key, number))
        elements[number] = cell

    def get(self, key: object = None) -> list[Any]:
        """The elements as they were appended, without those that have expired."""
        _, elements = self._elements(key)
        return [value_of(cell) for _, cell in living(elements.items(), self._shared.wall)]

    def len(self, key: object = None) -> int:
        """How many elements `get` would give."""
        _, elements = self._elements(key)
        return sum(1 for _ in living(elements.items(), self._shared.wall))

    def clear(self, key: object = None) -> None:
        """The list is empty after this."""
        key, elements = self._elements(key)
        if elements:
            self._undo.note(self._cells, key, elements)
            self._dirty.update((key, number) for number in elements)
            self._cells[key] = _Elements()

    def _elements(self, key: object) -> tuple[Any, _Elements]:
        """The key as it is kept, and its elements, those at the beginning that have expired removed."""
        try:
            elements: _Elements | None = self._cells.get(key)
        except TypeError as error:
            raise no_key(key, error) from error
        if elements is None:
            key, packed = self._shared.coder.key(key)
            elements = self._cells[key] = self._loaded(packed)
        while elements and self._is_over(elements.get(elements.first, ABSENT)):
            del elements[elements.first]
            elements.first += 1
        return key, elements

    def _loaded(self, packed_key: bytes) -> _Elements:
        elements = _Elements()
        if not self._here.complete:
            for at, entry in self._shared.store.scan(self.name, self._group, packed_key):
                elements[int.from_bytes(at.field, "big")] = self._shared.loaded(entry)
            elements.first = next(iter(elements), 0)
        return elements

    def _changed(self, here: GroupCells) -> Iterable[tuple[bytes, bytes, Any]]:
        packed_key = self._shared.coder.packed_key
        for key, number in here.dirty:
            cell = here.cells.get(key, {}).get(number, ABSENT)
            yield packed_key(key), number.to_bytes(_INDEX_BYTES, "big"), cell

    def put_back(self, at: EntryKey) -> None:
        key = self._shared.coder.kept_key(at.key)
        self._groups[at.group].dirty.add((key, int.from_bytes(at.field, "big")))

    def _keys(self, dirty: Iterable[Any]) -> set[Any]:
        return {key for key, _ in dirty}
