"""Messages and bytes: what packs comes back, what does not is its sender's error, and one bad body harms no other."""

from __future__ import annotations

import math
from array import array
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer import limits
from streamer.errors import MessageError
from streamer.protocol import codec
from streamer.protocol.buffers import ARRAY, restored_inside
from streamer.protocol.codec import (
    BadBody,
    join,
    pack_message,
    packer,
    payload_bytes,
    size_error,
    unpack,
    unpack_each,
    unpack_one,
)
from tests.protocol.messages import BAD

messages: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(1 << 63), (1 << 64) - 1),
        st.floats(allow_nan=False),
        st.text(max_size=10),
        st.binary(max_size=10),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.text(max_size=4), st.integers(0, 99), st.binary(max_size=3)), inner, max_size=4),
    ),
    max_leaves=10,
)


@given(st.lists(messages, min_size=1, max_size=30))
def test_a_frame_of_messages_comes_back_as_it_was(values: list[Any]) -> None:
    pack = packer()
    body = join([pack(value) for value in values])
    assert unpack(body) == values
    assert unpack_each(body, len(values)) == values


special = st.one_of(
    st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)),
    st.builds(msgpack.ExtType, st.integers(0, ARRAY - 1), st.binary(max_size=20)),
    st.builds(array, st.just("d"), st.lists(st.floats(allow_nan=False), max_size=3)),
)
all_kinds = st.one_of(messages, special, st.lists(special, max_size=3), st.dictionaries(st.text(max_size=3), special))


