"""Dead letters that come in again at the node where they failed, through the real store."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamer.plan.assignment import Command, OnError, Verb
from streamer.runtime.stage import Stage
from streamer.state.dead_letters import DeadLetters
from streamer.state.replays import Replays
from tests.runtime.chain import Chain, algorithm_of, overlapping

FLAKY = """
broken = True
calls = []

def start(args, api):
    n = args["streamInput"]["message"]
    calls.append((n, args["streamInput"]["origin"], dict(api.headers)))
    if broken and n % 3 == 0:
        raise ValueError(n)
    return n
"""


class Replayed(Chain):
    """A chain whose letters lie in a store, held open at its source until `finish`."""

    def __init__(self, folder: Path, code: str, count: int = 10, on_error: OnError | None = None) -> None:
        self.letters = DeadLetters(folder / "dead.sqlite")
        self.replays = Replays(self.letters)
        messages: list[object] = list(range(count))
        algorithm = algorithm_of(folder, code)
        super().__init__(algorithm, messages, letters=self.letters, replays=self.replays, on_error=on_error)

    def names(self) -> dict[str, object]:
        start = self.algorithm._algorithm.start
        assert start is not None
        return start.__globals__

    def until_dead(self, count: int) -> None:
        self.until(lambda: self.letters.count() == count and self.edge(self.numbers).in_flight == 0)

    def replay(self, *numbers: int, current_flows: bool = False) -> None:
        self.replays.want(numbers, current_flows=current_flows)
        self.work.command(Command(Verb.REPLAY, lives=("work-0",)))


@pytest.fixture
def chain(tmp_path: Path) -> Replayed:
    chain = Replayed(tmp_path, FLAKY)
    chain.hold_open()
    chain.until_dead(4)
    chain.names()["broken"] = False
    return chain


def test_letters_are_handled_again_as_new_roots_and_are_gone(chain: Replayed) -> None:
    before = {kept.letter.message_id for kept in chain.letters.find()}
    chain.names()["calls"] = []

    chain.replay(1, 2, 3, 4)
    chain.until(lambda: chain.letters.count() == 0)
    chain.finish()

    assert sorted(chain.outcome) == list(range(10))
    calls = chain.names()["calls"]
    assert isinstance(calls, list)
    assert [(n, origin) for n, origin, _ in calls] == [(n, "numbers") for n in (0, 3, 6, 9)]
    assert {headers["streamer-replay-of"] for _, _, headers in calls} == before
    assert chain.replays.counts() == {"work": 4}
    assert chain.edge(chain.work).settled == 10
    assert chain.edge(chain.numbers).dead_lettered == 4


def test_only_those_that_are_wanted_come_in(chain: Replayed) -> None:
    chain.replay(2)
    chain.until(lambda: chain.letters.count() == 3)
    chain.finish()

    assert 3 in chain.outcome and 0 not in chain.outcome


def test_one_that_fails_again_stays_and_tells_of_it(chain: Replayed) -> None:
    chain.names()["broken"] = True

    chain.replay(1, 2)
    chain.until(lambda: [kept.letter.attempts for kept in chain.letters.find()] == [2, 2, 1, 1])
    chain.finish()

    assert {(kept.state, kept.replays) for kept in chain.letters.find()} == {("dead", 1), ("dead", 0)}
    assert chain.letters.count() == 4
    assert chain.replays.counts() in ({}, {"work": 0})


def test_the_end_waits_for_what_is_replayed(chain: Replayed) -> None:
    chain.replay(1, 2, 3, 4)
    chain.finish()

    assert sorted(chain.outcome) == list(range(10))
    assert chain.letters.count() == 0


def test_a_version_that_is_over_is_refused_unless_the_current_one_is_wanted(chain: Replayed) -> None:
    with chain.letters.writing() as connection:
        connection.execute("UPDATE letters SET version = 7")

    chain.replay(1)
    chain.until(lambda: "version 7 of the flows is over" in chain.letters.find()[0].letter.error)
    assert chain.letters.find()[0].state == "dead"
    chain.replay(1, current_flows=True)
    chain.until(lambda: chain.letters.count() == 3)
    chain.finish()

    assert 0 in chain.outcome


def test_a_flow_that_does_not_come_here_any_more_is_refused(chain: Replayed) -> None:
    with chain.letters.writing() as connection:
        connection.execute("UPDATE letters SET flow = 'gone'")

    chain.replay(1, current_flows=True)
    chain.until(lambda: "'gone' does not come to node 'work'" in chain.letters.find()[0].letter.error)
    chain.finish()


def test_a_replayed_message_is_retried_like_any_other(tmp_path: Path) -> None:
    code = FLAKY.replace("if broken and n % 3 == 0", "if n == 3 and len([c for c in calls if c[0] == 3]) < 5")
    chain = Replayed(tmp_path, code, on_error=OnError(limit=2, delay_s=0.05))
    chain.hold_open()
    chain.until_dead(1)

    chain.replay(1)
    chain.until(lambda: chain.letters.count() == 0)
    chain.finish()

    assert sorted(chain.outcome) == list(range(10))


def test_async_handlers_take_them_too(tmp_path: Path) -> None:
    chain = Replayed(tmp_path, FLAKY.replace("def start", "async def start"))
    chain.hold_open()
    state: list[str] = []

    def ready(_: Chain) -> None:
        if not state and chain.letters.count() == 4 and chain.edge(chain.numbers).in_flight == 0:
            state.append("replay")
            chain.names()["broken"] = False
            chain.replay(1, 2, 3, 4)
        if state == ["replay"] and chain.letters.count() == 0:
            state.append("done")
            chain.let_end()

    overlapping(chain, ready)

    assert sorted(chain.outcome) == list(range(10))
    assert chain.work.stage is Stage.ENDED
