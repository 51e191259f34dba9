"""What a dead letter says, for each way in which a message can be given up."""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Callable, Sequence
from functools import reduce

import pytest

from streamer.connectors.base import BadRecord
from streamer.errors import MessageError
from streamer.limits import CRASH_ATTEMPTS_MAX, DEAD_LETTER_TEXT_CHARS_MAX
from streamer.plan.assignment import Assignment, Role
from streamer.protocol.account import EdgeCounts
from streamer.protocol.chunk import Chunk
from streamer.protocol.codec import BadBody, pack_message, packer
from streamer.protocol.edge import Edge
from streamer.protocol.identity import MessageId
from streamer.runtime.exits import Exits
from streamer.runtime.letters import Failure, Letters, has_user_frames, user_traceback
from streamer.state.dead_letters import DeadLetter
from tests.protocol.messages import BAD, blobs
from tests.runtime.received import ALERT, MAIN, WIRING, received, segment

ASSIGNMENT = Assignment(
    job="job",
    pipeline="words",
    token="secret",
    node="parse",
    instance="parse-2",
    epoch=1,
    role=Role.STATELESS,
    wiring=WIRING,
    folder="",
    dead_letters="",
    control="",
)


class Box:
    """Where the letters of a test go."""

    def __init__(self) -> None:
        self.letters: list[DeadLetter] = []
        self.time_s = 0.0
        self.writer = Letters(
            ASSIGNMENT, self, lambda: self.time_s, lambda: 1_700_000_000.0, Exits("parse", WIRING).position
        )

    def append(self, records: Sequence[DeadLetter]) -> None:
        self.letters += records

    @property
    def letter(self) -> DeadLetter:
        (letter,) = self.letters
        return letter


@pytest.fixture
def box() -> Box:
    return Box()


def raised(error: Exception) -> Exception:
    """The error, after it was raised in user code."""
    try:
        raise error
    except type(error) as caught:
        return caught


def test_a_failed_handler_is_told_with_error_traceback_route_and_id(box: Box) -> None:
    failure = Failure(1, raised(ValueError("bad number")))
    box.writer.failed(received([0, {"n": 1}, 2], segment(range(5, 8), MAIN)), [failure])
    letter = box.letter
    assert (letter.node, letter.instance, letter.source, letter.target) == ("parse", "parse-2", "lines", "parse")
    assert (letter.reason, letter.error, letter.flow) == ("handler", "ValueError: bad number", "main")
    assert letter.traceback.splitlines()[0] == "Traceback (most recent call last):"
    assert letter.traceback.endswith("ValueError: bad number\n")
    assert (letter.message, letter.message_id) == ({"n": 1}, str(MessageId(9, 6, 1)))
    assert (letter.attempts, letter.time_s) == (1, 1_700_000_000.0)


def test_each_failure_is_placed_in_its_own_segment(box: Box) -> None:
    segments = [segment(range(5, 7), MAIN), segment(range(90, 93), ALERT)]
    failures = [Failure(index, raised(ValueError())) for index in (0, 1, 2, 4)]
    box.writer.failed(received(range(5), *segments), failures)
    assert [(letter.flow, letter.message_id) for letter in box.letters] == [
        (flow, str(MessageId(9, position, 1)))
        for flow, position in (("main", 5), ("main", 6), ("alert", 90), ("alert", 92))
    ]


def test_a_body_that_cannot_be_read_is_told_with_its_bytes(box: Box) -> None:
    box.writer.failed(received([0]), [Failure(0, BadBody(b"\x81\x92", "TypeError: unhashable"))])
    assert (box.letter.reason, box.letter.message) == ("unreadable", b"\x81\x92")
    assert (box.letter.error, box.letter.traceback) == ("TypeError: unhashable", "")


def test_records_that_cannot_be_read_are_told_with_their_place(box: Box) -> None:
    box.writer.unreadable(9, [BadRecord(7, "access.log, line 8", "{", "not JSON")])
    assert (box.letter.reason, box.letter.error) == ("unreadable record", "access.log, line 8: not JSON")
    assert (box.letter.source, box.letter.message) == ("access.log, line 8", "{")
    assert box.letter.message_id == str(MessageId(9, 7, 0))


def edge_and_chunk(*values: object) -> tuple[Edge, Chunk]:
    packed = blobs(values)
    size = reduce(lambda total, blob: total + len(blob), packed, 0)
    return Edge(EdgeCounts("save")), Chunk(packed, segment(range(3, 3 + len(values)), 1), None, (), size)


def test_a_message_that_killed_its_instances_is_told_by_who_sent_it(box: Box) -> None:
    edge, chunk = edge_and_chunk({"n": 1})
    edge.append(chunk)
    for session in range(CRASH_ATTEMPTS_MAX):
        frame = edge.cut(1)
        assert frame is not None
        edge.fly(frame)
        edge.requeue(session, [frame])
        box.time_s += 20.0
        edge.accuse(session, frame.sequence, 0, box.time_s)
    box.writer.crashed(edge, edge.take_poison())
    letter = box.letter
    assert letter.first_s == letter.time_s - 40.0, "when the first of these deaths was known"
    assert (letter.reason, letter.attempts, letter.message) == ("crash", CRASH_ATTEMPTS_MAX, {"n": 1})
    assert letter.error == f"in hand when {CRASH_ATTEMPTS_MAX} instances of node 'save' died"
    assert (letter.node, letter.source, letter.target) == ("parse", "parse", "save")


