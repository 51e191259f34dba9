"""A handler that raises is called again for its message, aside from all others; then its node says what is to be."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from streamer import limits
from streamer.errors import HandlerError
from streamer.plan.assignment import OnError, Role, Then
from streamer.protocol.input_frame import unsettled
from streamer.protocol.segment import Segment
from streamer.runtime.roles import crashed_in
from streamer.runtime.stage import Stage
from tests.runtime.chain import Chain, algorithm_of, overlapping

THRICE = OnError(limit=3, delay_s=0.1, factor=2.0, max_delay_s=0.3)

FAILS = """
from collections import Counter

calls = Counter()
order = []


def fate(n, times):
    calls[n] += 1
    order.append(n)
    if calls[n] <= times.get(n, 0):
        raise ValueError(f"not yet {n}")
"""

PLAIN = """
def start(args, api):
    n = args["streamInput"]["message"]
    api.sendMessage(["sent", n])
    fate(n, TIMES)
    return n
"""
GENERATOR = """
def start(args, api):
    n = args["streamInput"]["message"]
    yield ["sent", n]
    fate(n, TIMES)
    yield n
"""
ASYNC = """
async def start(args, api):
    n = args["streamInput"]["message"]
    api.sendMessage(["sent", n])
    fate(n, TIMES)
    return n
"""
BATCH = """
def onMessages(messages, api):
    for n in messages:
        api.sendMessage(["sent", n])
        fate(n, TIMES)
    return messages
"""
STATEFUL = """
def start(args, api):
    def on_message(n, origin):
        assert origin == "numbers"
        api.sendMessage(["sent", n])
        fate(n, TIMES)
        api.sendMessage(n)
    api.registerInputListener(on_message)
    api.startMessageListening()
"""
HELD = """
def start(args, api):
    n = args["streamInput"]["message"]
    hold = api.hold()
    try:
        fate(n, TIMES)
    except ValueError as error:
        hold.fail(error)
        return
    hold.sendMessage(["sent", n])
    hold.sendMessage(n)
    hold.settle()
