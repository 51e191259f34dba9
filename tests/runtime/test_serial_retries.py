"""Where keys must stay in order, a message is tried again before anything behind it is handled."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from streamer.plan.assignment import OnError, Ownership, Role
from tests.runtime.chain import Chain, algorithm_of, overlapping

FLAKY = """
    calls = []

    {form}def on_message(message, origin):
        calls.append(message["n"])
        if message["n"] in (3, 5) and calls.count(message["n"]) < {needed}:
            raise ValueError("not yet")
        api_.sendMessage(message["n"])

    def start(args, api):
        global api_
        api_ = api
        api.registerInputListener(on_message)
        api.startMessageListening()
"""


def pass_time(chain: Chain, seconds: float, _descriptors: object = ()) -> None:
    chain.time_s += seconds


def played(folder: Path, *, needed: int, form: str = "") -> Chain:
    algorithm = algorithm_of(folder, FLAKY.format(form=form, needed=needed))
    messages = [{"key": n % 2, "n": n} for n in range(8)]
    policy = OnError(limit=2, delay_s=0.2)
    chain = Chain(algorithm, messages, role=Role.STATEFUL, on_error=policy, partition_by="key")
    for instance in chain.instances:
        chain.meet(instance, 2, Ownership(1, 1))
    chain.work._transport.wait = partial(pass_time, chain)  # type: ignore[method-assign]  # nothing comes meanwhile
    chain.algorithm.start()
    chain.algorithm.start_returned.set()
    return overlapping(chain) if form else chain.finish()


def test_what_is_tried_again_keeps_its_place(tmp_path: Path) -> None:
    chain = played(tmp_path, needed=3)
    assert chain.outcome == list(range(8))
    assert chain.dead == []
    assert chain.time_s > 2 * 0.2, "two messages, two delays each, by the clock of the instance"


def test_what_fails_for_good_has_all_its_calls_counted(tmp_path: Path) -> None:
    chain = played(tmp_path, needed=9)
    assert chain.outcome == [0, 1, 2, 4, 6, 7]
    assert [letter.attempts for letter in chain.dead] == [3, 3]
    assert [letter.time_s - (letter.first_s or 0.0) for letter in chain.dead] == pytest.approx([0.6, 0.6])


@pytest.mark.parametrize("needed", [1])
def test_an_async_handler_keeps_the_order_too(tmp_path: Path, needed: int) -> None:
    assert played(tmp_path, needed=needed, form="async ").outcome == list(range(8))