def test_messages_that_were_not_to_be_sent_on_are_told_one_by_one(box: Box) -> None:
    edge, chunk = edge_and_chunk("a", "b")
    box.writer.undelivered(edge, chunk, "hop limit", "too many hops")
    assert [(letter.message, letter.message_id) for letter in box.letters] == [
        ("a", str(MessageId(9, 3, 1))),
        ("b", str(MessageId(9, 4, 1))),
    ]
    assert {(letter.reason, letter.error, letter.target) for letter in box.letters} == {
        ("hop limit", "too many hops", "save")
    }


def test_a_sent_message_that_nobody_could_read_is_told_as_its_bytes(box: Box) -> None:
    edge, chunk = edge_and_chunk(BAD)
    box.writer.undelivered(edge, chunk, "hop limit", "too many hops")
    assert box.letter.message == chunk.blobs[0]


# -- tracebacks --------------------------------------------------------------------------------------------------------


class UsersError(Exception):
    """An error as users define them."""


def shown_of(handler: Callable[[], object]) -> str:
    """What is told of the error that this raises."""
    try:
        handler()
    except Exception as error:  # noqa: BLE001  # whatever it is, it is shown
        return user_traceback(error)
    raise AssertionError("no error")


def test_a_traceback_of_user_code_has_no_frame_of_the_engine_above_it() -> None:
    def user_code() -> None:
        raise KeyError("here")

    try:
        user_code()
    except KeyError as error:
        shown = user_traceback(error)
    assert "user_code()" in shown
    assert shown.endswith("KeyError: 'here'\n")


def test_what_the_engine_does_below_user_code_is_not_shown() -> None:
    def user_code() -> None:
        pack_message(packer(), object())

    shown = shown_of(user_code)
    assert "pack_message(packer(), object())" in shown
    assert "MessageError: " in shown
    assert f"{os.sep}streamer{os.sep}protocol" not in shown


def test_what_a_library_does_below_user_code_is_shown() -> None:
    shown = shown_of(lambda: json.loads("{"))
    assert "json.loads" in shown and "decoder.py" in shown


def test_what_a_library_was_handling_is_shown() -> None:
    shown = shown_of(lambda: urllib.request.urlopen("file:///nowhere/at/all"))
    before, _, after = shown.partition("\nDuring handling of the above exception, another")
    assert "open_local_file" in before and "FileNotFoundError" in before
    assert "urllib.request.urlopen" in after


def test_the_cause_of_an_error_is_shown_with_the_users_frames_of_it() -> None:
    def root() -> None:
        pack_message(packer(), object())

    def user_code() -> None:
        try:
            root()
        except MessageError as error:
            raise UsersError("cannot be sent") from error

    shown = shown_of(user_code)
    assert shown.startswith("TypeError: it holds a value of type object, which msgpack has no form for\n\nThe above")
    assert (
        shown.index("root()") < shown.rindex("\nThe above exception was the direct cause") < shown.index("from error")
    )
    assert shown.endswith("UsersError: cannot be sent\n")
    assert f"{os.sep}streamer{os.sep}protocol" not in shown


@pytest.mark.parametrize("hidden", [False, True])
def test_what_was_being_handled_is_shown_unless_the_user_says_not(hidden: bool) -> None:
    def user_code() -> None:
        try:
            json.loads("{}")["id"]
        except KeyError:
            if hidden:
                raise UsersError("no id") from None
            raise UsersError("no id")  # noqa: B904  # what is tested

    shown = shown_of(user_code)
    assert ("KeyError: 'id'\n\nDuring handling of the above exception, another" in shown) is not hidden
    assert shown.endswith("UsersError: no id\n")


def without_users(error: Exception) -> Exception:
    """As it is raised from one function of the engine to another, which was called by the user's code."""
    assert error.__traceback__ is not None
    return error.with_traceback(error.__traceback__.tb_next)


def test_what_the_engine_was_handling_by_itself_is_not_shown() -> None:
    def user_code() -> None:
        try:
            pack_message(packer(), object())
        except MessageError as error:
            without_users(error)
            raise UsersError("no form") from None

    with pytest.raises(UsersError) as caught:
        user_code()
    assert caught.value.__context__ is not None
    caught.value.__suppress_context__ = False
    assert "MessageError" not in user_traceback(caught.value)


def test_of_an_error_without_a_frame_of_the_user_its_line_is_left() -> None:
    try:
        pack_message(packer(), object())
    except MessageError as error:
        assert has_user_frames(error)
        ours = without_users(error)
    assert not has_user_frames(ours)
    ours.__cause__ = None
    assert user_traceback(ours) == f"streamer.errors.MessageError: {ours}\n"


def test_each_error_of_a_group_is_shown_without_our_frames() -> None:
    def user_code() -> None:
        errors = []
        for value in (object(), object()):
            try:
                pack_message(packer(), value)
            except MessageError as error:
                errors.append(error)
        raise ExceptionGroup("both", errors)

    shown = shown_of(user_code)
    assert shown.count("pack_message(packer(), value)") == 2
    assert f"{os.sep}streamer{os.sep}protocol" not in shown


def test_a_long_chain_of_causes_is_kept_within_its_bound() -> None:
    def user_code() -> None:
        error = ValueError("the first")
        for n in range(2_000):
            try:
                raise ValueError(f"the one after {n}") from error
            except ValueError as later:
                error = later
        raise error

    shown = shown_of(user_code)
    assert "the first" in shown and shown.endswith("the one after 1999\n")
    assert len(shown) <= DEAD_LETTER_TEXT_CHARS_MAX + len("\n...\n")
