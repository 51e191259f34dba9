"""Which version a position takes: decided once, for ever, and known to every life."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from streamer.limits import CANARY_RUN, HISTORY_SPANS_MAX
from streamer.protocol.account import InstanceAccount, decode_account, encode_account
from streamer.protocol.canary import takes_canary
from streamer.protocol.history import UNKNOWN, History, Taken

ORIGIN = 42
extensions = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 2), st.sampled_from([0, 0, 1_000, 5_000])), max_size=12
)


def grown(steps: list[tuple[int, int, int]]) -> tuple[History, list[Taken]]:
    """The history, and beside it what each position takes."""
    history, version = History(), 1
    each: list[Taken] = []
    for more, newer, parts in steps:
        version += newer
        taken = Taken(version, version + 1, parts) if parts else Taken(version)
        history.extend(len(each) + more, taken)
        each += [taken] * more
    return history, each


def version_at(taken: Taken, position: int) -> int:
    canary = takes_canary(ORIGIN, position, taken.parts, CANARY_RUN)
    return taken.canary if canary else taken.version


def test_nothing_has_taken_a_version_at_first() -> None:
    assert list(History().spans()) == []


@given(extensions)
def test_each_position_has_what_was_in_force_when_it_was_first_reached(steps: list[tuple[int, int, int]]) -> None:
    history, each = grown(steps)
    assert [history.at(position) for position in range(len(each))] == each
    assert [taken for taken, first, end in history.spans() for _ in range(first, end)] == each


@given(extensions, st.sets(st.integers(0, 300)))
def test_any_positions_fall_into_pieces_of_one_version_each_as_their_ids_say(
    steps: list[tuple[int, int, int]], chosen: set[int]
) -> None:
    history, each = grown(steps)
    positions = sorted(position for position in chosen if position < len(each))
    pieces = list(history.pieces(ORIGIN, positions))
    assert [i for _, first, last in pieces for i in range(first, last)] == list(range(len(positions)))
    assert [v for v, first, last in pieces for _ in range(first, last)] == [version_at(each[p], p) for p in positions]


@given(extensions, st.integers(0, 20))
def test_what_was_reached_before_keeps_its_version(steps: list[tuple[int, int, int]], end: int) -> None:
    history, each = grown(steps)
    history.extend(end, Taken(99))
    assert [history.at(position) for position in range(len(each))] == each


@given(extensions, st.integers(1, 20), st.integers(0, 300))
def test_what_is_over_or_below_the_floor_is_forgotten_and_the_rest_stays(
    steps: list[tuple[int, int, int]], oldest: int, floor: int
) -> None:
    history, each = grown(steps)
    history.forget(range(oldest, 99), floor)
    for position, taken in enumerate(each):
        kept = history.at(position)
        assert kept in (taken, Taken(UNKNOWN))
        if position >= floor and any(version >= oldest for version in taken.versions):
            assert kept == taken
    known = [(taken, end) for taken, _, end in history.spans() if taken.version]
    assert not known or any(version >= oldest for version in known[0][0].versions)
    assert sum(end <= floor for _, end in known) <= 1, "only the last one stays, so that one can tell what it was"


@given(extensions)
def test_a_page_keeps_it(steps: list[tuple[int, int, int]]) -> None:
    account = InstanceAccount(history=grown(steps)[0])
    assert decode_account(encode_account(account)) == account


def test_neighbouring_spans_differ_and_there_are_not_more_than_a_page_is_to_hold() -> None:
    history = History()
    for position in range(1, 2 * HISTORY_SPANS_MAX):
        history.extend(position, Taken(1, 2, position))
    spans = [taken for taken, _, _ in history.spans()]
    assert len(spans) == HISTORY_SPANS_MAX
    assert all(one != other for one, other in pairwise(spans))
