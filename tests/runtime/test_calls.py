"""Calling the user's function for each message of a frame: one that fails harms no other; the one in hand is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.limits import SPILL_BYTES
from streamer.protocol.codec import packer
from streamer.protocol.input_frame import InputFrame
from streamer.runtime.calls import Handler, StatefulCalls, StatelessCalls, bodies_of, gaps
from streamer.runtime.exits import Exits
from streamer.runtime.letters import Failure
from streamer.runtime.turn import HAND_WORDS, IN_FRAME, IN_HAND, IN_SESSION, NOTHING, Turn
from tests.protocol.messages import BAD
from tests.runtime.received import ALERT, ENDS, WIRING, Emitted, received, segment

"""It packs, and does not unpack."""


class Api:
    """What a handler of these tests sees of its api."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn

    def sendMessage(self, message: object, flow: str | None = None) -> None:  # noqa: N802  # HKube's name
        self._turn.send(message, flow)


Start = Callable[[dict[str, Any], Api], object]


class Node:
    """A stateless node, or one with listeners, that is given frames."""

    def __init__(self, start: Start | None = None, listeners: Sequence[Callable[..., object]] = ()) -> None:
        self.hand = [0, 0, NOTHING, 0, 0]
        assert len(self.hand) == HAND_WORDS
        self.emitted = Emitted()
        self.pumped = 0
        self.turn = Turn(Exits("parse", WIRING), self.emitted, self.hand, self._pump, lambda _route: None)
        self.args: dict[str, Any] = {"nodeName": "parse"}
        self.samples: list[float] = []
        stateful = StatefulCalls(self.turn, self.hand)
        for listener in listeners:
            stateful.listen(listener)
        stateless = StatelessCalls(start, self.args, Api(self.turn), self.turn, self.hand) if start else None
        self.pauses: list[float] = []
        more = lambda _attempts: None, self.pauses.append
        self.handler = Handler(stateless or stateful, self.turn, self.hand, lambda: 0.0, self.samples.append, *more)

    def _pump(self) -> None:
        self.pumped += 1

    def handle(self, frame: InputFrame) -> list[Failure]:
        return self.handler.handle(frame)

    @property
    def in_hand(self) -> tuple[int, int, int]:
        return self.hand[IN_SESSION], self.hand[IN_FRAME], self.hand[IN_HAND]


def message_of(args: dict[str, Any]) -> Any:
    return args["streamInput"]["message"]


# -- what is called and what is sent -----------------------------------------------------------------------------------


def test_start_is_called_for_each_message_with_its_origin() -> None:
    seen: list[object] = []
    node = Node(lambda args, _api: seen.append(dict(args["streamInput"])))
    assert node.handle(received(["a", 1])) == []
    assert seen == [{"message": "a", "origin": "lines"}, {"message": 1, "origin": "lines"}]


def test_what_start_returns_continues_the_flow_and_nothing_filters() -> None:
    node = Node(lambda args, _api: message_of(args) if message_of(args) % 2 else None)
    node.handle(received(list(range(6))))
    assert node.emitted.values == [1, 3, 5]
    assert node.emitted.parents == [1, 3, 5]


@pytest.mark.parametrize("value", [0, False, "", [], {}, b""])
def test_only_none_is_nothing(value: object) -> None:
    node = Node(lambda _args, _api: value)
    node.handle(received(["x"]))
    assert node.emitted.values == [value]


def test_where_the_flow_ends_a_returned_value_is_dropped_and_the_message_is_handled() -> None:
    node = Node(lambda _args, _api: "nobody's")
    assert node.handle(received(["a", "b"], segment(range(2), ENDS))) == []
    assert node.emitted.messages == []


def test_returned_and_sent_messages_keep_their_order() -> None:
    def start(args: dict[str, Any], api: Api) -> object:
        api.sendMessage([message_of(args), "sent"])
        return [message_of(args), "returned"]

    node = Node(start)
    node.handle(received([1, 2]))
    assert node.emitted.values == [[1, "sent"], [1, "returned"], [2, "sent"], [2, "returned"]]
    assert len(set(node.emitted.ids)) == 4


def test_each_segment_of_a_frame_goes_its_own_way() -> None:
    node = Node(lambda args, _api: message_of(args))
    node.handle(received([0, 1, 2, 3, 4], segment(range(2)), segment(range(9, 12), ALERT)))
    assert [route for route, *_ in node.emitted.messages] == [0, 0, ALERT, ALERT, ALERT]
    assert node.emitted.parents == [0, 1, 2, 3, 4]


def test_a_stateful_node_calls_each_of_its_listeners_with_message_and_origin() -> None:
    seen: list[tuple[object, ...]] = []
    node = Node(listeners=[lambda m, o: seen.append((1, m, o)), lambda m, o: seen.append((2, m, o))])
    node.handle(received(["a", "b"]))
    assert seen == [(1, "a", "lines"), (2, "a", "lines"), (1, "b", "lines"), (2, "b", "lines")]


def test_a_failing_listener_keeps_its_message_from_the_next_listener() -> None:
    seen: list[object] = []

    def fail(message: object, _origin: str) -> None:
        raise ValueError(message)

    node = Node(listeners=[fail, lambda m, _o: seen.append(m)])
    assert [failure.index for failure in node.handle(received(["a", "b"]))] == [0, 1]
    assert seen == []


def test_one_message_of_a_frame_is_timed() -> None:
    node = Node(lambda _args, _api: None)
    node.handle(received(list(range(10))))
    assert node.samples == [0.0]


# -- what fails --------------------------------------------------------------------------------------------------------