"""


def chain_of(
    folder: Path, code: str, times: dict[int, int], on_error: OnError, *, count: int = 10, batch: int = 100
) -> Chain:
    """Handlers fail for each number of `times` so many times."""
    algorithm = algorithm_of(folder, f"{FAILS}\nTIMES = {times}\n{code}")
    stateful = "on_message(" in code
    return Chain(
        algorithm,
        list(range(count)),
        role=Role.STATEFUL if stateful else Role.STATELESS,
        batch=batch,
        on_error=on_error,
    )


def played(chain: Chain) -> Chain:
    if chain.algorithm.overlap is not None:
        return overlapping(chain)
    if chain.work.assignment.role is Role.STATEFUL:
        chain.algorithm.start()
        chain.algorithm.start_returned.set()
    return chain.finish()


def names_of(chain: Chain) -> dict[str, Any]:
    called = chain.algorithm._algorithm.on_messages or chain.algorithm._algorithm.start
    assert called is not None
    return called.__globals__


FORMS = [
    pytest.param(PLAIN, id="plain"),
    pytest.param(GENERATOR, id="generator"),
    pytest.param(ASYNC, id="async"),
    pytest.param(BATCH, id="batch"),
    pytest.param(STATEFUL, id="stateful"),
    pytest.param(HELD, id="held"),
]


@pytest.mark.parametrize("code", FORMS)
def test_a_message_is_handled_again_until_it_succeeds_and_is_then_like_all_others(tmp_path: Path, code: str) -> None:
    chain = played(chain_of(tmp_path, code, {3: 2, 7: 3}, THRICE))

    assert sorted(chain.outcome, key=str) == sorted([*range(10), *(["sent", n] for n in range(10))], key=str)
    assert chain.dead == []
    edge = chain.edge(chain.numbers)
    assert (edge.sent, edge.settled, edge.dead_lettered) == (10, 10, 0)
    assert (chain.work.account.received, chain.work.account.failed) == (10, 0)


@pytest.mark.parametrize("code", FORMS)
def test_after_the_last_attempt_it_is_a_dead_letter_that_tells_of_all_of_them(tmp_path: Path, code: str) -> None:
    chain = played(chain_of(tmp_path, code, {3: 9}, THRICE))

    assert sorted(n for n in chain.outcome if isinstance(n, int)) == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert ["sent", 3] not in chain.outcome
    [letter] = chain.dead
    assert (letter.message, letter.attempts, letter.error) == (3, 4, "ValueError: not yet 3")
    assert letter.first_s is not None
    assert letter.time_s - letter.first_s >= 0.1 + 0.2 + 0.3, "three delays lie between the first failure and the last"
    assert names_of(chain)["calls"][3] == 4
    assert (chain.edge(chain.numbers).settled, chain.edge(chain.numbers).dead_lettered) == (9, 1)
    assert chain.work.account.failed == 1


@pytest.mark.parametrize("code", FORMS)
def test_without_a_word_nothing_is_tried_again(tmp_path: Path, code: str) -> None:
    chain = played(chain_of(tmp_path, code, {3: 1}, OnError()))

    assert len(chain.dead) == 1 or "onMessages" in code  # a batch fails as one
    assert {letter.attempts for letter in chain.dead} == {1}
    assert 3 in [letter.message for letter in chain.dead]


def test_its_neighbours_do_not_wait_for_it(tmp_path: Path) -> None:
    chain = played(chain_of(tmp_path, PLAIN, {0: 2}, THRICE, batch=2))

    assert names_of(chain)["order"] == [*range(10), 0, 0]


def test_delays_grow_by_their_factor_up_to_their_limit(tmp_path: Path) -> None:
    chain = chain_of(tmp_path, PLAIN, {0: 9}, OnError(limit=4, delay_s=0.5, factor=2.0, max_delay_s=1.5))
    calls, times = names_of(chain)["calls"], []
    for n in range(1, 6):
        chain.until(lambda n=n: calls[0] == n)  # type: ignore[misc]  # mypy knows no default of a lambda
        times.append(chain.time_s)

    waits = [after - before for before, after in pairwise(times)]
    assert waits == pytest.approx([0.5, 1.0, 1.5, 1.5], abs=0.01)
    chain.finish()


def test_the_handler_gets_the_message_as_it_came_whatever_it_did_to_it(tmp_path: Path) -> None:
    code = """
    seen = []

    def start(args, api):
        message = args["streamInput"]["message"]
        seen.append(list(message))
        message.append("touched")
        if len(seen) < 3:
            raise ValueError
        return message
    """
    chain = Chain(algorithm_of(tmp_path, code), [["a"]], on_error=THRICE).finish()

    assert names_of(chain)["seen"] == [["a"], ["a"], ["a"]]
    assert chain.outcome == [["a", "touched"]]


def test_large_messages_are_tried_again_with_their_buffers(tmp_path: Path) -> None:
    data = bytes(range(256)) * 1024
    code = """
    calls = 0

    def start(args):
        global calls
        calls += 1
        if calls < 3:
            raise ValueError
        return args["streamInput"]["message"]
    """
    chain = Chain(algorithm_of(tmp_path, code), [{"data": data}], on_error=THRICE).finish()

    assert chain.outcome == [{"data": data}]


def test_headers_travel_with_it(tmp_path: Path) -> None:
    code = """
    calls = 0

    def start(args, api):
        global calls
        calls += 1
        api.sendMessage(calls, headers={"call": calls})
        if calls < 3:
            raise ValueError
    """
    chain = Chain(algorithm_of(tmp_path, code), ["one"], on_error=THRICE).finish()

    assert chain.outcome == [3]


def test_what_is_sent_at_a_retry_has_the_ids_that_it_would_have_had(tmp_path: Path) -> None:
    def ids(times: dict[int, int]) -> set[str]:
        chain = chain_of(tmp_path, PLAIN, times, THRICE)
        chain.work.inbox.pace.least = 1
        found: set[str] = set()
        emit = chain.work.outbox.emit

        def spied(segment: Segment, blobs: Any, *more: Any) -> None:
            found.update(str(segment.id(at)) for at in range(len(segment)))
            emit(segment, blobs, *more)

        vars(chain.work.outbox)["emit"] = spied
        chain.finish()
        return found

    calm = ids({})
    assert len(calm) == 20
    assert ids({3: 2, 7: 3}) == calm


def test_a_waiting_message_is_unsettled_and_its_neighbours_are_acknowledged(tmp_path: Path) -> None:
    chain = chain_of(tmp_path, PLAIN, {3: 1}, OnError(limit=1, delay_s=3.0, max_delay_s=3.0))

    chain.until(lambda: chain.edge(chain.numbers).settled == 9)

    frames = [f for u in chain.work.inbox._upstreams.values() for f in u.session.frames.values()]
    [(frame, left)] = unsettled(frames, chain.work.outbox.edges).items()
    assert [frame.segments[0].positions[index] for index in left] == [3]
    assert chain.work.stage is Stage.RUNNING
    chain.finish()
    assert chain.edge(chain.numbers).settled == 10


def test_a_death_accuses_the_message_that_is_tried_again_and_no_neighbour(tmp_path: Path) -> None:
    code = """
    calls = 0

    def start(args):
        global calls
        calls += args["streamInput"]["message"] == 3
        if args["streamInput"]["message"] == 3:
            raise KeyboardInterrupt if calls == 2 else ValueError
    """
    chain = Chain(algorithm_of(tmp_path, code), list(range(10)), on_error=THRICE)
    with pytest.raises(KeyboardInterrupt):
        chain.finish()

    [in_hand] = crashed_in(chain.hand)
    frame = chain.work.inbox._upstreams["numbers-0"].session.frames[in_hand.sequence]
    assert (frame.segments[0].positions[in_hand.first], in_hand.more) == (3, 0)
    assert in_hand.first > 0


def test_what_waits_is_bounded_and_input_waits_behind_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamer.runtime.retries.RETRIES_MESSAGES_MAX", 5)
    policy = OnError(limit=1, delay_s=0.1, max_delay_s=0.1)
    chain = chain_of(tmp_path, PLAIN, dict.fromkeys(range(100), 1), policy, count=100, batch=5)
    waiting = chain.work.failures.retries.waiting
    most = 0
    while chain.work.stage is not Stage.ENDED:
        for _ in range(100):
            chain.step()
            most = max(most, len(waiting))
    assert 5 <= most < 5 + limits.FRAME_MESSAGES_MAX // 8
    chain.finish()
    assert sorted(n for n in chain.outcome if isinstance(n, int)) == list(range(100))


def test_an_instance_that_waits_for_a_retry_is_not_busy(tmp_path: Path) -> None:
    chain = chain_of(tmp_path, PLAIN, {0: 1}, OnError(limit=1, delay_s=50.0, max_delay_s=50.0), count=1)
    chain.until(lambda: bool(chain.work.failures.retries.waiting))
    for _ in range(5):
        chain.step()

    assert chain.work.step() > 0.01


# -- then ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", FORMS)
@pytest.mark.parametrize("limit", [0, 2])
def test_dropped_messages_are_counted_by_their_producer(tmp_path: Path, code: str, limit: int) -> None:
    times = {3: 9} if "onMessages" not in code else dict.fromkeys(range(10), 9)
    chain = played(chain_of(tmp_path, code, times, OnError(limit=limit, delay_s=0.1, then=Then.DROP)))

    edge = chain.edge(chain.numbers)
    assert edge.dropped == {"handler": len(times)}
    assert (edge.settled, edge.dead_lettered) == (10 - len(times), 0)
    assert chain.dead == []
    assert chain.work.account.failed == len(times)


def test_drops_are_told_message_by_message_of_an_old_frame(tmp_path: Path) -> None:
    code = """
    holds = {}

    def start(args, api):
        n = args["streamInput"]["message"]
        if n == 1:
            holds[n] = api.hold()
        elif n == 2:
            raise ValueError
    """
    chain = Chain(algorithm_of(tmp_path, code), [0, 1, 2, 3], on_error=OnError(then=Then.DROP))
    chain.until(lambda: chain.edge(chain.numbers).dropped == {"handler": 1})

    assert (chain.edge(chain.numbers).settled, chain.edge(chain.numbers).in_flight) == (2, 1)
    names_of(chain)["holds"][1].settle()
    chain.finish()
    assert (chain.edge(chain.numbers).settled, chain.edge(chain.numbers).dropped) == (3, {"handler": 1})


@pytest.mark.parametrize("code", FORMS)
def test_stop_ends_the_instance_with_the_error_and_leaves_the_message_in_flight(tmp_path: Path, code: str) -> None:
    chain = chain_of(tmp_path, code, {3: 9}, OnError(limit=1, delay_s=0.1, then=Then.STOP))

    with pytest.raises(HandlerError, match="node work: its handler has failed") as raised:
        played(chain)

    assert str(raised.value.__cause__) == "not yet 3"
    assert chain.dead == []
    edge = chain.edge(chain.numbers)
    assert edge.in_flight >= 1
    assert edge.settled + edge.in_flight == edge.sent
    assert names_of(chain)["calls"][3] == 2
