"""Which version a position takes: decided once, for ever, and known to every life."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from streamer.protocol.account import InstanceAccount, decode_account, encode_account
from streamer.protocol.history import UNKNOWN, History

extensions = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 2)), max_size=12)


def grown(steps: list[tuple[int, int]]) -> tuple[History, list[int]]:
    """The history, and beside it the version of each position."""
    history, version = History(), 1
    each: list[int] = []
    for more, newer in steps:
        version += newer
        history.extend(len(each) + more, version)
        each += [version] * more
    return history, each


def test_nothing_has_taken_a_version_at_first() -> None:
    assert list(History().spans()) == []


@given(extensions)
def test_each_position_has_the_version_in_force_when_it_was_first_reached(
    steps: list[tuple[int, int]],
) -> None:
    history, each = grown(steps)
    assert [history.at(position) for position in range(len(each))] == each
    assert [v for v, first, end in history.spans() for _ in range(first, end)] == each


@given(extensions, st.sets(st.integers(0, 150)))
def test_any_positions_fall_into_pieces_of_one_version_each(steps: list[tuple[int, int]], chosen: set[int]) -> None:
    history, each = grown(steps)
    positions = sorted(position for position in chosen if position < len(each))
    pieces = list(history.pieces(positions))
    assert [i for _, first, last in pieces for i in range(first, last)] == list(range(len(positions)))
    assert [v for v, first, last in pieces for _ in range(first, last)] == [each[p] for p in positions]
    assert all(a[0] != b[0] for a, b in pairwise(pieces))


@given(extensions, st.integers(0, 20))
def test_what_was_reached_before_keeps_its_version(steps: list[tuple[int, int]], end: int) -> None:
    history, each = grown(steps)
    history.extend(end, 99)
    assert [history.at(position) for position in range(len(each))] == each


@given(extensions, st.integers(1, 20))
def test_versions_that_are_over_are_forgotten_and_the_others_stay(steps: list[tuple[int, int]], oldest: int) -> None:
    history, each = grown(steps)
    history.keep(range(oldest, 99))
    expected = [version if version >= oldest else UNKNOWN for version in each]
    assert [history.at(position) for position in range(len(each))] == expected


@given(extensions)
def test_a_page_keeps_it(steps: list[tuple[int, int]]) -> None:
    account = InstanceAccount(history=grown(steps)[0])
    assert decode_account(encode_account(account)) == account
