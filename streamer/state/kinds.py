"""What all kinds of keyed state have in common: cells by key group, and which of them are dirty.

A key group is looked up when a message comes and not when a key is used, so each state holds the cells of the group in
hand.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from streamer.errors import StateError
from streamer.limits import STATE_CELL_BYTES
from streamer.state.base import Entry, EntryKey, StateStore
from streamer.state.boxes import Box, Undo
from streamer.state.cells import MISSING, Coder, Expiring, cell_of, make_tuple


class Shared:
    """What the keyed states of one instance share. `growth_bytes` is about what memory has gained since a look."""

    def __init__(self, store: StateStore, wall: Callable[[], float]) -> None:
        self.store = store
        self.wall = wall
        self.coder = Coder()
        self.undo = Undo()
        self.growth_bytes = 0

    def load(self, at: EntryKey) -> Any:
        """The cell of what the store has there."""
        return self.loaded(self.store.get(at))

    def loaded(self, entry: Entry | None) -> Any:
        self.growth_bytes += STATE_CELL_BYTES + (len(entry.value) if entry else 0)
        return cell_of(entry)


@dataclass(slots=True)
class GroupCells:
    """Of one key group, by key: boxes, or dicts of cells. `complete`: the store has nothing that is not here.

    `dirty` is what a checkpoint must write: boxes, or keys with an index or field.
    """

    complete: bool
    cells: dict[Any, Any] = field(default_factory=dict)
    dirty: set[Any] = field(default_factory=set)


class Keyed(ABC):
    """One keyed state."""

    kind: str
    settings: object = None

    def __init__(self, shared: Shared, name: str, ttl_s: float | None) -> None:
        if ttl_s is not None and not (isinstance(ttl_s, int | float) and ttl_s > 0):
            raise StateError(
                f"state {name!r} cannot live for {ttl_s!r} s", remedy="Give ttl_s as a number of seconds above 0."
            )
        self.name = name
        self.ttl_s = ttl_s
        self._shared = shared
        self._undo = shared.undo
        self._groups: dict[int, GroupCells] = {}
        self._new = name not in shared.store.names()
        self.enter(0)

    def enter(self, group: int) -> None:
        """What is read and written from now on belongs to this key group."""
        here = self._groups.get(group)
        if here is None:
            here = self._groups[group] = GroupCells(complete=self._new)
        self._group = group
        self._here = here
        self._cells = here.cells
        self._dirty = here.dirty

    def _at(self, packed_key: bytes, packed_field: bytes = b"") -> EntryKey:
        return EntryKey(self._group, self.name, packed_key, packed_field)

    def _cell(self, value: object) -> Any:
        """The cell of a value that is written now. Raises MessageError."""
        cell = self._shared.coder.cell(value)
        return cell if self.ttl_s is None else Expiring(cell, self._shared.wall() + self.ttl_s)

    def _is_over(self, cell: Any) -> bool:
        return type(cell) is Expiring and cell.expires_s <= self._shared.wall()

    @abstractmethod
    def _changed(self, here: GroupCells) -> Iterable[tuple[bytes, bytes, Any]]:
        """Packed key, packed field and cell of all that is dirty; MISSING if the store has it as it is."""

    @abstractmethod
    def put_back(self, at: EntryKey) -> None:
        """It is dirty again."""

    @abstractmethod
    def _keys(self, dirty: Iterable[Any]) -> set[Any]:
        """The keys of what is dirty."""

    def take_dirty(self, found: dict[EntryKey, Entry | None]) -> None:
        """Add what has changed to what was found."""
        for group, here in self._groups.items():
            if here.dirty:
                self._take(group, here, found)
                here.dirty.clear()

    def _take(self, group: int, here: GroupCells, found: dict[EntryKey, Entry | None]) -> None:
        name, entry_of, size_bytes = self.name, self._shared.coder.entry, 0
        for packed_key, packed_field, cell in self._changed(here):
            if cell is not MISSING:
                found[make_tuple(EntryKey, (group, name, packed_key, packed_field))] = entry = entry_of(cell)
                size_bytes += STATE_CELL_BYTES + (len(entry[0]) if entry else 0)
        self._shared.growth_bytes += size_bytes

    def forget_clean(self) -> None:
        self._new = False
        for here in self._groups.values():
            kept = self._keys(here.dirty)
            for key in [key for key in here.cells if key not in kept]:
                del here.cells[key]
            here.complete = False

    def cache_bytes(self) -> int:
        """About what the cells take."""
        return sum(_bytes_of(cell) for here in self._groups.values() for cell in here.cells.values())


def _bytes_of(cell: Any) -> int:
    if isinstance(cell, dict):
        return STATE_CELL_BYTES + sum(map(_bytes_of, cell.values()))
    if isinstance(cell, Box):
        cell = cell.cell
    if type(cell) is Expiring:
        cell = cell.cell
    return STATE_CELL_BYTES + (len(cell) if isinstance(cell, bytes | str) else 0)
