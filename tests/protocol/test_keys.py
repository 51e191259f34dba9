"""Which group a key falls into, for ever and in any language, and what is no key."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.errors import NoKeyError
from streamer.limits import KEY_GROUPS, KEY_PATH_STEPS_MAX, KEYS_KNOWN_MAX
from streamer.protocol.codec import packer, unpack_one
from streamer.protocol.keys import Key, KeyPath, group_of, groups_of, owner_of

keys = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.integers(-(1 << 63), (1 << 64) - 1),
    st.floats(allow_nan=False),
    st.booleans(),
    st.binary(),
)


@pytest.mark.parametrize(
    ("key", "group"),
    [("user-1", 157), ("", 101), (0, 141), (1, 27), (-1, 0), (300, 163), (1.5, 84), (b"user-1", 41)],
)
def test_groups_are_part_of_what_is_kept(key: Key, group: int) -> None:
    # State is kept by these numbers; a change of them loses it.
    assert group_of(key) == group


@given(keys)
def test_a_key_has_the_same_group_before_and_after_it_has_travelled(key: Key) -> None:
    assert group_of(unpack_one(packer()(key))) == group_of(key)
    assert 0 <= group_of(key) < KEY_GROUPS


@given(st.integers(-(1 << 53), 1 << 53))
def test_a_whole_number_is_one_key_however_it_is_written(number: int) -> None:
    assert group_of(float(number)) == group_of(number)


def test_a_text_and_its_bytes_are_keys_of_their_own() -> None:
    assert group_of("1") != group_of(b"1")
    assert group_of("1") != group_of(1)


@pytest.mark.parametrize(("one", "others"), [(1, (True, 1.0)), (0, (False, 0.0, -0.0))])
def test_keys_that_are_equal_are_one_as_in_keyed_state(one: int, others: tuple[Key, ...]) -> None:
    path = KeyPath("id")
    assert {group_of(key) for key in others} == {group_of(one)}
    assert set(path.groups([{"id": key} for key in (one, *others)])) == {group_of(one)}


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, "null is no key"),
        (float("nan"), "not a number is no key"),
        ([1], "a value of type list is no key"),
        ({"a": 1}, "a value of type dict is no key"),
        (datetime(2026, 1, 1, tzinfo=UTC), "a value of type datetime is no key"),
    ],
)
def test_what_is_no_key_says_why(value: Key, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        group_of(value)


# -- paths -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "message", "key"),
    [
        (".", "word", "word"),
        ("id", {"id": 7}, 7),
        ("user.id", {"user": {"id": "a"}}, "a"),
        ("items.0.id", {"items": [{"id": 1}, {"id": 2}]}, 1),
        ("1", ["a", "b"], "b"),
        ("1", {"1": "text", 1: "number"}, "text"),
        ("1", {1: "number"}, "number"),
    ],
)
def test_a_path_leads_to_the_key(path: str, message: object, key: object) -> None:
    assert KeyPath(path).find(message) == key


@pytest.mark.parametrize(
    ("path", "message", "problem"),
    [
        ("user.id", {"other": 1}, "no key at 'user.id': the message has no 'user'"),
        ("user.id", {"user": {"name": "x"}}, "no key at 'user.id': 'user' has no 'id'"),
        ("user.id", {"user": None}, "no key at 'user.id': 'user' has no 'id'"),
        ("user.id", "text", "no key at 'user.id': the message has no 'user'"),
        ("items.5", {"items": [1]}, "no key at 'items.5': 'items' has no '5'"),
        ("0", "text", "no key at '0': the message has no '0'"),
        ("user", {"user": None}, "no key at 'user': null is no key"),
        ("user", {"user": {}}, "no key at 'user': a value of type dict is no key"),
    ],
)
def test_a_message_without_its_key_says_how_far_the_path_led(path: str, message: object, problem: str) -> None:
    with pytest.raises(NoKeyError, match=problem):
        KeyPath(path).group(message)


@pytest.mark.parametrize("text", ["", "a.", ".a", "a..b", ".".join("a" * (KEY_PATH_STEPS_MAX + 1))])
def test_a_path_with_an_empty_name_or_too_many_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="name"):
        KeyPath(text)


# -- owners ------------------------------------------------------------------------------------------------------------


@given(st.integers(1, KEY_GROUPS))
def test_every_group_has_one_owner_and_owners_have_about_as_many(replicas: int) -> None:
    owned = Counter(owner_of(group, replicas) for group in range(KEY_GROUPS))

    assert owned.keys() == set(range(replicas))
    assert max(owned.values()) - min(owned.values()) <= 1
    for index in range(replicas):
        assert [group for group in range(KEY_GROUPS) if owner_of(group, replicas) == index] == [
            *groups_of(index, replicas)
        ]


def test_who_is_beyond_the_last_owner_owns_nothing() -> None:
    assert not groups_of(2, 2)
    assert not groups_of(0, 0)


@pytest.mark.parametrize(
    "many",
    [
        pytest.param([*range(1000)], id="counters"),
        pytest.param([f"sensor-{n:04d}" for n in range(1000)], id="names"),
        pytest.param([n.to_bytes(8, "big") for n in range(1000)], id="bytes"),
    ],
)
@pytest.mark.parametrize("replicas", [2, 3, 8])
def test_keys_that_count_up_are_spread_evenly(many: list[Key], replicas: int) -> None:
    share = Counter(owner_of(group_of(key), replicas) for key in many)

    assert max(share.values()) < 1.15 * len(many) / replicas


def test_a_text_that_comes_again_has_its_group_again_however_many_came_between() -> None:
    path, other = KeyPath("id"), KeyPath("id")
    messages = [{"id": f"key-{n % (KEYS_KNOWN_MAX + 7)}"} for n in range(2 * KEYS_KNOWN_MAX + 30)]

    assert path.groups(messages) == [other.group(message) for message in messages]


def test_a_group_is_what_the_documented_rule_says() -> None:
    import zlib

    assert group_of("user-1") == zlib.crc32(msgpack.packb("user-1", use_bin_type=True)) % 256
