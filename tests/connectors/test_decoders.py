"""Bytes to records: wherever the blocks are cut and wherever reading begins, records and marks are the same."""

from __future__ import annotations

import json

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer import limits
from streamer.connectors.base import START, BadRecord, Mark, Records
from streamer.connectors.decoders import Decoder, decoder
from streamer.connectors.encoders import Format


def drain(records: Decoder, limit: int) -> list[Records]:
    batches = []
    while (batch := records.take(limit)) is not None:
        batches.append(batch)
    return batches


def read(
    record_format: Format, data: bytes, mark: Mark = START, limit: int = 512, block_bytes: int = 1 << 20
) -> list[Records]:
    records = decoder(record_format, "in", mark)
    batches = []
    for start in range(mark.offset, len(data), block_bytes):
        records.feed(data[start : start + block_bytes])
        batches += drain(records, limit)
    records.finish()
    return batches + drain(records, limit)


def values(batches: list[Records]) -> list[object]:
    return [value for batch in batches for value in batch.values]


def bad(batches: list[Records]) -> list[BadRecord]:
    return [record for batch in batches for record in batch.bad]


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        pytest.param(b"", [], id="nothing"),
        pytest.param(b"a\nb\n", ["a", "b"], id="lines"),
        pytest.param(b"a\nb", ["a", "b"], id="a-last-line-without-its-end-counts"),
        pytest.param(b"\n\nb\n", ["", "", "b"], id="empty-lines-count"),
        pytest.param(b"a\r\nb\r\n", ["a", "b"], id="a-carriage-return-belongs-to-the-end"),
        pytest.param("a\x0b\x85\u2028b\n".encode(), ["a\x0b\x85\u2028b"], id="only-a-line-feed-ends-a-line"),
        pytest.param(b"a\xff\xc3\nb\n", ["a\ufffd\ufffd", "b"], id="what-is-not-utf-8-becomes-the-replacement"),
        pytest.param(b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n", ["a", "\ufeffb"], id="a-byte-order-mark-is-no-text"),
    ],
)
def test_text_gives_one_str_a_line(data: bytes, lines: list[str]) -> None:
    assert values(read(Format.TEXT, data)) == lines


def test_records_are_numbered_and_marked_by_their_first_byte() -> None:
    first, second = read(Format.TEXT, b"one\ntwo\nthree\n", limit=2)

    assert (first.mark, list(first.positions)) == (Mark(0, 0), [0, 1])
    assert (second.mark, list(second.positions)) == (Mark(2, 8), [2])


def test_a_batch_holds_about_a_frame_of_bytes() -> None:
    line = b"x" * (limits.FRAME_BYTES_MAX // 3)

    assert [len(batch.values) for batch in read(Format.TEXT, (line + b"\n") * 5)] == [3, 2]


def test_a_line_larger_than_a_frame_travels_alone() -> None:
    large = "x" * (2 * limits.FRAME_BYTES_MAX)

    assert [batch.values for batch in read(Format.TEXT, f"{large}\ny\n".encode())] == [[large], ["y"]]


def test_a_jsonl_line_that_does_not_parse_is_bad_and_its_neighbours_are_not() -> None:
    (batch,) = read(Format.JSONL, b'{"n": 1}\n{"n": \n[2]\n\n 3 \n"x" 4\n')

    assert batch.values == [{"n": 1}, [2], 3]
    assert batch.positions == [0, 2, 4]
    assert [(record.position, record.place) for record in batch.bad] == [
        (1, "in, line 2"),
        (3, "in, line 4"),
        (5, "in, line 6"),
    ]
    assert batch.bad[0].text == '{"n": '
    assert "column 7" in batch.bad[0].error
    assert batch.bad[1].error == "an empty line is not JSON"


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b'"\xff"', id="not-utf-8"),
        pytest.param(b"9" * 5000, id="a-number-too-long"),
        pytest.param(b"[" * 50_000 + b"]" * 50_000, id="nested-too-deeply"),
        pytest.param(b"{}\x00", id="something-behind-the-value"),
    ],
)
def test_whatever_is_wrong_with_a_jsonl_line_it_is_a_bad_record(line: bytes) -> None:
    batches = read(Format.JSONL, line + b"\n7\n")

    assert values(batches) == [7]
    assert [record.position for record in bad(batches)] == [0]


def test_the_end_of_a_jsonl_line_may_hold_a_carriage_return() -> None:
    assert values(read(Format.JSONL, b'{"n": 1}\r\n2\r\n')) == [{"n": 1}, 2]


def test_of_a_long_bad_record_the_beginning_is_kept() -> None:
    (record,) = bad(read(Format.JSONL, b"{" + b"x" * 1_000_000 + b"\n"))

    assert len(record.text) < 2 * limits.BAD_RECORD_BYTES_MAX
    assert record.text.endswith("… (1000001 bytes)")


