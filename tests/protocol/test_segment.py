"""Segments say once what neighbours share, and children get ids that are theirs alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streamer.protocol.identity import ROOT_HASH, MessageId
from streamer.protocol.segment import Segment, children
from tests.protocol.messages import segment, segments


def ids(of: Segment) -> list[MessageId]:
    return [of.id(index) for index in range(len(of))]


def distinct(parents: Segment) -> bool:
    return len(set(ids(parents))) == len(parents)


@given(segments(), st.data())
def test_a_cut_says_the_same_of_the_messages_that_it_keeps(whole: Segment, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    part = whole.cut(start, end)
    assert ids(part) == ids(whole)[start:end]
    assert (part.route, part.hops, part.time_us) == (whole.route, whole.hops, whole.time_us)


@given(segments())
def test_on_another_edge_messages_keep_their_ids(whole: Segment) -> None:
    moved = whole.towards(7, 3)
    assert ids(moved) == ids(whole)
    assert (moved.route, moved.hops, moved.time_us) == (7, 3, whole.time_us)


@given(segments().filter(distinct), st.data())
def test_children_of_one_step_have_ids_that_are_theirs_alone(parents: Segment, data: st.DataObject) -> None:
    indexes = sorted(data.draw(st.lists(st.integers(0, len(parents) - 1), min_size=1, max_size=30)))
    into_main = children(parents, indexes, "parse", "main", 0)
    into_alert = children(parents, indexes, "parse", "alert", 0)
    again = children(parents, indexes, "parse", "main", 1)
    everyone = ids(into_main) + ids(into_alert) + ids(again)
    assert len(set(everyone)) == 3 * len(indexes)
    assert not set(everyone) & set(ids(parents))


@given(segments(), st.data())
def test_a_handler_that_sends_the_same_again_gives_the_same_ids_again(parents: Segment, data: st.DataObject) -> None:
    indexes = sorted(data.draw(st.lists(st.integers(0, len(parents) - 1), min_size=1, max_size=30)))
    assert ids(children(parents, indexes, "n", "f", 0)) == ids(children(parents, indexes, "n", "f", 0))


@given(segments().filter(distinct), st.data())
def test_ids_do_not_depend_on_the_frame_that_a_message_came_in(parents: Segment, data: st.DataObject) -> None:
    sent = data.draw(st.lists(st.integers(0, 3), min_size=len(parents), max_size=len(parents)))
    indexes = [index for index, count in enumerate(sent) for _ in range(count)]
    at = data.draw(st.integers(0, len(parents)))
    whole = ids(children(parents, indexes, "n", "f", 0)) if indexes else []
    first, second = [i for i in indexes if i < at], [i - at for i in indexes if i >= at]
    apart = ids(children(parents.cut(0, at), first, "n", "f", 0)) if first else []
    apart += ids(children(parents.cut(at, len(parents)), second, "n", "f", 0)) if second else []
    assert apart == whole


@given(segments().filter(distinct), st.data())
def test_children_that_leave_in_parts_are_numbered_on(parents: Segment, data: st.DataObject) -> None:
    indexes = sorted(data.draw(st.lists(st.integers(0, len(parents) - 1), min_size=2, max_size=30)))
    at = data.draw(st.integers(1, len(indexes) - 1))
    first, second = indexes[:at], indexes[at:]
    before = first.count(second[0])
    parts = ids(children(parents, first, "n", "f", 0)) + ids(children(parents, second, "n", "f", 0, before))
    assert parts == ids(children(parents, indexes, "n", "f", 0))


def test_one_child_each_of_a_whole_run_costs_no_column() -> None:
    run = children(segment(range(100, 612), hash_=ROOT_HASH), range(512), "parse", "main", 0)
    assert type(run.positions) is range
    assert run.hashes is None


def test_a_filter_leaves_holes_and_still_one_hash() -> None:
    kept = children(segment(range(100, 110)), [0, 1, 5], "parse", "main", 0)
    assert list(kept.positions) == [100, 101, 105]
    assert kept.hashes is None


def test_what_a_filter_leaves_of_a_run_is_a_run_where_it_has_no_holes() -> None:
    assert type(children(segment(range(100, 110)), [3, 4, 5], "parse", "main", 0).positions) is range
