"""Key groups change hands: what an instance does with what it has, and when it says that it owns nothing any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from streamer.limits import RELEASE_SETTLE_S
from streamer.plan.assignment import Command, Ownership, Verb, Wiring
from streamer.runtime.stage import Stage
from tests.runtime.chain import Chain, algorithm_of

_COUNT = 2_000
PASS = """
def start(args, api):
    return args["streamInput"]["message"]
"""
MINE, NOBODY, OTHERS_OF_TWO = Ownership(1, 1), Ownership(2, 0), Ownership(3, 2)


class Keyed(Chain):
    """A chain whose `work` is partitioned by the message itself."""

    def __init__(self, folder: Path, text: str = PASS) -> None:
        super().__init__(algorithm_of(folder, text), range(_COUNT), batch=10, partition_by=".")
        self.time_s = 1.0
        self._version = 1

    def told(self, owned: Ownership, *, producer: bool = True) -> None:
        self._version += 1
        self.meet(self.work, self._version, owned)
        if producer:
            self.meet(self.numbers, self._version, owned)

    @property
    def ownership(self) -> int:
        """What `work` says it goes by."""
        return self.work.sample().ownership

    def until_it_goes_by(self, owned: Ownership) -> None:
        self.until(lambda: self.ownership == owned.epoch)


@pytest.fixture
def chain(tmp_path: Path) -> Keyed:
    return Keyed(tmp_path)


def at_work(chain: Keyed) -> None:
    chain.told(MINE)
    chain.until(lambda: len(chain.outcome) > 50)


def without_the_sink(chain: Keyed, done: Callable[[], bool]) -> None:
    while not done():
        chain.numbers.step()
        chain.work.step()
        chain.time_s += 0.05


def test_nothing_is_taken_before_there_are_owners(chain: Keyed) -> None:
    for _ in range(200):
        chain.step()
    assert (chain.outcome, chain.ownership) == ([], 0)

    at_work(chain)
    assert chain.ownership == MINE.epoch


def test_one_that_owns_nothing_takes_nothing(chain: Keyed) -> None:
    chain.told(Ownership(1, 0), producer=False)
    for _ in range(200):
        chain.step()

    assert (chain.outcome, chain.ownership) == ([], 1)


def test_what_is_given_up_is_with_its_producer_again_and_what_was_handled_is_settled(chain: Keyed) -> None:
    at_work(chain)

    chain.told(NOBODY, producer=False)
    chain.until_it_goes_by(NOBODY)
    chain.step()

    into = chain.edge(chain.numbers)
    (edge,) = chain.numbers.outbox.edges
    assert chain.outcome == list(range(into.settled)), "what is settled has arrived, once"
    assert (edge.flying_messages, edge.pending_messages) == (0, into.in_flight)
    assert chain.work.inbox.unsettled == 0


def test_who_owns_it_next_goes_on_and_nothing_comes_twice(chain: Keyed) -> None:
    at_work(chain)
    chain.told(NOBODY, producer=False)
    chain.until_it_goes_by(NOBODY)

    chain.told(Ownership(3, 1))

    assert chain.finish().outcome == list(range(_COUNT))
    assert chain.edge(chain.numbers).settled == _COUNT


def test_an_older_word_of_owners_changes_nothing(chain: Keyed) -> None:
    chain.told(Ownership(3, 1))
    chain.until_it_goes_by(Ownership(3, 1))

    chain.told(MINE)

    assert chain.finish().outcome == list(range(_COUNT))
    assert chain.ownership == 3


def test_what_was_handled_may_be_settled_first(chain: Keyed) -> None:
    at_work(chain)
    without_the_sink(chain, lambda: chain.work.account.received > len(chain.outcome))
    began = chain.time_s

    chain.told(NOBODY, producer=False)
    without_the_sink(chain, lambda: chain.ownership == NOBODY.epoch)

    assert RELEASE_SETTLE_S <= chain.time_s - began < RELEASE_SETTLE_S + 0.2
    assert chain.work.inbox.unsettled > 0, "it is settled later, and nobody hears of it"


def test_a_session_that_was_opened_by_other_owners_ends_when_its_producer_hears_of_them(chain: Keyed) -> None:
    at_work(chain)
    (outlet,) = chain.numbers.outbox.outlets
    assert len(outlet.sessions) == 1

    chain.meet(chain.numbers, 100, OTHERS_OF_TWO)
    chain.numbers.step()

    assert outlet.sessions == []
    assert [lane.edge.flying_messages for lane in outlet.lanes] == [0, 0]


def test_a_call_that_waits_is_finished_before_anything_is_given_up(tmp_path: Path) -> None:
    chain = Keyed(
        tmp_path,
        """
        import asyncio
        gate = asyncio.Event()
        began = []

        async def start(args, api):
            began.append(args["streamInput"]["message"])
            await gate.wait()
            return args["streamInput"]["message"]
        """,
    )
    chain.told(MINE)
    overlap = chain.algorithm.overlap
    assert overlap is not None

    async def go_on() -> None:
        overlap.begin(asyncio.get_running_loop(), lambda: None)
        start = chain.algorithm._algorithm.start
        assert start is not None
        shared = start.__globals__
        while not shared["began"]:
            chain.step()
            await asyncio.sleep(0)
        chain.told(NOBODY, producer=False)
        for _ in range(2_000):
            chain.step()
            await asyncio.sleep(0)
        assert chain.ownership == MINE.epoch
        shared["gate"].set()
        while chain.ownership != NOBODY.epoch:
            chain.step()
            await asyncio.sleep(0)

    asyncio.run(go_on())
    assert chain.edge(chain.numbers).settled >= 1


def test_one_that_is_sent_away_after_it_has_given_up_ends(chain: Keyed) -> None:
    at_work(chain)
    chain.told(NOBODY, producer=False)
    chain.until_it_goes_by(NOBODY)

    chain.work.command(Command(Verb.LEAVE))
    chain.told(Ownership(3, 0), producer=False)

    chain.until(lambda: chain.work.stage is Stage.ENDED)


def test_other_flows_open_no_session_while_nobody_owns_anything(chain: Keyed) -> None:
    at_work(chain)
    chain.told(NOBODY, producer=False)
    chain.until_it_goes_by(NOBODY)
    before = len(chain.outcome)

    w = chain.work.wiring
    chain.work.command(Command(Verb.FLOWS, wiring=Wiring(2, w.tables, w.current, w.inputs, w.outputs)))
    for _ in range(200):
        chain.step()

    assert len(chain.outcome) == before
