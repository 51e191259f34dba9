"""Messages to what Kafka keeps of them: key, value, headers.

A message is the value of its record, unless fields of it are named for the parts. Keys, headers and text values that
are no text are written in their JSON form. What cannot be a record is refused by itself, and harms no other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgpack

from streamer.connectors.json_form import to_json
from streamer.protocol.buffers import whole_array

_RECORD_OVERHEAD_BYTES = 128
"""Of a record and of the batch that it may be alone in, beside key, value and headers."""


class RowError(Exception):
    """A message cannot be a record."""


class Row(NamedTuple):
    """One record; a value of None deletes its key where a topic is compacted."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]

    @property
    def size(self) -> int:
        """Bytes of its batch if it is alone in it, or somewhat less."""
        headers = sum(len(name) + len(content) for name, content in self.headers)
        return _RECORD_OVERHEAD_BYTES + len(self.key or b"") + len(self.value or b"") + headers


def _json(value: object) -> bytes:
    return to_json(value).encode()


def _text(value: object) -> bytes:
    return (value if isinstance(value, str) else to_json(value)).encode("utf-8", "replace")


def _msgpack(value: object) -> bytes:
    return msgpack.packb(value, datetime=True, default=whole_array)  # type: ignore[no-any-return]  # msgpack ships no types


def _raw(value: object) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "replace")
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    raise RowError(f"a raw record is made of bytes or of a text, and not of {type(value).__name__}")


_WRITES: Mapping[str, Callable[[object], bytes]] = {"json": _json, "text": _text, "msgpack": _msgpack, "raw": _raw}


class RowEncoder:
    """Of one sink: `spec` has `format`, and perhaps the fields `key`, `value` and `headers`."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self._write = _WRITES[spec["format"]]
        self._key: str | None = spec.get("key")
        self._value: str | None = spec.get("value")
        self._headers: str | None = spec.get("headers")
        self._whole = not (self._key or self._value or self._headers)

    def rows(self, values: Sequence[object], row_bytes_max: int) -> tuple[list[Row], dict[int, Exception]]:
        """The rows, and by the index of its message why there is none."""
        rows: list[Row] = []
        refused: dict[int, Exception] = {}
        for index, value in enumerate(values):
            try:
                row = Row(None, self._write(value), []) if self._whole else self._row(value)
                if row.size > row_bytes_max:
                    raise RowError(f"a record of {row.size} bytes is more than the topic takes ({row_bytes_max})")
            except (RowError, ValueError, TypeError) as error:
                refused[index] = error
            else:
                rows.append(row)
        return rows, refused

    def _row(self, message: object) -> Row:
        fields = message if isinstance(message, Mapping) else {}
        value = message
        if self._value is not None:
            if self._value not in fields:
                raise RowError(f"the message is no map with a field {self._value!r}, which is to be the value")
            value = fields[self._value]
        key = _plain(fields.get(self._key)) if self._key is not None else None
        deletes = value is None and key is not None and self._value is not None
        headers = fields.get(self._headers) if self._headers is not None else None
        if headers is not None and not isinstance(headers, Mapping):
            raise RowError(f"the field {self._headers!r} is no map of headers")
        told = [(str(name), _plain(content) or b"") for name, content in (headers or {}).items()]
        return Row(key, None if deletes else self._write(value), told)


def _plain(value: object) -> bytes | None:
    if value is None or isinstance(value, bytes):
        return value
    return _text(value)
