"""Messages to records: one a line, whatever they hold."""

from __future__ import annotations

from array import array
from datetime import UTC, datetime

import msgpack
import pytest

from streamer.connectors.encoders import Format, encoder, format_of
from streamer.protocol.codec import join, packer, unpack


def test_text_writes_a_str_as_it_is_and_all_else_in_its_json_form() -> None:
    assert encoder(Format.TEXT)(["a", "b ü", {"n": 1}, 7]) == 'a\nb ü\n{"n":1}\n7\n'.encode()


def test_a_str_with_line_ends_stays_one_line_of_text() -> None:
    assert encoder(Format.TEXT)(["a\nb", "c\r", "d"]) == b"a\\nb\nc\\r\nd\n"


def test_jsonl_writes_one_json_value_a_line() -> None:
    assert encoder(Format.JSONL)(["a\nb", {"data": b"\x00"}]) == b'"a\\nb"\n{"data":{"$base64":"AA=="}}\n'


def test_msgpack_writes_values_one_behind_the_other() -> None:
    values = [{"data": b"\x00"}, None, [1.5, "x"]]

    assert encoder(Format.MSGPACK)(values) == b"".join(msgpack.packb(value) for value in values)


@pytest.mark.parametrize("record_format", list(Format))
def test_every_format_has_a_form_for_what_can_arrive(record_format: Format) -> None:
    kinds = [datetime(2026, 1, 1, tzinfo=UTC), msgpack.Timestamp(5), msgpack.ExtType(5, b"x"), array("d", [1.5]), 1.5]
    arrived = unpack(join([packer()(value) for value in kinds]))

    assert encoder(record_format)(arrived)


@pytest.mark.parametrize("record_format", list(Format))
def test_a_spec_names_the_format(record_format: Format) -> None:
    assert format_of({"format": str(record_format)}, Format.TEXT) is record_format


def test_without_a_format_the_default_holds() -> None:
    assert format_of({}, Format.JSONL) is Format.JSONL
