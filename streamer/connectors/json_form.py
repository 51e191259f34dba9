"""The JSON form of a message: one text for every value that a message can hold, for people and other programs.

Messages are msgpack values, and msgpack holds more than JSON does: bytes, extension types, keys that are no strings,
NaN. A sink or a dead letter must not fail on those, and a text that other programs refuse is no JSON, so each of them
has a form of its own here, an object whose key begins with a dollar sign (bytes are `{"$base64": "..."}`). The form is
for reading: two different messages can have the same one (a map that holds a key "$base64" itself stays as it is), so
nothing in the engine turns it back. Plain values take the C encoder alone; a message with one of the others is
converted first, which costs a few microseconds more.

| value | form |
|---|---|
| bytes | `{"$base64": "AAE="}` |
| NaN, infinities | `{"$float": "NaN"}`, `"Infinity"`, `"-Infinity"` |
| datetime, msgpack timestamp | `{"$timestamp": "1700000000.000000001"}`: seconds since 1970, exact |
| array of NumPy | `{"$array": "<f8", "shape": [2, 3], "$base64": "AAE="}` |
| msgpack extension | `{"$ext": 7, "$base64": "AAE="}` |
| any key that is no str | the JSON text of the key: `1`, `null`, `{"$base64":"AAE="}` |
| all else, and what is nested too deeply | `{"$repr": "..."}` |
"""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from json import JSONEncoder

from msgpack import ExtType, Timestamp


class _NotPlainError(Exception):
    """The value holds something that JSON does not know."""


def _refuse(_value: object) -> object:
    raise _NotPlainError


# Messages have no cycles: they were packed.
_encode = JSONEncoder(
    ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":"), default=_refuse
).encode
_encode_ascii = JSONEncoder(ensure_ascii=True, allow_nan=False, check_circular=False, separators=(",", ":")).encode

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TOO_DEEP = {"$repr": "a value nested too deeply to be written"}


def to_json(value: object) -> str:
    """One line of JSON, for any value; it can always be encoded as UTF-8."""
    try:
        text = _encode(value)
    except (_NotPlainError, TypeError, ValueError):
        # TypeError: a key that is no str; ValueError: NaN or an infinity. An extension always holds bytes, so that a
        # value that the C encoder takes for a tuple gets here too.
        value = _plain_or_too_deep(value)
        text = _encode(value)
    except RecursionError:
        value = _TOO_DEEP
        text = _encode(value)
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:  # a lone surrogate, from "\ud800" in a JSON text
            text = _encode_ascii(value)
    return text


def _plain_or_too_deep(value: object) -> object:
    try:
        return _plain(value)
    except RecursionError:
        return _TOO_DEEP


def _plain(value: object) -> object:
    """The same value in JSON's own types. One Python frame a level: a message nests up to 511 deep."""
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Mapping):
        fields = {}
        for key, child in value.items():
            fields[key if isinstance(key, str) else to_json(key)] = _plain(child)
        return fields
    if isinstance(value, list | tuple) and not isinstance(value, ExtType):
        children = []
        for child in value:
            children.append(_plain(child))  # noqa: PERF401 -- a comprehension is a second frame a level
        return children
    return _special(value)


def _special(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": _float_name(value)}
    if isinstance(value, bytes | bytearray | memoryview):
        return {"$base64": b64encode(value).decode("ascii")}
    if isinstance(value, ExtType):
        return {"$ext": value.code, "$base64": b64encode(value.data).decode("ascii")}
    if isinstance(value, Timestamp):
        # Seconds count down below 1970 while nanoseconds always count up: written as one exact number.
        return _timestamp(value.seconds * 1_000_000_000 + value.nanoseconds)
    if isinstance(value, datetime) and value.tzinfo is not None:
        return _timestamp((value - _EPOCH) // timedelta(microseconds=1) * 1_000)
    dtype, shape = getattr(value, "dtype", None), getattr(value, "shape", None)
    if dtype is not None and shape is not None:
        content = b64encode(memoryview(value).tobytes()).decode("ascii")  # type: ignore[arg-type]  # arrays are buffers
        return {"$array": str(dtype.str), "shape": list(shape), "$base64": content}
    return {"$repr": repr(value)}


def _timestamp(nanoseconds: int) -> dict[str, str]:
    sign, nanoseconds = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    return {"$timestamp": f"{sign}{nanoseconds // 1_000_000_000}.{nanoseconds % 1_000_000_000:09d}"}


def _float_name(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