def plain_unpack(body: bytes) -> list[Any]:
    """As where msgspec is not installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codec, "msgspec", None)
        messages: list[Any] = codec._unpacker(restored_inside)(body)
        return messages


def comparable(value: Any) -> Any:
    """An array of NumPy as its list; all else as it is."""
    if isinstance(value, dict):
        return {key: comparable(child) for key, child in value.items()}
    if isinstance(value, list):
        return [comparable(child) for child in value]
    return (str(value.dtype), value.tolist()) if hasattr(value, "dtype") else value


@given(st.lists(all_kinds, min_size=1, max_size=10))
def test_with_msgspec_the_same_is_read_as_without(values: list[Any]) -> None:
    body = join([packer()(value) for value in values])

    with_it, without = unpack(body), plain_unpack(body)

    assert comparable(with_it) == comparable(without)
    assert str(comparable(with_it)) == str(comparable(without)), "and of the same types"


@given(st.lists(messages, min_size=1, max_size=5), st.data())
def test_what_msgspec_refuses_fails_as_without_it(values: list[Any], data: st.DataObject) -> None:
    body = join([packer()(value) for value in values])
    cut = body[: data.draw(st.integers(1, len(body) - 1))]

    with pytest.raises(codec.UNPACK_ERRORS) as without:
        plain_unpack(cut)
    with pytest.raises(type(without.value)) as with_it:
        unpack(cut)

    assert str(with_it.value) == str(without.value)


def test_only_with_msgspec_can_a_tuple_be_a_key() -> None:
    body = join([packer()({(1, 2): 3})])

    assert unpack(body) == [{(1, 2): 3}]
    with pytest.raises(TypeError, match="unhashable"):
        plain_unpack(body)


def test_a_datetime_with_a_zone_and_a_timestamp_arrive_as_a_datetime_in_utc() -> None:
    tokyo = datetime(2026, 1, 1, 9, 0, 0, 5, timezone(timedelta(hours=9)))
    body = join([packer()(tokyo), packer()(msgpack.Timestamp(5, 7_000))])

    assert unpack(body) == [datetime(2026, 1, 1, 0, 0, 0, 5, UTC), datetime(1970, 1, 1, 0, 0, 5, 7, UTC)]
    with pytest.raises(MessageError, match="datetime"):
        pack_message(packer(), tokyo.replace(tzinfo=None))


@given(st.lists(messages, min_size=1, max_size=20))
def test_both_ends_count_the_same_bytes(values: list[Any]) -> None:
    pack = packer()
    packed = [pack(value) for value in values]
    assert payload_bytes(join(packed), len(packed)) == sum(map(len, packed))


@pytest.mark.parametrize("count", [1, 15, 16, limits.FRAME_MESSAGES_MAX])
def test_a_frame_of_any_legal_count_is_one_array(count: int) -> None:
    assert unpack(join([b"\x01"] * count)) == [1] * count


_CYCLE: list[Any] = []
_CYCLE.append(_CYCLE)


class _Raising(dict[str, int]):
    def items(self) -> Any:
        raise ValueError("not today")


@pytest.mark.parametrize(
    "value",
    [
        pytest.param({1, 2}, id="a set"),
        pytest.param(object(), id="an object"),
        pytest.param(1 << 64, id="an integer of 65 bits"),
        pytest.param("\ud800", id="a lone surrogate"),
        pytest.param(_CYCLE, id="a list that holds itself"),
        pytest.param({"a": [{"b": 1j}]}, id="deep inside"),
        pytest.param(_Raising(a=1), id="a dict that raises"),
    ],
)
def test_what_does_not_pack_is_the_senders_error_and_leaves_the_packer_clean(value: object) -> None:
    pack = packer()
    with pytest.raises(MessageError, match="cannot be packed"):
        pack_message(pack, [1, 2, value])
    assert unpack_one(pack_message(pack, {"next": "one"})) == {"next": "one"}


def test_a_message_that_cannot_be_packed_is_named_by_its_type() -> None:
    with pytest.raises(MessageError, match="a message of type set cannot be packed"):
        pack_message(packer(), {1})


def test_a_message_over_the_size_limit_is_refused_with_both_sizes() -> None:
    with pytest.raises(MessageError, match=r"a message of 1073741825 bytes is larger than the limit of 1073741824"):
        raise size_error(limits.MESSAGE_BYTES_MAX + 1)


def test_not_a_number_and_infinity_travel() -> None:
    nan, infinity = unpack(join([packer()(math.nan), packer()(math.inf)]))
    assert math.isnan(nan)
    assert infinity == math.inf


@given(st.lists(st.one_of(messages, st.just(BAD)), min_size=1, max_size=20))
def test_a_body_that_does_not_unpack_harms_only_itself(values: list[Any]) -> None:
    pack = packer()
    found = unpack_each(join([pack(value) for value in values]), len(values))
    for value, got in zip(values, found, strict=True):
        if value == BAD:
            assert isinstance(got, BadBody)
            assert got.blob == pack(BAD)
            assert got.reason.startswith("TypeError: unhashable")
        else:
            assert got == value


def test_a_message_whose_end_cannot_be_found_takes_only_those_behind_it_along() -> None:
    # No packer of ours nests so deeply, but other languages know no such limit.
    deep = b"\x91" * 5_000 + b"\x01"
    first, bad, lost = unpack_each(join([b"\x01", deep, b"\x02"]), 3)
    assert first == 1
    assert isinstance(bad, BadBody)
    assert bad.blob == deep + b"\x02"
    assert isinstance(lost, BadBody)


def test_the_deepest_message_that_packs_unpacks_in_a_frame() -> None:
    deep: list[Any] = []
    for _ in range(510):
        deep = [deep]
    assert unpack(join([packer()(deep)])) == [deep]


@given(st.lists(messages, min_size=1, max_size=6), st.data())
def test_a_frame_that_is_cut_short_keeps_its_count_and_its_whole_messages(
    values: list[Any], data: st.DataObject
) -> None:
    pack = packer()
    blobs = [pack(value) for value in values]
    body = join(blobs)
    cut = data.draw(st.integers(1, len(body) - 1))
    found = unpack_each(body[:cut], len(values))
    whole, end = 0, 1
    while end + len(blobs[whole]) <= cut:
        end += len(blobs[whole])
        whole += 1
    assert len(found) == len(values)
    assert found[:whole] == values[:whole]
    assert all(isinstance(lost, BadBody) for lost in found[whole:])


@given(st.lists(messages, min_size=1, max_size=20))
def test_msgpack_elsewhere_reads_the_same(values: list[Any]) -> None:
    pack = packer()
    assert msgpack.packb(values) == join([pack(value) for value in values])
