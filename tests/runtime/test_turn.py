"""A turn: what a handler call sends takes effect when the call succeeds, and gets ids of its own."""

from __future__ import annotations

import pytest

from streamer.errors import FlowError, MessageError, OverloadError
from streamer.limits import SPILL_BYTES
from streamer.protocol.input_frame import InputFrame
from streamer.protocol.segment import Segment
from streamer.runtime.exits import Exits
from streamer.runtime.turn import HAND_WORDS, IN_HAND, Turn
from tests.runtime.received import ALERT, ENDS, MAIN, WIRING, Emitted, received, segment

LARGE = bytes(SPILL_BYTES // 4)


class Handling:
    """A turn with a message in hand, as the calls of a frame leave it."""

    def __init__(self, *segments: Segment, full: tuple[int, ...] = ()) -> None:
        self.hand = [0] * HAND_WORDS
        self.emitted = Emitted()
        self.pumped = 0
        self.turn = Turn(
            Exits("parse", WIRING),
            self.emitted,
            self.hand,
            self._pump,
            lambda r: "parse >> save" if r in full else None,
        )
        self.frame: InputFrame = received(["x"] * sum(map(len, segments)), *segments)
        self.begin(0)

    def begin(self, which: int) -> None:
        base = sum(map(len, self.frame.segments[:which]))
        self.turn.begin(self.frame, self.frame.segments[which], base)
        self.take(base)

    def _pump(self) -> None:
        self.pumped += 1

    def take(self, index: int) -> None:
        self.hand[IN_HAND] = self.turn.index = index

    def send(self, message: object, flow: str | None = None) -> None:
        self.turn.send(message, flow)


def handling(count: int = 4, route: int = MAIN) -> Handling:
    return Handling(segment(range(100, 100 + count), route))


def test_nothing_leaves_before_the_turn_is_over() -> None:
    h = handling()
    h.send("a")
    assert h.emitted.messages == []
    h.turn.commit()
    assert h.emitted.values == ["a"]


def test_large_messages_are_expected_from_the_first_one_of_a_turn_on() -> None:
    h = handling()
    h.turn._plain = lambda _message: pytest.fail("packed in vain")
    for _ in range(3):
        h.send(LARGE)
    h.turn.commit()
    assert h.emitted.values == [LARGE] * 3


def test_messages_belong_to_the_message_in_hand() -> None:
    h = handling()
    for index in (0, 2, 2, 3):
        h.take(index)
        h.send(index)
    h.turn.commit()
    assert h.emitted.parents == [0, 2, 2, 3]
    assert [who.position for who in h.emitted.ids] == [100, 102, 102, 103]


def test_all_that_one_message_sends_anywhere_has_different_ids() -> None:
    h = handling()
    for flow in (None, "main", "alert", "alert", None):
        h.send(flow, flow)
    h.turn.commit()
    assert len(set(h.emitted.ids)) == 5


def test_the_same_turn_again_gives_the_same_ids() -> None:
    turns = [handling(), handling()]
    for h in turns:
        for index in (0, 1, 1):
            h.take(index)
            h.send("same")
        h.turn.commit()
    assert turns[0].emitted.ids == turns[1].emitted.ids


def test_what_the_message_in_hand_has_sent_is_taken_back_and_nothing_else() -> None:
    h = handling()
    h.send("kept")
    h.take(1)
    for flow in (None, "alert", None):
        h.send("taken back", flow)
    h.turn.roll_back()
    h.take(2)
    h.send("kept too", "alert")
    h.turn.commit()
    assert sorted(map(str, h.emitted.values)) == ["kept", "kept too"]


def test_indexes_of_a_second_segment_go_on_where_the_first_ended() -> None:
    h = Handling(segment(range(10, 13)), segment(range(50, 53), ALERT))
    h.turn.commit()
    h.begin(1)
    h.take(4)
    h.send("second of the second")
    h.turn.commit()
    assert h.emitted.parents == [4]
    assert [who.position for who in h.emitted.ids] == [51]
    assert [route for route, *_ in h.emitted.messages] == [ALERT]


# -- flows -------------------------------------------------------------------------------------------------------------


def test_a_message_without_a_flow_continues_its_own() -> None:
    h = handling(route=ALERT)
    h.send("own")
    h.turn.commit()
    assert [route for route, *_ in h.emitted.messages] == [ALERT]


def test_a_flow_that_is_named_is_entered() -> None:
    h = handling()
    h.send("other", "alert")
    h.turn.commit()
    assert [route for route, *_ in h.emitted.messages] == [ALERT]


@pytest.mark.parametrize(
    ("route", "flow", "problem"),
    [
        pytest.param(ENDS, None, "flow 'ends' ends at node 'parse'", id="its own flow ends here"),
        pytest.param(MAIN, "nowhere", "no flow is named 'nowhere'", id="unknown"),
        pytest.param(MAIN, "ends", "flow 'ends' does not continue at node 'parse'", id="ends here"),
        pytest.param(MAIN, "elsewhere", "flow 'elsewhere' does not continue at node 'parse'", id="passes by"),
    ],
)
def test_a_flow_that_cannot_be_taken_is_told_with_those_that_can(route: int, flow: str | None, problem: str) -> None:
    h = handling(route=route)
    with pytest.raises(FlowError) as raised:
        h.send("message", flow)
    # The text itself names them: it is all that a dead letter, or the user's own log, will show.
    assert str(raised.value).startswith(problem)
    assert "main, alert" in str(raised.value)


def test_where_no_flow_continues_that_is_what_is_told() -> None:
    with pytest.raises(FlowError, match="no flow continues at node 'save'"):
        Exits("save", WIRING).unnamed(1)


def test_outside_of_any_message_the_default_flow_is_taken() -> None:
    assert Exits("parse", WIRING).unnamed(None) == MAIN
    with pytest.raises(FlowError, match="flow 'main' does not continue at node 'lines'"):
        Exits("lines", WIRING).unnamed(None)


def test_records_of_a_source_take_the_default_flow_or_else_the_first_that_goes_on() -> None:
    assert Exits("parse", WIRING).of_source() == MAIN
    assert Exits("lines", WIRING).of_source() == 4
    assert Exits("save", WIRING).of_source() is None


# -- errors of the sender ----------------------------------------------------------------------------------------------


def test_a_message_that_cannot_be_packed_is_its_senders_error_and_harms_no_other() -> None:
    h = handling()
    h.send("before")
    with pytest.raises(MessageError, match="type set"):
        h.send({1})
    h.send("after")
    h.turn.commit()
    assert h.emitted.values == ["before", "after"]


def test_an_edge_that_is_full_refuses_in_the_caller_and_others_go_on() -> None:
    h = Handling(segment(range(4)), full=(MAIN,))
    with pytest.raises(OverloadError, match="edge parse >> save is full"):
        h.send("refused")
    h.send("alert", "alert")
    h.turn.roll_back()
    h.turn.commit()
    assert h.emitted.messages == []


# -- more than fits in memory ------------------------------------------------------------------------------------------


def test_what_earlier_calls_have_sent_makes_room_and_the_call_in_hand_can_still_be_taken_back() -> None:
    h = handling()
    for index in range(3):
        h.take(index)
        h.send(LARGE)
        h.send(LARGE[1:])
    assert h.pumped >= 1
    assert h.emitted.parents == [0, 0, 1, 1]
    h.turn.roll_back()
    h.turn.commit()
    assert h.emitted.parents == [0, 0, 1, 1]


def test_a_call_that_by_itself_sends_too_much_is_let_out_before_its_end() -> None:
    h = handling()
    for number in range(10):
        h.send([number, LARGE])
    assert 0 < len(h.emitted.messages) < 10
    assert h.pumped == h.emitted.times
    h.turn.commit()
    assert [value[0] for value in h.emitted.values if isinstance(value, list)] == list(range(10))
    assert len(set(h.emitted.ids)) == 10


def test_ids_do_not_depend_on_what_had_to_be_let_out() -> None:
    small, large = handling(), handling()
    for number in range(10):
        for h, message in ((small, number), (large, LARGE)):
            h.take(number // 6)
            h.send(message)
    for h in (small, large):
        h.turn.commit()
    assert large.pumped > small.pumped == 0
    assert large.emitted.ids == small.emitted.ids
