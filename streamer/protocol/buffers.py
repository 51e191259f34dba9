"""Large buffers of a message, and arrays: they travel as parts of their own, referred to from the packed message.

Packing copies all that it packs, twice over, and a frame's body is copied once more, which is what a message of many
megabytes costs most. So bytes of 128 KB and more are taken out: an extension type stands in their place and says which
part of the frame they are. What cannot change is never copied on its way out; a buffer that its owner may write to is
copied once, since the owner may do so as soon as it is sent. Arrays (whatever has the buffer protocol and is no bytes)
keep their type and shape; small ones travel inside the message. A large message travels alone, so its frame has one.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Sequence
from typing import Any

import msgpack

from streamer.limits import BUFFERS_MAX, LARGE_BYTES

ARRAY = 126
BUFFER = 127
"""Codes of extension types that a message of the user's cannot use for its own."""

_FORMATS = {"f2": "e", "f4": "f", "f8": "d", "b1": "?"} | {
    f"i{n}": c for n, c in zip((1, 2, 4, 8), "bhiq", strict=True)
}
_FORMATS |= {f"u{n}": c for n, c in zip((1, 2, 4, 8), "BHIQ", strict=True)}
_NATIVE = "<" if sys.byteorder == "little" else ">"
_TYPES = {"e": "f", "f": "f", "d": "f", "?": "b"} | dict.fromkeys("bhilq", "i") | dict.fromkeys("BHILQ", "u")


class Bulky(bytes):
    """A packed message without its large buffers, which are beside it; its length is that of all of it."""

    buffers: list[Any]

    def __len__(self) -> int:
        return bytes.__len__(self) + sum(map(len, self.buffers))


class LargeArrayError(TypeError):
    """An array that is not to be packed into a message but to travel beside it."""


def packed_array(value: object) -> object:
    """For the packer: a value that msgpack does not know, if it is an array. Raises TypeError.

    A single number of an array's type is a number.
    """
    if hasattr(value, "dtype") and getattr(value, "shape", None) == ():
        return value.item()  # type: ignore[attr-defined]  # NumPy's numbers have it
    try:
        size = memoryview(value).nbytes  # type: ignore[arg-type]  # whatever is no buffer raises
    except TypeError:
        raise TypeError(_unpackable(value)) from None
    _check_items(value)
    if size >= LARGE_BYTES:
        raise LargeArrayError(f"an array of {LARGE_BYTES} bytes or more")
    return whole_array(value)


def _unpackable(value: object) -> str:
    if isinstance(value, int):
        return "it holds an integer of more than 64 bits"
    return f"it holds a value of type {type(value).__name__}, which msgpack has no form for"


def whole_array(value: object) -> msgpack.ExtType:
    """For a packer that writes messages where nothing can be beside them. Raises TypeError if it is no array."""
    return msgpack.ExtType(ARRAY, msgpack.packb([*_type_and_shape(value), bytes(_content(value))]))


def take_out(value: object, pack: Callable[[object], bytes]) -> Bulky:
    """Pack without the large buffers. Raises what `pack` raises."""
    buffers: list[Any] = []
    blob = Bulky(pack(_without(value, buffers)))
    blob.buffers = buffers
    return blob


def _without(value: object, buffers: list[Any]) -> object:
    if isinstance(value, dict):
        return {key: _without(child, buffers) for key, child in value.items()}
    if isinstance(value, msgpack.ExtType):
        return value
    if isinstance(value, list | tuple):
        return [_without(child, buffers) for child in value]
    if value is None or isinstance(value, str | int | float) or len(buffers) >= BUFFERS_MAX:
        return value
    return _placed(value, buffers)


def _placed(value: object, buffers: list[Any]) -> object:
    try:
        data = _content(value)
    except TypeError:  # the packer knows it, or says what is wrong with it
        return value
    if len(data) < LARGE_BYTES:
        return value
    buffers.append(data)
    at = len(buffers) - 1
    if isinstance(value, bytes | bytearray | memoryview):
        return msgpack.ExtType(BUFFER, msgpack.packb(at))
    return msgpack.ExtType(ARRAY, msgpack.packb([*_type_and_shape(value), at]))


def _content(value: Any) -> bytes | memoryview:
    """The bytes of a buffer, in one piece, that nobody can change. Raises TypeError."""
    if type(value) is bytes:
        return value
    view = memoryview(value)
    if view.format not in _TYPES and not hasattr(value, "dtype"):
        raise TypeError(f"an array of items of the format {view.format!r}")
    _check_items(value)
    whole = view.readonly and view.c_contiguous and view.nbytes and view.format in _TYPES
    return view.cast("B") if whole else view.tobytes()


def _check_items(array: object) -> None:
    """Raises TypeError if the items of an array of NumPy have no form outside of this process."""
    dtype = getattr(array, "dtype", None)
    if getattr(dtype, "hasobject", False):
        raise TypeError("an array of objects")
    if getattr(dtype, "fields", None):
        raise TypeError("an array of records, whose fields would be lost; send each field as an array of its own")


def _type_and_shape(value: Any) -> tuple[str, list[int]]:
    view: Any = memoryview(value)
    dtype = getattr(value, "dtype", None)
    kind = _NATIVE + _TYPES[view.format] + str(view.itemsize) if dtype is None else str(dtype.str)
    return kind, list(view.shape)


def restoring(buffers: Sequence[bytes | memoryview]) -> Callable[[int, bytes], object]:
    """For the unpacker: what stands for a buffer or an array becomes it; any other extension stays what it is."""

    def restored(code: int, data: bytes) -> object:
        if code not in (ARRAY, BUFFER):
            return msgpack.ExtType(code, data)
        try:
            if code == BUFFER:
                return bytes(buffers[msgpack.unpackb(data)])
            dtype, shape, content = msgpack.unpackb(data)
            return _array(dtype, shape, buffers[content] if isinstance(content, int) else content)
        except (ValueError, TypeError, IndexError, msgpack.UnpackException):
            return msgpack.ExtType(code, data)

    return restored


restored_inside = restoring(())
"""For messages that are whole."""


def _array(dtype: str, shape: list[int], content: bytes | memoryview) -> object:
    """An array of NumPy where that is installed, else a memoryview of this shape; neither can be written to."""
    content = memoryview(content).toreadonly()
    if importlib.util.find_spec("numpy") is not None:
        numpy: Any = importlib.import_module("numpy")
        return numpy.frombuffer(content, numpy.dtype(dtype)).reshape(shape)
    if dtype[0] not in (_NATIVE, "|") or dtype[1:] not in _FORMATS:
        return bytes(content)
    view: Any = memoryview(content)
    return view.cast(_FORMATS[dtype[1:]], shape) if content else view
