"""An instance whose node is scaled down: it asks for no more, finishes what it has, and hands the rest back."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamer.plan.assignment import Command, Verb
from streamer.runtime.stage import Stage
from tests.runtime.chain import Chain, algorithm_of

_COUNT = 3_000
PASS = "def start(args, api):\n    return args['streamInput']['message']\n"


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    chain = Chain(algorithm_of(tmp_path, PASS), range(_COUNT), batch=10)
    chain.time_s = 1.0  # 0 is the time of what has not happened
    return chain


def leave(chain: Chain) -> None:
    chain.work.command(Command(Verb.LEAVE))
    chain.until(lambda: chain.work.stage is Stage.ENDED)
    chain.step()
    chain.step()


def test_what_it_has_taken_is_finished_and_the_rest_waits_for_others_unsent(chain: Chain) -> None:
    chain.until(lambda: len(chain.outcome) > 50)

    leave(chain)

    into = chain.edge(chain.numbers)
    assert 50 < into.settled < _COUNT
    assert chain.outcome == list(range(into.settled)), "what is settled has arrived, once"
    assert chain.edge(chain.work).settled == into.settled
    (edge,) = chain.numbers.outbox.edges
    assert (edge.flying_messages, edge.pending_messages) == (0, into.in_flight), "the rest is back with its producer"


def test_one_that_has_nothing_leaves_at_once(chain: Chain) -> None:
    leave(chain)

    assert chain.edge(chain.numbers).settled == len(chain.outcome)


def test_being_told_twice_changes_nothing(chain: Chain) -> None:
    chain.until(lambda: len(chain.outcome) > 50)
    chain.work.command(Command(Verb.LEAVE))

    leave(chain)

    assert chain.outcome == list(range(chain.edge(chain.numbers).settled))


def test_a_source_reads_no_more_and_settles_what_it_has_read(chain: Chain) -> None:
    chain.until(lambda: len(chain.outcome) > 50)

    chain.numbers.command(Command(Verb.LEAVE))
    chain.until(lambda: chain.numbers.stage is Stage.ENDED)

    into = chain.edge(chain.numbers)
    assert 50 < into.settled == into.sent < _COUNT
    assert chain.outcome == list(range(into.sent))
