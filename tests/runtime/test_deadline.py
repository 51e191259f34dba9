"""A handler call over its time is interrupted, wherever it is in the user's code, and nothing else ever is."""

from __future__ import annotations

from _thread import allocate_lock, start_new_thread
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from streamer import clock
from streamer.plan.assignment import OnError, Role
from streamer.runtime.deadline import Deadline
from tests.runtime.chain import Chain, algorithm_of, overlapping

TTL_S = 10.0


class Watched:
    """A deadline whose time is a number; `look` has the watchdog look once, in a thread of its own."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.overdue: list[float] = []
        self.deadline = Deadline(TTL_S, lambda: self.now_s, self.overdue.append)

    def look(self, later_s: float = 0.0) -> None:
        self.now_s += later_s
        looked = allocate_lock()
        looked.acquire()

        def look() -> None:
            self.deadline.look()
            looked.release()

        start_new_thread(look, ())  # and no Thread: an exception in the middle of its start is another one at last
        looked.acquire()


@pytest.fixture
def watched() -> Watched:
    return Watched()


def chain_of(folder: Path, watched: Watched, code: str, **options: Any) -> Chain:
    """The algorithm has `look(later_s)`."""
    algorithm = algorithm_of(folder, code)
    for function in (algorithm.start, algorithm.on_messages):
        if function is not None:
            function.__globals__["look"] = watched.look
    return Chain(algorithm, list(range(10)), deadline=watched.deadline, **options)


PLAIN = """
def start(args, api):
    n = args["streamInput"]["message"]
    api.sendMessage(["sent", n])
    if n == 3:
        look(11)
        while True:
            pass
    return n
"""
GENERATOR = """
def start(args, api):
    n = args["streamInput"]["message"]
    yield ["sent", n]
    if n == 3:
        look(11)
        while True:
            pass
    yield n
"""
STATEFUL = """
def start(args, api):
    def on_message(n, origin):
        api.sendMessage(["sent", n])
        if n == 3:
            look(11)
            while True:
                pass
        api.sendMessage(n)
    api.registerInputListener(on_message)
    api.startMessageListening()
