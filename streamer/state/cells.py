"""Keys and values of keyed state as memory has them, as users see them, and as bytes.

A value is kept in a *cell*: itself where it is a number, a bool, None or a plain text, which nobody can change; its
msgpack otherwise. So whatever a user does to an object that was stored, or was read, changes nothing that is kept, and
counters and flags cost no packing until the checkpoint. Objects kept beside their bytes would be read faster, and one
`message["seen"].append(x)` in a handler would make them differ from what the next life reads.

Keys that are equal are one key, as in a dict: 1, 1.0 and True have the same msgpack here, and so the same entry.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from operator import index
from typing import Any, NamedTuple

import msgpack

from streamer.errors import MessageError
from streamer.limits import STATE_KEY_BYTES_MAX, STATE_VALUE_BYTES_MAX
from streamer.protocol.buffers import LargeArrayError, packed_array, whole_array
from streamer.protocol.codec import PACK_ERRORS, unpack_one
from streamer.state.base import Entry

make_tuple: Any = tuple.__new__
"""Makes named tuples in half the time, for what is done for each entry of a checkpoint."""

INT_MIN, INT_MAX = -(2**63), 2**64 - 1
"""What msgpack has a form for."""


class Sentinel:
    """Is nothing but itself."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


ABSENT = Sentinel("ABSENT")
"""The cell of a key of which is known that it has no value."""
MISSING = Sentinel("MISSING")
"""No cell: only the store knows."""


class Expiring(NamedTuple):
    """A cell until its time; no other cell is a tuple."""

    cell: Any
    expires_s: float


class Coder:
    """Packs and unpacks for one thread."""

    def __init__(self) -> None:
        self._pack: Callable[[object], bytes] = msgpack.Packer(autoreset=True, datetime=True, default=_whole).pack

    def key(self, key: object) -> tuple[Any, bytes]:
        """The key as it is kept, and packed. Raises MessageError."""
        if type(key) is not str and type(key) is not int:
            key = _normal(key)
        try:
            packed = self._pack(key)
        except PACK_ERRORS as error:
            raise no_key(key, error) from error
        if len(packed) > STATE_KEY_BYTES_MAX:
            raise MessageError(
                f"a key of {len(packed)} bytes is over the limit of {STATE_KEY_BYTES_MAX} (STATE_KEY_BYTES_MAX)",
                remedy="Use a shorter key, for example a hash of this one.",
            )
        return (key if type(key) is str or type(key) is int else self.kept_key(packed)), packed

    def kept_key(self, packed: bytes) -> Any:
        """A key as it is kept; arrays become tuples."""
        return _tuples(unpack_one(packed))

    def cell(self, value: object) -> Any:
        """The cell of a value, which its owner may go on using. Raises MessageError."""
        kind = type(value)
        if kind is float or kind is bool or value is None or (kind is int and INT_MIN <= value <= INT_MAX):  # type: ignore[operator]  # it is an int
            return value
        if kind is str and value.isascii() and len(value) <= STATE_VALUE_BYTES_MAX:  # type: ignore[attr-defined, arg-type]  # it is a str
            return value
        try:
            packed = self._pack(value)
        except PACK_ERRORS as error:
            raise MessageError(f"a value of type {kind.__name__} cannot be kept as state: {error}") from error
        if len(packed) > STATE_VALUE_BYTES_MAX:
            raise MessageError(
                f"a value of {len(packed)} bytes is over the limit of {STATE_VALUE_BYTES_MAX} (STATE_VALUE_BYTES_MAX)",
                remedy="Keep it in parts: as the elements of a list, or the fields of a map.",
            )
        return packed

    def packed_key(self, key: Any) -> bytes:
        """Of a key that is one: what it is equal to is packed."""
        return self._pack(key) if type(key) is str or type(key) is int else self.key(key)[1]

    def plain_keys(self, keys: Collection[Any]) -> list[bytes] | None:
        """All of them packed, if they are texts and ints only."""
        return list(map(self._pack, keys)) if _PLAIN_KEYS.issuperset(map(type, keys)) else None

    def plain_values(self, cells: Collection[Any]) -> list[bytes] | None:
        """What a checkpoint writes for these cells, if none of them is absent or expires."""
        return list(map(self._pack, cells)) if _PLAIN_CELLS.issuperset(map(type, cells)) else None

    def entry(self, cell: Any) -> Entry | None:
        """What a checkpoint writes for a cell."""
        if cell is ABSENT:
            return None
        expires_s = 0.0
        if type(cell) is Expiring:
            cell, expires_s = cell
        entry: Entry = make_tuple(Entry, (cell if type(cell) is bytes else self._pack(cell), expires_s))
        return entry


def value_of(cell: Any) -> Any:
    """What a user sees of a cell that is neither absent nor expiring: an object of his own."""
    return unpack_one(cell) if type(cell) is bytes else cell


def cell_of(entry: Entry | None) -> Any:
    """The cell of what the store has."""
    if entry is None:
        return ABSENT
    value, expires_s = entry
    cell: Any = value
    if value and value[0] in _PLAIN:
        cell = unpack_one(value)
        if type(cell) is str and not cell.isascii():
            cell = value
    return Expiring(cell, expires_s) if expires_s else cell


def living(cells: Iterable[tuple[Any, Any]], now_s: Callable[[], float]) -> Iterable[tuple[Any, Any]]:
    """Those that have a value now, and no longer expiring."""
    for key, cell in cells:
        if type(cell) is Expiring:
            if cell.expires_s > now_s():
                yield key, cell.cell
        elif cell is not ABSENT:
            yield key, cell


def no_key(key: object, cause: BaseException) -> MessageError:
    """The error for a key that cannot be one."""
    return MessageError(
        f"a key of type {type(key).__name__} cannot be one of keyed state: {cause}",
        remedy="Use texts, numbers, bytes, None, or tuples of them as keys.",
    )


_PLAIN = frozenset(
    (*range(0x80), *range(0xA0, 0xC1), 0xC2, 0xC3, *range(0xCA, 0xD4), *range(0xD9, 0xDC), *range(0xE0, 0x100))
)
"""First bytes of None, bools, numbers and texts."""
_PLAIN_KEYS = frozenset((int, str))
_PLAIN_CELLS = frozenset((int, float, bool, str, type(None)))


def _whole(value: object) -> object:
    """For the packer: arrays are packed into the value, whatever their size. Raises TypeError."""
    try:
        return packed_array(value)
    except LargeArrayError:
        return whole_array(value)


def _normal(key: object) -> object:
    """One of all keys that are equal. Raises MessageError for one that is not equal to itself."""
    if isinstance(key, tuple):
        return tuple(map(_normal, key))
    if isinstance(key, float):
        if math.isnan(key):
            raise MessageError("nan is no key: it is not equal to itself", remedy="Use another key in its place.")
        return int(key) if key.is_integer() and INT_MIN <= key <= INT_MAX else float(key)
    return index(key) if hasattr(key, "__index__") else key


def _tuples(key: Any) -> Any:
    return tuple(map(_tuples, key)) if isinstance(key, list | tuple) else key
