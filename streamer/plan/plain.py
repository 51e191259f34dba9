"""Frozen values as plain JSON values and back, by the types that their classes declare.

A plan and the state of a job must outlive the process that made them, in a control log that people and other languages
read, so they are kept as JSON and not pickled. Each class could bring its own reader, as the few that travel to
instances do; but a plan consists of a dozen classes that grow with every kind of node, and a reader that forgets a
field loses it silently. What is absent gets its class's default: a record of an earlier version stays readable.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from streamer.errors import StateError

_T = TypeVar("_T")


def plain(value: object) -> Any:
    """Objects for dataclasses and mappings, arrays for sequences, sorted arrays for sets."""
    if dataclasses.is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, frozenset | set):
        return sorted(plain(one) for one in value)
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value.value if isinstance(value, Enum) else value


def typed(kind: type[_T], raw: object) -> _T:
    """The value of class `kind` that `plain` made `raw` of. Raises StateError if it is none."""
    try:
        return cast(_T, _typed(kind, raw))
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise StateError(f"a record in the control log is no {kind.__name__} of this version: {error}") from error


def _typed(kind: Any, raw: Any) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        (one,) = (argument for argument in arguments if argument is not type(None))
        return None if raw is None else _typed(one, raw)
    if origin is tuple:
        return tuple(_typed(arguments[0], one) for one in raw)
    if origin is frozenset:
        return frozenset(_typed(arguments[0], one) for one in raw)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {key: _typed(arguments[1], one) for key, one in raw.items()}
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        fields = _fields(kind)
        return kind(**{name: _typed(fields[name], one) for name, one in raw.items()})
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(raw)
    return raw


@cache
def _fields(kind: type) -> Mapping[str, Any]:
    return get_type_hints(kind)
