"""The account: every term counted for itself, and a page that tells the same in a later life."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.errors import StateError
from streamer.limits import SETTLED_RANGES_MAX
from streamer.protocol.account import (
    DROP_REASONS,
    EdgeCounts,
    InstanceAccount,
    account_bytes_max,
    decode_account,
    encode_account,
)
from streamer.protocol.settlement import RangeSet
from tests.protocol.messages import u64

count = st.integers(0, 1 << 40)


@st.composite
def range_sets(draw: st.DrawFn) -> RangeSet:
    told = RangeSet(draw(st.integers(0, 1000)))
    for start, length in draw(st.lists(st.tuples(st.integers(0, 5000), st.integers(1, 50)), max_size=12)):
        told.add(start, start + length)
    return told


edges = st.builds(
    EdgeCounts,
    target=st.text(max_size=12),
    sent=count,
    settled=count,
    dead_lettered=count,
    abandoned=count,
    in_flight=count,
    redelivered=count,
    drops=st.lists(count, min_size=len(DROP_REASONS), max_size=len(DROP_REASONS)),
    roots=range_sets(),
)
accounts = st.builds(
    InstanceAccount,
    received=count,
    failed=count,
    completed=count,
    mark_position=u64,
    mark_offset=u64,
    edges=st.lists(edges, max_size=4),
)


@given(accounts)
def test_an_account_comes_back_as_it_was(account: InstanceAccount) -> None:
    assert decode_account(encode_account(account)) == account


@given(accounts)
def test_an_account_fits_the_page_that_is_made_for_it(account: InstanceAccount) -> None:
    size = account_bytes_max([edge.target for edge in account.edges], SETTLED_RANGES_MAX)
    assert len(encode_account(account)) <= size


@given(accounts, st.data())
def test_a_page_that_is_cut_short_is_refused(account: InstanceAccount, data: st.DataObject) -> None:
    record = encode_account(account)
    with pytest.raises(StateError):
        decode_account(record[: data.draw(st.integers(0, len(record) - 1))])


@given(st.binary(max_size=300))
def test_bytes_that_are_no_account_are_refused_or_read_as_one(record: bytes) -> None:
    with suppress(StateError):
        assert isinstance(decode_account(record), InstanceAccount)


def test_a_page_of_another_version_is_refused_naming_both() -> None:
    record = bytearray(encode_account(InstanceAccount()))
    record[0] = 9
    with pytest.raises(StateError, match="version 9; this is version 4"):
        decode_account(bytes(record))


def test_an_edge_is_balanced_only_if_every_term_agrees() -> None:
    edge = EdgeCounts("save", sent=15, settled=5, dead_lettered=4, abandoned=3, in_flight=2, drops=[1, 0, 0, 0, 0])
    assert edge.balanced
    edge.in_flight = 1
    assert not edge.balanced


def test_drops_are_told_by_reason_and_reasons_that_never_occurred_are_absent() -> None:
    assert EdgeCounts("save", drops=[2, 0, 0, 1, 0]).dropped == {"reset": 2, "error": 1}


def test_what_a_dead_predecessor_had_in_flight_is_abandoned() -> None:
    account = InstanceAccount(edges=[EdgeCounts("save", sent=10, settled=4, abandoned=1, in_flight=5)])
    account.recover()
    (edge,) = account.edges
    assert (edge.abandoned, edge.in_flight, edge.balanced) == (6, 0, True)


def test_an_account_begins_with_an_edge_that_it_is_asked_for() -> None:
    account = InstanceAccount()
    assert account.edge("save") is account.edge("save")
    assert [edge.target for edge in account.edges] == ["save"]


# -- more ranges than a page holds ------------------------------------------------------------------------------------


def scattered(ranges: int, *, never_sent: int = 0) -> EdgeCounts:
    """Every second position is settled; the last `never_sent` of them are records that could not be read."""
    roots = RangeSet()
    for n in range(ranges):
        roots.add(2 * n + 1, 2 * n + 2)
    settled = ranges - never_sent
    return EdgeCounts("parse", sent=2 * settled, settled=settled, in_flight=settled, roots=roots)


@given(st.integers(1, 50), st.integers(0, 49))
def test_a_shortened_page_is_balanced_and_agrees_with_the_ranges_that_it_tells(more: int, dead: int) -> None:
    edge = scattered(SETTLED_RANGES_MAX + more)
    edge.settled, edge.dead_lettered = edge.settled - dead, dead
    (told,) = decode_account(encode_account(InstanceAccount(edges=[edge]))).edges
    assert told.balanced
    assert len(told.roots.ranges) == 2 * SETTLED_RANGES_MAX
    assert told.settled + told.dead_lettered == len(told.roots) == SETTLED_RANGES_MAX
    assert told.in_flight == edge.in_flight + more
    assert edge.balanced
    assert len(edge.roots) == SETTLED_RANGES_MAX + more


def test_a_shortened_page_fits_its_size() -> None:
    record = encode_account(InstanceAccount(edges=[scattered(2 * SETTLED_RANGES_MAX)]))
    assert len(record) <= account_bytes_max(["parse"], SETTLED_RANGES_MAX)


def test_a_shortened_page_is_balanced_where_records_could_not_be_read() -> None:
    # They are settled positions of messages that were never sent, and no count of messages may go below zero for them.
    many = SETTLED_RANGES_MAX + 500
    edge = scattered(many, never_sent=many)
    (told,) = decode_account(encode_account(InstanceAccount(edges=[edge]))).edges
    assert told.balanced
    assert (told.sent, told.settled, told.dead_lettered, told.in_flight) == (0, 0, 0, 0)
