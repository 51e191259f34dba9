"""Messages of a topic to records of a source: bytes to values, many at once.

A message whose value cannot be read becomes a bad record with its topic, partition and offset, and harms no other. With
`record: true` a value comes with what Kafka keeps beside it, in a map whose fields a sink can take apart again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgpack

from streamer import limits
from streamer.connectors.base import BadRecord, Mark, Records
from streamer.connectors.decoders import json_value

_Read = Callable[[bytes], object]


class Message(Protocol):
    """What aiokafka gives; `timestamp` is in milliseconds since 1970."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


def _json(value: bytes) -> object:
    return json_value(value.decode())


def _text(value: bytes) -> object:
    return value.decode("utf-8", "replace")


def _msgpack(value: bytes) -> object:
    return msgpack.unpackb(value, strict_map_key=False)


def _raw(value: bytes) -> object:
    return value


_READS: dict[str, _Read] = {"json": _json, "text": _text, "msgpack": _msgpack, "raw": _raw}
_ERRORS = (ValueError, TypeError, RecursionError, msgpack.UnpackException)
_TOMBSTONE = "a deletion (a message without a value)"


class MessageDecoder:
    """Of one source: `record_format` is that of the values; `whole` asks for all that a message has."""

    def __init__(self, record_format: str, *, whole: bool) -> None:
        self._read = _READS[record_format]
        self._format = record_format
        self._whole = whole

    def records(self, messages: Sequence[Message]) -> Records:
        """Of messages of one partition, in their order. Deletions have no value, and are passed on as None."""
        first, last = messages[0].offset, messages[-1].offset
        mark = Mark(first, 0)
        read = self._read
        try:
            values = [None if m.value is None else read(m.value) for m in messages]
        except _ERRORS:
            return self._one_by_one(mark, messages)
        if self._whole:
            values = [_whole(m, value) for m, value in zip(messages, values, strict=True)]
        together = last - first == len(messages) - 1
        return Records(mark, range(first, last + 1) if together else [m.offset for m in messages], values)

    def _one_by_one(self, mark: Mark, messages: Sequence[Message]) -> Records:
        positions: list[int] = []
        values: list[object] = []
        bad: list[BadRecord] = []
        for m in messages:
            try:
                value = None if m.value is None else self._read(m.value)
            except _ERRORS as error:
                bad.append(self._bad(m, error))
            else:
                positions.append(m.offset)
                values.append(_whole(m, value) if self._whole else value)
        return Records(mark, positions, values, tuple(bad))

    def _bad(self, m: Message, error: Exception) -> BadRecord:
        place = f"topic {m.topic}, partition {m.partition}, offset {m.offset}"
        value = m.value or b""
        text = value[: limits.BAD_RECORD_BYTES_MAX].decode("utf-8", "replace")
        if len(value) > limits.BAD_RECORD_BYTES_MAX:
            text = f"{text}… ({len(value)} bytes)"
        return BadRecord(m.offset, place, text, f"not {self._format}: {str(error) or type(error).__name__}")


def _whole(m: Message, value: object) -> dict[str, Any]:
    return {
        "topic": m.topic,
        "partition": m.partition,
        "offset": m.offset,
        "time": m.timestamp / 1000,
        "key": _text_or_bytes(m.key),
        "headers": {name: _text_or_bytes(content) for name, content in m.headers},
        "value": value,
    }


def _text_or_bytes(content: bytes | None) -> str | bytes | None:
    """As text if it is one, as nearly all are."""
    try:
        return None if content is None else content.decode()
    except UnicodeDecodeError:
        return content
