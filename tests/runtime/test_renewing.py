"""An instance that leaves for its next life: it finishes and hands back as in a scale-down; nothing ends with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamer.metrics.samples import InstanceState
from streamer.plan.assignment import Command, Role, Verb
from streamer.runtime.stage import Stage
from tests.runtime.chain import Chain, algorithm_of

_COUNT = 3_000
PASS = "def start(args, api):\n    return args['streamInput']['message']\n"
COUNT = """
def start(args, api):
    total = api.state.counter("total")

    def on_message(message, origin):
        api.sendMessage(total.add("all"))

    api.registerInputListener(on_message)
    api.startMessageListening()
"""


def begun(folder: Path, text: str, role: Role) -> Chain:
    chain = Chain(algorithm_of(folder, text), range(_COUNT), role=role, batch=10)
    chain.time_s = 1.0  # 0 is the time of what has not happened
    if role is Role.STATEFUL:
        chain.algorithm.start()
        chain.algorithm.start_returned.set()
    return chain


@pytest.mark.parametrize(
    ("text", "role"),
    [pytest.param(PASS, Role.STATELESS, id="stateless"), pytest.param(COUNT, Role.STATEFUL, id="state")],
)
def test_what_it_has_taken_is_finished_and_its_consumers_hear_of_no_end(tmp_path: Path, text: str, role: Role) -> None:
    chain = begun(tmp_path, text, role)
    chain.until(lambda: len(chain.outcome) > 50)

    chain.work.command(Command(Verb.RENEW))
    chain.until(lambda: chain.work.stage is Stage.ENDED)
    chain.step()
    chain.step()

    into = chain.edge(chain.numbers)
    assert 50 < into.settled < _COUNT
    assert len(chain.outcome) == into.settled, "what is settled has arrived, once"
    (edge,) = chain.numbers.outbox.edges
    assert (edge.flying_messages, edge.pending_messages) == (0, into.in_flight), "the rest is back with its producer"
    assert chain.out.stage is Stage.RUNNING
    assert not chain.out.inbox.ended(inside=True)
    assert chain.work.sample().state is InstanceState.DRAINING, "it has not ended: it is about to come back"


def test_one_that_is_at_its_end_already_ends(tmp_path: Path) -> None:
    chain = begun(tmp_path, PASS, Role.STATELESS)
    chain.until(lambda: chain.work.stage is not Stage.RUNNING)

    chain.work.command(Command(Verb.RENEW))
    chain.until(lambda: chain.work.stage is Stage.ENDED)

    assert not chain.work.renewing
    assert len(chain.outcome) == _COUNT
    assert chain.work.sample().state is InstanceState.ENDED
