"""Messages of a topic as records, and messages of a pipeline as what Kafka keeps of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgpack
import pytest

from streamer.connectors.kafka.records import MessageDecoder
from streamer.connectors.kafka.rows import Row, RowEncoder

LARGE = 1 << 20


@dataclass
class Message:
    """As a client gives it."""

    value: bytes | None
    offset: int = 0
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()
    topic: str = "orders"
    partition: int = 3
    timestamp: int = 1_500


@pytest.mark.parametrize(
    ("record_format", "value", "read"),
    [
        pytest.param("json", b'{"a": [1, 2]}', {"a": [1, 2]}, id="json"),
        pytest.param("text", b"a\xff", "a\ufffd", id="text"),
        pytest.param("msgpack", msgpack.packb({1: b"x"}), {1: b"x"}, id="msgpack"),
        pytest.param("raw", b"\x00\xff", b"\x00\xff", id="raw"),
        pytest.param("json", None, None, id="a-deletion"),
    ],
)
def test_a_value_is_read_by_its_format(record_format: str, value: bytes | None, read: object) -> None:
    records = MessageDecoder(record_format, whole=False).records([Message(value, 7)])

    assert (list(records.positions), records.values, records.bad) == ([7], [read], ())


def test_positions_are_offsets_also_where_some_are_missing() -> None:
    decoder = MessageDecoder("raw", whole=False)

    assert decoder.records([Message(b"a", 5), Message(b"b", 6)]).positions == range(5, 7)
    assert decoder.records([Message(b"a", 5), Message(b"b", 9)]).positions == [5, 9]


@pytest.mark.parametrize(
    ("record_format", "value"),
    [
        pytest.param("json", b"{", id="json"),
        pytest.param("json", b"\xff", id="no-text"),
        pytest.param("json", b"[" * 100_000, id="nested-too-deeply"),
        pytest.param("msgpack", b"\xc1", id="msgpack"),
        pytest.param("msgpack", b"\x01\x02", id="two-values"),
    ],
)
def test_a_value_that_cannot_be_read_harms_no_other(record_format: str, value: bytes) -> None:
    good = msgpack.packb(1) if record_format == "msgpack" else b"1"
    records = MessageDecoder(record_format, whole=False).records(
        [Message(good, 0), Message(value, 1), Message(good, 2)]
    )

    assert (list(records.positions), records.values) == ([0, 2], [1, 1])
    (bad,) = records.bad
    assert (bad.position, bad.place) == (1, "topic orders, partition 3, offset 1")
    assert bad.error.startswith(f"not {record_format}: ")


def test_a_whole_record_has_all_that_kafka_keeps() -> None:
    message = Message(b"1", 7, b"k", [("trace", b"abc"), ("raw", b"\xff")])
    (value,) = MessageDecoder("json", whole=True).records([message]).values

    assert value == {
        "topic": "orders",
        "partition": 3,
        "offset": 7,
        "time": 1.5,
        "key": "k",
        "headers": {"trace": "abc", "raw": b"\xff"},
        "value": 1,
    }


def test_a_whole_record_goes_back_into_the_same_parts() -> None:
    message = Message(b'{"a":1}', 7, b"k", [("trace", b"abc"), ("raw", b"\xff")])
    (value,) = MessageDecoder("json", whole=True).records([message]).values
    rows, refused = encoder(key="key", value="value", headers="headers").rows([value], LARGE)

    assert (rows, refused) == ([Row(b"k", b'{"a":1}', [("trace", b"abc"), ("raw", b"\xff")])], {})


def encoder(record_format: str = "json", **fields: Any) -> RowEncoder:
    return RowEncoder({"format": record_format, **fields})


def test_without_fields_a_message_is_the_value() -> None:
    assert encoder().rows([{"a": 1}, None], LARGE) == ([Row(None, b'{"a":1}', []), Row(None, b"null", [])], {})


@pytest.mark.parametrize(
    ("key", "written"),
    [
        pytest.param("k", b"k", id="text"),
        pytest.param(b"k", b"k", id="bytes"),
        pytest.param(7, b"7", id="number"),
        pytest.param([1], b"[1]", id="list"),
        pytest.param(None, None, id="none"),
    ],
)
def test_a_key_is_bytes_whatever_it_was(key: object, written: bytes | None) -> None:
    ((row,), _) = encoder(key="id").rows([{"id": key}], LARGE)

    assert row.key == written


def test_a_key_without_a_value_is_a_deletion() -> None:
    assert encoder(key="id", value="v").rows([{"id": "k", "v": None}], LARGE)[0] == [Row(b"k", None, [])]


@pytest.mark.parametrize(
    ("fields", "record_format", "message", "reason"),
    [
        pytest.param({"value": "v"}, "json", {"w": 1}, "no map with a field 'v'", id="no-value"),
        pytest.param({"value": "v"}, "json", "v", "no map with a field 'v'", id="no-map"),
        pytest.param({"headers": "h"}, "json", {"h": 1}, "'h' is no map of headers", id="no-headers"),
        pytest.param({}, "raw", 7, "not of int", id="not-raw"),
        pytest.param({}, "text", "x" * 1000, "more than the topic takes (500)", id="too-large"),
    ],
)
def test_what_cannot_be_a_record_is_refused_alone(
    fields: dict[str, str], record_format: str, message: object, reason: str
) -> None:
    good: dict[str, object] = {"v": b"1", "h": {}} if fields else {}
    rows, refused = encoder(record_format, **fields).rows([good or b"1", message, good or b"2"], 500)

    assert len(rows) == 2
    assert list(refused) == [1]
    assert reason in str(refused[1])
