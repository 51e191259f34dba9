"""Messages to the bytes of a sink: one whole record each, in one of three formats.

A sink gets up to a frame of messages at once and writes them with one call to the system, so an encoder turns the whole
batch into one piece of bytes. `text` and `jsonl` promise one record a line, whatever the message holds: a line end
inside a str is written as its escape (`\\n`), where leaving it would silently make two records of one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgpack

from streamer.connectors.json_form import to_json
from streamer.protocol.buffers import whole_array

Encoder = Callable[[Sequence[object]], bytes]


class Format(StrEnum):
    """How records stand in a file or stream. `text`: a str a line; what is no str is written in its JSON form."""

    TEXT = "text"
    JSONL = "jsonl"
    MSGPACK = "msgpack"


def format_of(spec: Mapping[str, Any], default: Format) -> Format:
    return Format(spec.get("format") or default)


def encoder(record_format: Format) -> Encoder:
    """What turns a batch of messages into the bytes of their records, each with its line end."""
    return _ENCODERS[record_format]


def _text(values: Sequence[object]) -> bytes:
    lines = [value if isinstance(value, str) else to_json(value) for value in values]
    text = "\n".join(lines)
    if text.count("\n") != len(lines) - 1 or "\r" in text:
        text = "\n".join([line.replace("\r", "\\r").replace("\n", "\\n") for line in lines])
    return (text + "\n").encode("utf-8", "replace")


def _jsonl(values: Sequence[object]) -> bytes:
    return ("\n".join(map(to_json, values)) + "\n").encode()


def _msgpack(values: Sequence[object]) -> bytes:
    return b"".join([msgpack.packb(value, datetime=True, default=whole_array) for value in values])


_ENCODERS: Mapping[Format, Encoder] = {Format.TEXT: _text, Format.JSONL: _jsonl, Format.MSGPACK: _msgpack}
