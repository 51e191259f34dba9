"""`async` handlers overlap up to the node's concurrency, and each call's effects are its own."""

from __future__ import annotations

from array import array
from pathlib import Path

import pytest

from streamer.errors import AlgorithmError
from streamer.plan.assignment import Role
from streamer.protocol.frames import InHand
from streamer.runtime.roles import crashed_in
from streamer.runtime.turn import HAND_WORDS, IN_HAND, NOTHING
from tests.runtime.chain import Chain, algorithm_of, overlapping

GATED = """
import asyncio

waiting = {}

async def start(args, api):
    n = args["streamInput"]["message"]
    waiting[n] = asyncio.Event()
    await waiting[n].wait()
    del waiting[n]
    api.sendMessage(-n)
    if n == 13:
        raise ValueError("thirteen")
    return n
"""


def test_calls_overlap_up_to_the_concurrency_of_the_node(tmp_path: Path) -> None:
    chain = Chain(algorithm_of(tmp_path, GATED), list(range(1, 41)), concurrency=4, batch=10)
    most: list[int] = []
    idle = 0

    def ready(chain: Chain) -> None:
        nonlocal idle
        waiting = chain.algorithm._algorithm.start.__globals__["waiting"]  # type: ignore[union-attr]  # it has a start
        most.append(len(waiting))
        idle = 0 if len(most) < 2 or most[-1] != most[-2] else idle + 1
        if waiting and (len(waiting) == 4 or idle > 50):
            waiting[max(waiting)].set()

    overlapping(chain, ready)

    assert max(most) == 4
    assert sorted(n for n in chain.outcome if n > 0) == [n for n in range(1, 41) if n != 13]
    assert sorted(-n for n in chain.outcome if n < 0) == [n for n in range(1, 41) if n != 13]
    assert chain.outcome != sorted(chain.outcome, key=abs)
    assert [letter.message for letter in chain.dead] == [13]
    assert chain.edge(chain.numbers).settled == 39
    assert chain.edge(chain.numbers).dead_lettered == 1
    assert chain.edge(chain.work).sent == chain.edge(chain.work).settled == 78


def test_a_death_accuses_every_message_in_hand_and_no_other(tmp_path: Path) -> None:
    chain = Chain(algorithm_of(tmp_path, GATED), list(range(1, 41)), concurrency=4, batch=10)
    found: list[tuple[set[int], list[InHand]]] = []

    def ready(chain: Chain) -> None:
        waiting = chain.algorithm._algorithm.start.__globals__["waiting"]  # type: ignore[union-attr]  # it has a start
        if len(waiting) == 4 and 1 not in waiting:
            found.append((set(waiting), crashed_in(memoryview(array("Q", chain.hand)))))
        for event in waiting.values():
            event.set()

    overlapping(chain, ready)

    assert found
    for waiting, crashed in found:
        assert len(waiting) == len(set(crashed)) == 4
    assert set(chain.hand[IN_HAND::HAND_WORDS]) == {NOTHING}
    assert crashed_in(chain.hand) == []


def test_an_async_generator_sends_what_it_yields(tmp_path: Path) -> None:
    algorithm = algorithm_of(
        tmp_path,
        """
        import asyncio

        async def start(args):
            n = args["streamInput"]["message"]
            for k in range(n):
                await asyncio.sleep(0)
                yield [n, k]
        """,
    )

    chain = overlapping(Chain(algorithm, [1, 2, 3], concurrency=2))

    assert sorted(chain.outcome) == [[1, 0], [2, 0], [2, 1], [3, 0], [3, 1], [3, 2]]


def test_async_batches_overlap_too(tmp_path: Path) -> None:
    algorithm = algorithm_of(
        tmp_path,
        """
        import asyncio

        async def onMessages(messages):
            await asyncio.sleep(0)
            if 7 in messages:
                raise ValueError("seven")
            return [-n for n in messages]
        """,
    )

    chain = overlapping(Chain(algorithm, list(range(1, 60)), concurrency=3))

    assert sorted([*(-n for n in chain.outcome), *(letter.message for letter in chain.dead)]) == list(range(1, 60))
    assert 7 in [letter.message for letter in chain.dead]


def test_async_listeners_of_a_stateful_node_overlap(tmp_path: Path) -> None:
    algorithm = algorithm_of(
        tmp_path,
        """
        import asyncio

        def start(args, api):
            async def on_message(message):
                await asyncio.sleep(0)
                api.sendMessage(message)

            api.registerInputListener(on_message)
        """,
    )
    chain = Chain(algorithm, list(range(50)), role=Role.STATEFUL, concurrency=5)
    chain.algorithm.start()
    chain.algorithm.start_returned.set()

    overlapping(chain)

    assert sorted(chain.outcome) == list(range(50))
    assert chain.edge(chain.numbers).settled == 50


def test_a_task_that_outlives_its_call_sends_roots(tmp_path: Path) -> None:
    algorithm = algorithm_of(
        tmp_path,
        """
        import asyncio

        tasks = set()

        async def start(args, api):
            n = args["streamInput"]["message"]

            async def later():
                await asyncio.sleep(0)
                api.sendMessage(n)

            task = asyncio.get_running_loop().create_task(later())
            tasks.add(task)
            await asyncio.sleep(0)
            raise ValueError("the call fails, and what its task sends afterwards is not its own")
        """,
    )

    chain = overlapping(Chain(algorithm, [1, 2, 3], concurrency=1))

    assert sorted(chain.outcome) == [1, 2, 3]
    assert len(chain.dead) == 3


def test_credit_is_asked_for_before_the_slowest_call_of_a_frame_is_done(tmp_path: Path) -> None:
    chain = Chain(algorithm_of(tmp_path, GATED), list(range(1, 200)), concurrency=4, batch=50)
    handled: set[int] = set()

    def ready(chain: Chain) -> None:
        waiting = chain.algorithm._algorithm.start.__globals__["waiting"]  # type: ignore[union-attr]  # it has a start
        handled.update(waiting)
        for n in list(waiting):
            if n != 2 or len(handled) == 199:
                waiting[n].set()

    overlapping(chain, ready)

    assert len(handled) == 199


def test_init_must_not_be_async(tmp_path: Path) -> None:
    with pytest.raises(AlgorithmError, match=r"init in .* is async"):
        algorithm_of(tmp_path, "async def init(args): ...\ndef start(args): ...")