def fails_at(*bad: int) -> Start:
    def start(args: dict[str, Any], api: Api) -> object:
        number = message_of(args)
        api.sendMessage(["sent for", number])
        if number in bad:
            raise ValueError(f"not {number}")
        return number

    return start


@pytest.mark.parametrize("bad", [(0,), (2,), (4,), (0, 4), (1, 2), (0, 1, 2, 3, 4)])
def test_a_message_that_fails_first_in_the_middle_or_last_harms_no_other(bad: tuple[int, ...]) -> None:
    node = Node(fails_at(*bad))
    failures = node.handle(received(list(range(5))))
    assert [(f.index, f.error) for f in failures] == [(n, f"ValueError: not {n}") for n in bad]
    good = [n for n in range(5) if n not in bad]
    assert node.emitted.values == [value for n in good for value in (["sent for", n], n)]


@given(st.sets(st.integers(0, 7)), st.sets(st.integers(0, 7)), st.lists(st.integers(1, 4), min_size=2, max_size=3))
def test_whatever_fails_in_whatever_frame_each_message_is_handled_once(
    failing: set[int], unreadable: set[int], sizes: list[int]
) -> None:
    calls: list[int] = []

    def start(args: dict[str, Any], _api: Api) -> object:
        calls.append(message_of(args))
        if message_of(args) in failing:
            raise KeyError(message_of(args))
        return message_of(args)

    count = sum(sizes)
    numbers = [BAD if n in unreadable else n for n in range(count)]
    starts = [sum(sizes[:at]) for at in range(len(sizes))]
    parts = [segment(range(at, at + size)) for at, size in zip(starts, sizes, strict=True)]
    node = Node(start)
    failures = node.handle(received(numbers, *parts))
    readable = [n for n in range(count) if n not in unreadable]
    assert calls == readable
    assert sorted(f.index for f in failures) == sorted((unreadable | failing) & set(range(count)))
    assert node.emitted.values == [n for n in readable if n not in failing]
    assert node.emitted.parents == node.emitted.values


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_body_that_does_not_unpack_is_never_handed_over_and_harms_no_other(at: int) -> None:
    values: list[object] = ["a", "b"]
    values.insert(at, BAD)
    node = Node(lambda args, _api: message_of(args))
    (failure,) = node.handle(received(values))
    assert (failure.index, failure.reason) == (at, "unreadable")
    assert failure.bad == packer()(BAD)
    assert "unhashable" in failure.error
    assert node.emitted.values == ["a", "b"]


def test_a_returned_value_that_does_not_pack_fails_its_message_and_no_other() -> None:
    node = Node(lambda args, _api: {1} if message_of(args) == 1 else message_of(args))
    (failure,) = node.handle(received([0, 1, 2]))
    assert failure.index == 1
    assert "set" in failure.error
    assert node.emitted.values == [0, 2]


def test_a_returned_value_over_the_size_limit_fails_its_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamer.runtime.turn.MESSAGE_BYTES_MAX", SPILL_BYTES + 100)
    node = Node(lambda args, _api: bytes(SPILL_BYTES + 200) if message_of(args) == 0 else message_of(args))
    (failure,) = node.handle(received([0, 1]))
    assert failure.error.startswith("MessageError: a message of ")
    assert node.emitted.values == [1]


def test_what_is_no_error_of_a_message_is_not_swallowed() -> None:
    def start(_args: dict[str, Any], _api: Api) -> object:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        Node(start).handle(received([0]))


def test_returned_values_that_outgrow_memory_are_handed_on_before_the_end_of_the_frame() -> None:
    large = bytes(SPILL_BYTES // 4)
    node = Node(lambda args, _api: [message_of(args), large])
    node.handle(received(list(range(12))))
    assert node.pumped >= 2
    assert node.emitted.times >= 3
    assert node.emitted.parents == list(range(12))
    assert len(set(node.emitted.ids)) == 12


# -- what is in hand ---------------------------------------------------------------------------------------------------


def test_the_message_in_hand_is_told_by_session_frame_and_index() -> None:
    node: Node
    seen: list[tuple[int, int, int]] = []
    node = Node(lambda _args, _api: seen.append(node.in_hand))
    node.handle(received(["a", "b", "c"], sequence=5))
    assert seen == [(77, 5, 0), (77, 5, 1), (77, 5, 2)]


def test_between_frames_nothing_is_in_hand() -> None:
    node = Node(fails_at(1))
    node.handle(received([0, 1]))
    assert node.hand[IN_HAND] == NOTHING


def test_a_message_that_kills_its_instance_is_still_in_hand() -> None:
    def start(args: dict[str, Any], _api: Api) -> object:
        if message_of(args) == 1:
            raise KeyboardInterrupt
        return None

    node = Node(start)
    with pytest.raises(KeyboardInterrupt):
        node.handle(received([0, 1, 2], sequence=3))
    assert node.in_hand == (77, 3, 1)


# -- parts -------------------------------------------------------------------------------------------------------------


@given(st.integers(0, 9), st.integers(0, 9), st.sets(st.integers(0, 12)))
def test_gaps_are_the_runs_between_bad_indexes(first: int, last: int, bad: set[int]) -> None:
    runs = gaps(first, last, bad)
    assert [n for low, high in runs for n in range(low, high)] == [n for n in range(first, last) if n not in bad]
    assert all(low < high for low, high in runs)


def test_bodies_keep_their_places() -> None:
    failures: list[Failure] = []
    bodies = bodies_of(received(["a", BAD, "c"]), failures)
    assert (bodies[0], bodies[2]) == ("a", "c")
    assert [failure.index for failure in failures] == [1]