@pytest.mark.parametrize("block_bytes", [1, 7, 50])
def test_a_line_over_the_size_of_a_message_is_bad_and_reading_goes_on(block_bytes: int) -> None:
    data = b"a\n" + b"x" * 100 + b"\nb\n"
    records = decoder(Format.TEXT, "in", START, record_bytes_max=50)
    batches = []
    for start in range(0, len(data), block_bytes):
        records.feed(data[start : start + block_bytes])
        batches += drain(records, 512)
    records.finish()
    batches += drain(records, 512)

    assert values(batches) == ["a", "b"]
    (record,) = bad(batches)
    assert (record.position, record.place) == (1, "in, line 2")
    assert record.error == "a record of 100 bytes is over the limit of 50"
    assert batches[-1].mark == Mark(2, 103)


def test_msgpack_gives_the_values_of_a_stream() -> None:
    stream = [{"a": 1}, b"\x00", None, {1: [2.5]}]
    (batch,) = read(Format.MSGPACK, b"".join(map(msgpack.packb, stream)))

    assert batch.values == stream
    assert list(batch.positions) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"\x81\x91\x01\x02", id="a-list-as-a-key"),
        pytest.param(b"\x93\x01\xa1\xff\x02", id="a-str-that-is-not-utf-8"),
        pytest.param(b"\xc7\x00\xff", id="a-timestamp-without-bytes"),
    ],
)
@pytest.mark.parametrize("block_bytes", [1, 2, 3, 4, 5, 1 << 20])
def test_a_msgpack_value_that_cannot_be_built_is_passed_over(value: bytes, block_bytes: int) -> None:
    batches = read(Format.MSGPACK, b"\xa1a" + value + b"\xa1b", block_bytes=block_bytes)

    assert values(batches) == ["a", "b"]
    (record,) = bad(batches)
    assert (record.position, record.place) == (1, "in, record 2 at byte 2")
    assert batches[-1].mark == Mark(2, 2 + len(value))


@pytest.mark.parametrize(
    ("tail", "error"),
    [
        pytest.param(b"\xc1\xa1b", "the rest cannot be read", id="a-byte-that-is-no-msgpack"),
        pytest.param(b"\x93\x01", "in the middle of a value", id="a-torn-end"),
        pytest.param(b"\x92\x81\x91\x01\x02", "the rest cannot be read", id="a-torn-end-of-what-cannot-be-built"),
    ],
)
@pytest.mark.parametrize("block_bytes", [1, 2, 1 << 20])
def test_where_msgpack_ends_nothing_more_is_read(tail: bytes, error: str, block_bytes: int) -> None:
    batches = read(Format.MSGPACK, b"\xa1a" + tail, block_bytes=block_bytes)

    assert values(batches) == ["a"]
    (record,) = bad(batches)
    assert record.position == 1
    assert error in record.error


def test_a_msgpack_value_over_the_size_of_a_message_ends_reading() -> None:
    records = decoder(Format.MSGPACK, "in", START, record_bytes_max=1000)
    records.feed(b"\xa1a")
    first = drain(records, 512)
    records.feed(b"\xc6" + (2 * limits.MIB).to_bytes(4, "big") + b"x" * limits.MIB)
    records.feed(b"x" * limits.MIB)
    rest = drain(records, 512)
    records.finish()

    assert values(first) == ["a"]
    assert [record.position for record in bad(rest)] == [1]
    assert records.take(512) is None


_texts = st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b"")), max_size=20).map(b"\n".join)
_json_texts = st.lists(
    st.recursive(st.integers() | st.text(), st.lists).map(lambda value: json.dumps(value).encode())
    | st.binary(max_size=5),
    max_size=12,
).map(b"\n".join)
_streams = st.lists(st.recursive(st.integers(0, 2**63) | st.binary() | st.text(), st.lists).map(msgpack.packb)).map(
    b"".join
)
_data = (
    st.tuples(st.just(Format.TEXT), _texts)
    | st.tuples(st.just(Format.JSONL), _json_texts)
    | st.tuples(st.just(Format.MSGPACK), _streams | st.binary(max_size=40))
)


def _numbered(batches: list[Records]) -> list[tuple[int, object]]:
    records: list[tuple[int, object]] = []
    for batch in batches:
        records += zip(batch.positions, batch.values, strict=True)
        # Where msgpack is lost, how much of the rest is shown depends on what had come.
        records += [(record.position, (record.place, record.error)) for record in batch.bad]
    return sorted(records, key=lambda record: record[0])


@given(_data, st.integers(1, 30), st.integers(1, 5))
def test_records_are_the_same_wherever_the_blocks_are_cut(
    data: tuple[Format, bytes], block_bytes: int, limit: int
) -> None:
    whole = read(*data)
    cut = read(*data, block_bytes=block_bytes, limit=limit)

    # By their texts, since NaN is not equal to itself.
    assert repr(_numbered(cut)) == repr(_numbered(whole))


@given(_data, st.integers(1, 5))
def test_reading_again_from_any_mark_gives_the_rest_again(data: tuple[Format, bytes], limit: int) -> None:
    batches = read(*data, limit=limit)

    for index, batch in enumerate(batches):
        assert repr(_numbered(read(*data, mark=batch.mark, limit=limit))) == repr(_numbered(batches[index:]))


@given(_data, st.integers(1, 5))
def test_every_record_has_one_number_and_no_number_is_left_out(data: tuple[Format, bytes], limit: int) -> None:
    numbers = [number for number, _ in _numbered(read(*data, limit=limit))]

    assert numbers == list(range(len(numbers)))
