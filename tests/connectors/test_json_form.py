"""The JSON form of messages: every value that msgpack carries gives one line that any JSON reader accepts.

The table of forms in the module is shown case by case, then the for-all rule by property.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgpack import ExtType, Timestamp

from streamer.connectors.json_form import to_json


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param({"id": 1, "name": "x"}, '{"id":1,"name":"x"}', id="plain"),
        pytest.param("Grüße", '"Grüße"', id="text-stays-readable"),
        pytest.param(b"\x00\x01", '{"$base64":"AAE="}', id="bytes"),
        pytest.param([{"a": b"\x00\x01"}], '[{"a":{"$base64":"AAE="}}]', id="nested-bytes"),
        pytest.param({b"\x00\x01": 1}, '{"{\\"$base64\\":\\"AAE=\\"}":1}', id="bytes-as-a-key"),
        pytest.param({1: "a", None: "b", False: "c"}, '{"1":"a","null":"b","false":"c"}', id="plain-keys"),
        pytest.param({1: b""}, '{"1":{"$base64":""}}', id="plain-key-beside-bytes"),
        pytest.param({(1, "a"): 2}, '{"[1,\\"a\\"]":2}', id="tuple-as-a-key"),
        pytest.param(float("nan"), '{"$float":"NaN"}', id="nan"),
        pytest.param([float("inf"), float("-inf")], '[{"$float":"Infinity"},{"$float":"-Infinity"}]', id="infinities"),
        pytest.param(Timestamp(1_700_000_000, 1), '{"$timestamp":"1700000000.000000001"}', id="timestamp"),
        pytest.param(
            datetime(2023, 11, 14, 22, 13, 20, 1, UTC), '{"$timestamp":"1700000000.000001000"}', id="datetime"
        ),
        pytest.param(Timestamp(-1, 500_000_000), '{"$timestamp":"-0.500000000"}', id="timestamp-before-1970"),
        pytest.param(ExtType(7, b"\x00\x01"), '{"$ext":7,"$base64":"AAE="}', id="extension"),
        pytest.param((1, (2,)), "[1,[2]]", id="tuples"),
        pytest.param({1}, '{"$repr":"{1}"}', id="anything-else"),
    ],
)
def test_each_value_has_its_form(value: object, text: str) -> None:
    assert to_json(value) == text


def test_a_line_end_inside_a_message_does_not_end_the_line() -> None:
    assert "\n" not in to_json({"a\n": "b\r\n"})


def test_a_lone_surrogate_is_escaped() -> None:
    assert to_json("a\ud800ü") == '"a\\ud800\\u00fc"'


def test_the_deepest_message_that_msgpack_packs_has_a_form() -> None:
    value: Any = b"\x00"
    for _ in range(510):
        value = [value]
    assert msgpack.unpackb(msgpack.packb(value)) == value

    assert to_json(value).startswith("[" * 510 + '{"$base64"')


def test_a_value_nested_too_deeply_is_told_and_not_raised() -> None:
    value: Any = b"\x00"
    for _ in range(50_000):
        value = [value]

    assert "nested too deeply" in to_json(value)


_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text()
    | st.binary()
    | st.builds(ExtType, st.integers(0, 127), st.binary(max_size=8))
    | st.builds(Timestamp, st.integers(-(2**40), 2**40), st.integers(0, 999_999_999))
)
_messages = st.recursive(
    _scalars,
    lambda children: (
        st.lists(children, max_size=4)
        | st.dictionaries(st.text() | st.integers(-(2**63), 2**64 - 1), children, max_size=4)
    ),
    max_leaves=12,
)


@given(_messages)
def test_every_message_is_one_line_of_strict_json(message: object) -> None:
    def refuse(constant: str) -> object:
        raise AssertionError(f"{constant} is no JSON")

    text = to_json(msgpack.unpackb(msgpack.packb(message), strict_map_key=False))

    assert "\n" not in text
    json.loads(text.encode(), parse_constant=refuse)
