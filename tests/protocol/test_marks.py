"""Repeat marks know what was handled, in whatever order it came, over restarts, and in little memory."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.errors import StateError
from streamer.protocol.marks import Marks
from streamer.protocol.segment import Segment


def segment(positions: range | list[int], hashes: int | list[int] = 5, origin: int = 1) -> Segment:
    several = hashes if isinstance(hashes, list) else None
    return Segment(origin, positions, 0 if isinstance(hashes, list) else hashes, several, 0, 0, 0)


def test_what_was_handled_is_a_repeat_and_nothing_else_is() -> None:
    marks = Marks()
    marks.add(segment(range(10)))
    assert marks.repeats(segment(range(8, 12))) == [0, 1]
    assert marks.repeats(segment(range(10, 20))) == []
    assert marks.repeats(segment(range(10), 6)) == [], "another child of the same message"
    assert marks.repeats(segment(range(10), origin=2)) == []


def test_children_of_one_message_are_told_apart() -> None:
    marks = Marks()
    marks.add(segment([3, 3], [7, 8]))
    assert marks.repeats(segment([3, 3, 3], [8, 9, 7])) == [0, 2]


def test_messages_that_still_wait_are_no_repeats() -> None:
    marks = Marks()
    marks.add(segment(range(10)), without=range(4, 6))
    assert marks.repeats(segment(range(10))) == [0, 1, 2, 3, 6, 7, 8, 9]


def test_what_is_below_the_floor_of_its_origin_is_a_repeat_whatever_its_way() -> None:
    marks = Marks()
    marks.settled_below(1, 100)
    assert marks.repeats(segment([99, 100], 12_345)) == [0]
    assert marks.repeats(segment([99], origin=2)) == []


def test_holes_that_a_filter_left_are_forgotten_below_the_floor() -> None:
    marks = Marks()
    for position in range(0, 20_000, 2):
        marks.add(segment(range(position, position + 1)))
    before = len(marks.whole())

    marks.settled_below(1, 20_000)

    assert before > 100_000
    assert len(marks.whole()) < 100


def test_changes_are_appended_and_sometimes_the_whole_takes_their_place() -> None:
    marks = Marks()
    assert marks.take() == (b"", False)
    kept: list[bytes] = []
    for position in range(0, 200_000, 50):
        marks.add(segment(range(position, position + 50)))
        changes, whole = marks.take()
        kept = [changes] if whole else [*kept, changes]
    assert sum(map(len, kept)) < 200_000

    again = Marks()
    again.restore(kept)
    assert again.repeats(segment(range(199_990, 200_010))) == list(range(10))


def test_after_a_checkpoint_that_was_not_kept_the_whole_is() -> None:
    marks = Marks()
    marks.add(segment(range(5)))
    marks.take()
    marks.rewrite()

    kept, whole = marks.take()

    again = Marks()
    again.restore([kept])
    assert whole
    assert again.repeats(segment(range(10))) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("damaged", [b"", b"\xc1", b"\x93\x01\x02\x03", b"\x92\x91\x93\x01\x02\xc4\x03abc\x80"])
def test_marks_that_cannot_be_read_are_refused(damaged: bytes) -> None:
    with pytest.raises(StateError, match="repeat marks cannot be read"):
        Marks().restore([damaged])


ids = st.tuples(st.integers(0, 1), st.integers(0, 2), st.integers(0, 30))
deeds = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.lists(ids, min_size=1, max_size=8, unique=True)),
        st.tuples(st.just("keep"), st.booleans()),
        st.tuples(st.just("floor"), st.tuples(st.integers(0, 1), st.integers(0, 30))),
    ),
    max_size=30,
)


@given(deeds)
def test_any_story_is_remembered_as_a_set_of_ids(story: list[tuple[str, Any]]) -> None:
    marks, model = Marks(), set[tuple[int, int, int]]()
    floors: dict[int, int] = {0: 0, 1: 0}
    kept: list[bytes] = []
    for deed, what in story:
        if deed == "add":
            for origin, hash_, position in what:
                marks.add(segment([position], hash_, origin))
                model.add((origin, hash_, position))
        elif deed == "floor":
            of, below = what
            floors[of] = max(floors[of], below)
            marks.settled_below(of, below)
        else:
            changes, whole = marks.take()
            kept = [changes] if whole else [*kept, *([changes] if changes else [])]
            if what:
                marks = Marks()
                marks.restore(kept)
    known = {
        (origin, hash_, position)
        for origin in (0, 1)
        for hash_ in (0, 1, 2)
        for position in range(31)
        if marks.repeats(segment([position], hash_, origin))
    }
    settled = {(o, h, p) for o in (0, 1) for h in (0, 1, 2) for p in range(floors[o])}
    assert known == model | settled
