"""A node that keeps state settles and sends with checkpoints: each message counts once, whatever happens in between."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import msgpack
import pytest

from streamer.errors import StateError
from streamer.limits import CHECKPOINT_S
from streamer.plan.assignment import Role
from streamer.runtime.stage import Stage
from streamer.state.base import Checkpoint
from streamer.testing.disk import LifeState
from tests.runtime.chain import Chain, algorithm_of, overlapping

COUNTING = """
    def start(args, api):
        seen = api.state.counter("seen")

        def on_message(message, origin):
            total = seen.add(message % 3)
            if message % 100 == 7:
                raise ValueError("an unlucky number")
            api.sendMessage([message, total])

        api.registerInputListener(on_message)
        api.startMessageListening()
"""


def counting(tmp_path: Path, count: int) -> Chain:
    chain = Chain(algorithm_of(tmp_path, COUNTING), list(range(count)), role=Role.STATEFUL)
    chain.algorithm.start()
    chain.algorithm.start_returned.set()
    return chain


def test_what_a_node_counts_leaves_with_its_checkpoints(tmp_path: Path) -> None:
    chain = counting(tmp_path, 250)
    chain.finish()
    totals: Counter[int] = Counter()
    expected = []
    for message in range(250):
        if message % 100 != 7:
            totals[message % 3] += 1
            expected.append([message, totals[message % 3]])
    assert chain.outcome == expected


def test_a_call_that_raises_has_written_nothing(tmp_path: Path) -> None:
    chain = counting(tmp_path, 250)
    chain.finish()
    store = chain.state_home(2).open()
    counts = sum(int.from_bytes(entry.value, "big") for _, entry in store.scan("seen"))
    assert counts == 250 - 3
    assert chain.work.account.failed == 3


@pytest.mark.parametrize("listeners", [1, 2])
def test_state_may_begin_in_a_handler_and_the_calls_that_follow_are_taken_back_by_themselves(
    tmp_path: Path, listeners: int
) -> None:
    code = f"""
        def start(args, api):
            def on_message(message, origin):
                api.state.counter("seen").add("all")
                if message == 7:
                    raise ValueError("an unlucky number")
                api.sendMessage(message)

            for _ in range({listeners}):
                api.registerInputListener(on_message)
            api.startMessageListening()
    """
    chain = Chain(algorithm_of(tmp_path, code), list(range(20)), role=Role.STATEFUL)
    chain.algorithm.start()
    chain.algorithm.start_returned.set()
    chain.finish()

    assert chain.outcome == [message for message in range(20) if message != 7 for _ in range(listeners)]
    (entry,) = chain.state.entries.values()
    assert msgpack.unpackb(entry.value) == 19 * listeners


@pytest.mark.parametrize(
    ("code", "when"),
    [
        pytest.param(
            """
            def start(args, api):
                async def on_message(message, origin):
                    api.state.counter("seen").add("all")

                api.registerInputListener(on_message)
                api.startMessageListening()
            """,
            "in a handler whose calls overlap",
            id="async",
        ),
        pytest.param(
            """
            def start(args, api):
                errors = []

                def on_message(message, origin):
                    raise errors[0]

                api.registerInputListener(on_message)
                api.startMessageListening()
                try:
                    api.state.counter("seen")
                except Exception as error:
                    errors.append(error)
            """,
            "beside a node that takes messages already",
            id="beside",
        ),
    ],
)
def test_state_does_not_begin_while_calls_are_at_work_that_could_not_be_told_apart(
    tmp_path: Path, code: str, when: str
) -> None:
    chain = Chain(algorithm_of(tmp_path, code), [1], role=Role.STATEFUL)
    chain.algorithm.start()
    chain.algorithm.start_returned.set()
    if chain.algorithm.overlap is None:
        chain.finish()
    else:
        overlapping(chain)

    (letter,) = chain.dead
    assert letter.error == f"StateError: api.state was first used {when}"


def test_nothing_settles_and_nothing_leaves_before_a_checkpoint(tmp_path: Path) -> None:
    chain = counting(tmp_path, 2_000)
    moments = {0: 0.0}

    def done() -> bool:
        edge = chain.numbers.account.edge("work")
        moments.setdefault(edge.settled + edge.dead_lettered, chain.time_s)
        return all(instance.stage is Stage.ENDED for instance in chain.instances)

    chain.until(done)
    waits = [later - earlier for earlier, later in pairwise(list(moments.values())[1:-1])]
    assert len(waits) > 2
    assert min(waits) > 0.95 * CHECKPOINT_S


def test_a_checkpoint_that_could_not_be_written_is_whole_when_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commit = LifeState.commit
    refused: list[Checkpoint] = []

    def full_at_first(store: LifeState, checkpoint: Checkpoint) -> None:
        if len(refused) < 2:
            refused.append(checkpoint)
            raise StateError("the disk is full")
        commit(store, checkpoint)

    monkeypatch.setattr(LifeState, "commit", full_at_first)
    chain = counting(tmp_path, 250)
    chain.finish()

    assert len(refused) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"node work: the disk is full. {StateError.remedy} Nothing settles until then.",
        "node work: checkpoints are written again",
    ]
    assert chain.outcome[-1] == [249, 83]
    assert msgpack.unpackb(chain.state.facts["work-0"]["edges"]) == ["out"]
    assert sum(int.from_bytes(entry.value, "big") for entry in chain.state.entries.values()) == 250 - 3
