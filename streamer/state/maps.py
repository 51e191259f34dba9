"""Keyed state with a map for each key: fields that are put, read and removed one by one.

Each field is an entry of its own: a checkpoint writes those that have changed, and one that is read alone is fetched
alone. Only what asks for all of them (`items`, `clear`) reads all fields of its key.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from streamer.state.base import MAP, EntryKey
from streamer.state.cells import ABSENT, MISSING, Expiring, living, no_key, value_of
from streamer.state.kinds import GroupCells, Keyed


class _Fields(dict[Any, Any]):
    """Cells by field. `whole`: the store has no field that is not here."""

    __slots__ = ("whole",)

    def __init__(self, *, whole: bool) -> None:
        super().__init__()
        self.whole = whole


class MapState(Keyed):
    """A map for each key. What is read is the reader's own."""

    kind = MAP

    def put(self, key: object, field: object, value: object) -> None:
        """Raises MessageError for what msgpack cannot carry; then nothing has changed."""
        self._put(key, field, self._cell(value))

    def remove(self, key: object, field: object) -> None:
        """The field has no value after this, whether it had one or not."""
        self._put(key, field, ABSENT)

    def get(self, key: object, field: object, default: Any = None) -> Any:
        _, packed_key, fields = self._fields(key)
        try:
            cell = fields.get(field, MISSING)
        except TypeError as error:
            raise no_key(field, error) from error
        if cell is MISSING:
            field, packed = self._shared.coder.key(field)
            if fields.whole:
                return default
            packed_key = packed_key or self._shared.coder.packed_key(key)
            cell = fields[field] = self._shared.load(self._at(packed_key, packed))
        if cell is ABSENT or self._is_over(cell):
            return default
        return value_of(cell.cell if type(cell) is Expiring else cell)

    def items(self, key: object = None) -> Iterator[tuple[Any, Any]]:
        """Fields and values as they are now, in the order of the packed fields: the same in each life."""
        _, fields = self._whole_fields(key)
        coder = self._shared.coder
        found = sorted(((coder.key(field)[1], field, cell) for field, cell in fields.items()), key=_first)
        alive = living([(field, cell) for _, field, cell in found], self._shared.wall)
        return ((field, value_of(cell)) for field, cell in alive)

    def clear(self, key: object = None) -> None:
        """The map is empty after this."""
        key, fields = self._whole_fields(key)
        self._undo.note(self._cells, key, fields)
        self._dirty.update((key, field) for field in fields)
        self._cells[key] = _Fields(whole=True)

    def _put(self, key: object, field: object, cell: Any) -> None:
        key, _, fields = self._fields(key)
        try:
            old = fields.get(field, MISSING)
        except TypeError as error:
            raise no_key(field, error) from error
        if old is MISSING:
            field, _ = self._shared.coder.key(field)
        self._undo.note(fields, field, old)
        self._dirty.add((key, field))
        fields[field] = cell

    def _fields(self, key: object) -> tuple[Any, bytes, _Fields]:
        """The key as it is kept and, where it was new here, packed; and what is known of its fields."""
        try:
            fields: _Fields | None = self._cells.get(key)
        except TypeError as error:
            raise no_key(key, error) from error
        if fields is not None:
            return key, b"", fields
        key, packed = self._shared.coder.key(key)
        fields = self._cells[key] = _Fields(whole=self._here.complete)
        return key, packed, fields

    def _whole_fields(self, key: object) -> tuple[Any, _Fields]:
        key, packed, fields = self._fields(key)
        if not fields.whole:
            kept_key = self._shared.coder.kept_key
            packed = packed or self._shared.coder.packed_key(key)
            for at, entry in self._shared.store.scan(self.name, self._group, packed):
                field = kept_key(at.field)
                if field not in fields:
                    fields[field] = self._shared.loaded(entry)
            fields.whole = True
        return key, fields

    def _changed(self, here: GroupCells) -> Iterable[tuple[bytes, bytes, Any]]:
        packed_key = self._shared.coder.packed_key
        for key, field in here.dirty:
            fields: _Fields | None = here.cells.get(key)
            cell = MISSING if fields is None else fields.get(field, ABSENT if fields.whole else MISSING)
            yield packed_key(key), packed_key(field), cell

    def put_back(self, at: EntryKey) -> None:
        kept_key = self._shared.coder.kept_key
        self._groups[at.group].dirty.add((kept_key(at.key), kept_key(at.field)))

    def _keys(self, dirty: Iterable[Any]) -> set[Any]:
        return {key for key, _ in dirty}


def _first(found: tuple[bytes, Any, Any]) -> bytes:
    return found[0]