"""
FORMS = [
    pytest.param(PLAIN, id="plain"),
    pytest.param(GENERATOR, id="generator"),
    pytest.param(STATEFUL, id="stateful"),
]


def played(chain: Chain) -> Chain:
    if chain.work.assignment.role is Role.STATEFUL:
        chain.algorithm.start()
        chain.algorithm.start_returned.set()
    return chain.finish()


def role_of(code: str) -> Role:
    return Role.STATEFUL if "on_message(" in code else Role.STATELESS


@pytest.mark.parametrize("code", FORMS)
def test_a_call_over_its_time_fails_like_any_other_and_its_neighbours_go_on(
    tmp_path: Path, watched: Watched, code: str
) -> None:
    chain = played(chain_of(tmp_path, watched, code, role=role_of(code)))

    [letter] = chain.dead
    assert letter.error == "HandlerTimeoutError: the call took longer than the ttl of its node, 10 s"
    assert letter.traceback.endswith("\nstreamer.errors." + letter.error + "\n"), "the name that the user can catch"
    assert letter.message == 3
    assert "work.py" in letter.traceback and "deadline.py" not in letter.traceback.partition("work.py")[0]
    assert sorted(n for n in chain.outcome if isinstance(n, int)) == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert ["sent", 3] not in chain.outcome
    assert watched.overdue == []


def test_a_batch_has_its_time_as_a_whole(tmp_path: Path, watched: Watched) -> None:
    code = """
    def onMessages(messages, api):
        look(11 if 3 in messages and len(messages) > 1 else 0)
        return messages
    """
    chain = chain_of(tmp_path, watched, code, on_error=OnError(limit=1, delay_s=0.1)).finish()

    assert sorted(chain.outcome) == list(range(10))
    assert chain.dead == []


@pytest.mark.parametrize("code", FORMS)
def test_it_is_tried_again_where_the_node_says_so(tmp_path: Path, watched: Watched, code: str) -> None:
    again = code.replace("n == 3", "n == 3 and not tried and not tried.append(3)")
    chain = played(
        chain_of(tmp_path, watched, f"tried = []\n{again}", role=role_of(code), on_error=OnError(limit=1, delay_s=0.1))
    )

    assert sorted(n for n in chain.outcome if isinstance(n, int)) == list(range(10))
    assert chain.dead == []


def test_a_call_that_returns_in_the_moment_in_which_it_would_be_interrupted_has_succeeded(watched: Watched) -> None:
    given = watched.deadline._plain(lambda: watched.look(11))
    taken_back = watched.deadline._plain(len)

    with pytest.raises(Exception, match="longer than the ttl"):
        given()  # it struck in the user's code, before the return
    assert taken_back("abc") == 3
    for _ in range(100):
        assert taken_back("") == 0  # nothing is left over for later calls


def test_what_swallows_the_interruption_is_not_interrupted_again_and_is_overdue_at_twice_its_time(
    watched: Watched,
) -> None:
    def stubborn() -> str:
        try:
            watched.look(11)
        except Exception as error:  # noqa: BLE001  # as a user's code may
            assert "ttl" in str(error)
        watched.look(1)
        assert watched.overdue == []
        watched.look(9)
        assert watched.overdue == [TTL_S]
        return "done"

    assert watched.deadline._plain(stubborn)() == "done"
    watched.look(100)
    assert watched.overdue == [TTL_S]


def test_time_in_the_api_does_not_count_and_is_not_interrupted(watched: Watched) -> None:
    def handler() -> str:
        with watched.deadline.shield():
            watched.look(1_000)
        watched.look(5)
        return "done"

    assert watched.deadline._plain(handler)() == "done"
    assert watched.overdue == []


def test_a_late_call_of_the_api_is_refused(watched: Watched) -> None:
    reached = []

    def handler() -> None:
        try:
            watched.look(11)
        except Exception:  # noqa: BLE001  # as a user's code may
            with watched.deadline.shield():
                reached.append("the api")

    with pytest.raises(Exception, match="longer than the ttl"):
        watched.deadline._plain(handler)()
    assert reached == []


def test_a_generator_that_is_not_asked_for_more_has_all_the_time(watched: Watched) -> None:
    values = watched.deadline._plain(lambda: (n for n in range(3)))()

    assert next(values) == 0
    watched.look(1_000)
    assert list(values) == [1, 2]


def test_under_fire_of_a_real_watchdog_every_call_is_whole_or_not_at_all(tmp_path: Path) -> None:
    code = """
    import time

    def start(args, api):
        n = args["streamInput"]["message"]
        end = time.perf_counter() + (n % 7) * 0.0007
        api.sendMessage([n, 1])
        while time.perf_counter() < end:
            api.sendMessage([n, 2])
        return [n, 3]
    """
    deadline = Deadline(0.002, clock.now, lambda _ttl_s: None)
    over = Event()

    def watch() -> None:
        while not over.is_set():
            deadline.look()

    watchdog = Thread(target=watch)
    watchdog.start()
    try:
        count = 1_500
        chain = Chain(algorithm_of(tmp_path, code), list(range(count)), deadline=deadline).finish()
    finally:
        over.set()
        watchdog.join()

    dead = {letter.message for letter in chain.dead}
    assert {letter.error.partition(":")[0] for letter in chain.dead} <= {"HandlerTimeoutError"}
    first = {n for n, part in chain.outcome if part == 1}
    last = {n for n, part in chain.outcome if part == 3}
    assert first == last == set(range(count)) - dead
    assert {n for n, part in chain.outcome if part == 2} <= first


# -- async handlers --------------------------------------------------------------------------------------------------

WAITS = """
import asyncio

async def start(args, api):
    n = args["streamInput"]["message"]
    api.sendMessage(["sent", n])
    if n == 3:
        await asyncio.Event().wait()
    return n
"""
WAITS_AND_YIELDS = WAITS.replace("return n", "yield n")


@pytest.mark.parametrize("code", [WAITS, WAITS_AND_YIELDS], ids=["async", "async generator"])
def test_a_call_that_waits_is_cancelled(tmp_path: Path, code: str) -> None:
    deadline = Deadline(0.02, clock.now, lambda _ttl_s: None)
    chain = overlapping(Chain(algorithm_of(tmp_path, code), list(range(10)), concurrency=3, deadline=deadline))

    [letter] = chain.dead
    assert letter.error.startswith("HandlerTimeoutError: the call took longer than the ttl")
    assert sorted(n for n in chain.outcome if isinstance(n, int)) == [0, 1, 2, 4, 5, 6, 7, 8, 9]


def test_a_timeout_of_the_users_own_stays_what_it_is(tmp_path: Path) -> None:
    code = "async def start(args):\n    raise TimeoutError('of a service')\n"
    deadline = Deadline(TTL_S, clock.now, lambda _ttl_s: None)
    chain = overlapping(Chain(algorithm_of(tmp_path, code), [1], deadline=deadline))

    assert [letter.error for letter in chain.dead] == ["TimeoutError: of a service"]


def test_a_call_that_does_not_heed_its_cancellation_is_overdue(watched: Watched) -> None:
    with watched.deadline._noted():
        watched.look(19)
        assert watched.overdue == []
        watched.look(1)
    assert watched.overdue == [TTL_S]
    watched.look(100)
    assert watched.overdue == [TTL_S]
