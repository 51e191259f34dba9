"""What a handler may ask beyond returning: hold a message, hear that it is settled, send at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from streamer import limits
from streamer.errors import FlowError, HoldError, OverloadError
from streamer.plan.assignment import Role
from streamer.protocol.input_frame import unsettled
from streamer.runtime.stage import Stage
from tests.runtime.chain import Chain, algorithm_of, overlapping

HOLDING = """
holds = {}

def start(args, api):
    n = args["streamInput"]["message"]
    holds[n] = api.hold()
    if n == 5:
        raise ValueError("five")
"""


def names_of(chain: Chain) -> dict[str, Any]:
    """The names of the algorithm's file."""
    called = chain.algorithm._algorithm.on_messages or chain.algorithm._algorithm.start
    assert called is not None
    return called.__globals__


def all_handled(chain: Chain, count: int) -> None:
    chain.until(lambda: chain.work.account.received == count)


def test_a_held_message_is_settled_when_its_hold_is(tmp_path: Path) -> None:
    chain = Chain(algorithm_of(tmp_path, HOLDING), list(range(10)))
    all_handled(chain, 10)
    holds = names_of(chain)["holds"]

    for _ in range(50):
        chain.step()
    assert chain.numbers.stage is not Stage.ENDED
    for n in (3, 1, 2, 0, 4, 6, 7, 8, 9):
        holds[n].settle()
        holds[n].settle()
    chain.finish()

    assert (chain.edge(chain.numbers).settled, chain.edge(chain.numbers).dead_lettered) == (9, 1)
    assert [letter.error for letter in chain.dead] == ["ValueError: five"]
    holds[5].fail("too late: its handler has failed")
    assert len(chain.dead) == 1


def test_a_held_message_can_be_given_up(tmp_path: Path) -> None:
    chain = Chain(algorithm_of(tmp_path, HOLDING), [1, 2])
    all_handled(chain, 2)
    holds = names_of(chain)["holds"]

    holds[1].fail(ValueError("it was refused"))
    holds[2].fail("it was refused as well")
    chain.finish()

    assert [(letter.message, letter.error) for letter in chain.dead] == [
        (1, "ValueError: it was refused"),
        (2, "HoldError: it was refused as well"),
    ]
    assert chain.edge(chain.numbers).dead_lettered == 2
    assert chain.work.account.failed == 2


def test_what_is_sent_through_a_hold_is_a_child_of_the_held_message(tmp_path: Path) -> None:
    chain = Chain(algorithm_of(tmp_path, HOLDING), [1, 2])
    all_handled(chain, 2)
    holds = names_of(chain)["holds"]

    for n in (1, 2):
        holds[n].sendMessage([n, "first"])
        holds[n].send_message([n, "second"], "side")
        holds[n].settle()
    with pytest.raises(HoldError, match="held no more"):
        holds[1].sendMessage(0)
    frames = [f for u in chain.work.inbox._upstreams.values() for f in u.session.frames.values()]
    still = unsettled(frames, chain.work.outbox.edges)
    assert sum(map(len, still.values())) == 2
    chain.finish()

    assert sorted(chain.outcome) == [[n, word] for n in (1, 2) for word in ("first", "second")]


def test_a_message_that_is_held_for_too_long_is_given_up(tmp_path: Path) -> None:
    chain = Chain(algorithm_of(tmp_path, HOLDING), [1])
    all_handled(chain, 1)

    chain.time_s += limits.HOLD_S_MAX + limits.HEARTBEAT_S
    chain.finish()

    assert "neither settled nor failed in time" in chain.dead[0].error


def test_only_what_is_not_held_is_acknowledged(tmp_path: Path) -> None:
    chain = Chain(algorithm_of(tmp_path, HOLDING), [0, 1, 2, 3, 4])
    all_handled(chain, 5)
    holds = names_of(chain)["holds"]
    for n in (0, 1, 4):
        holds[n].settle()

    chain.until(lambda: chain.edge(chain.numbers).settled == 3)

    for n in (2, 3):
        holds[n].settle()
    chain.finish()


@pytest.mark.parametrize("timeout_s", [0, -1, limits.HOLD_S_MAX + 1, float("nan")])
def test_a_hold_has_a_limit(tmp_path: Path, timeout_s: float) -> None:
    algorithm = algorithm_of(tmp_path, f"def start(args, api): api.hold(float('{timeout_s}'))")

    chain = Chain(algorithm, [1]).finish()

    assert "HOLD_S_MAX" in chain.dead[0].error


def test_nothing_is_in_hand_outside_of_a_handler(tmp_path: Path) -> None:
    chain = Chain(algorithm_of(tmp_path, "def start(args, api): api.hold()"), [], role=Role.STATEFUL)

    with pytest.raises(HoldError, match="outside of the handler"):
        chain.algorithm.start()


def test_a_batch_is_held_as_a_whole(tmp_path: Path) -> None:
    algorithm = algorithm_of(
        tmp_path,
        """
        holds = []

        def onMessages(messages, api):
            holds.append(api.hold())
        """,
    )
    chain = Chain(algorithm, list(range(30)))
    all_handled_holds = names_of(chain)["holds"]
    all_handled(chain, 30)

    all_handled_holds[-1].sendMessage("for all")
    for hold in all_handled_holds[:-1]:
        hold.settle()
    all_handled_holds[-1].fail("no")
    chain.finish()

    assert chain.outcome == ["for all"]
    assert len(chain.dead) == len(all_handled_holds[-1].those)


def test_a_handler_hears_that_its_message_is_settled_and_not_before(tmp_path: Path) -> None:
    algorithm = algorithm_of(
        tmp_path,
        """
        settled = []

        def start(args, api):
            n = args["streamInput"]["message"]
            api.on_settled(lambda: settled.append(n))
            if n == 2:
                raise ValueError("two")
            return n
        """,
    )
    chain = Chain(algorithm, [1, 2, 3])
    settled = names_of(chain)["settled"]

    while chain.work.account.received < 3:
        chain.step()
        assert len(settled) <= chain.edge(chain.work).settled
    chain.finish()

    assert sorted(settled) == [1, 3]


def test_a_sender_of_roots_hears_that_all_that_it_has_sent_is_settled(tmp_path: Path) -> None:
    algorithm = algorithm_of(
        tmp_path,
        """
        heard = []

        def start(args, api):
            for n in range(700):
                api.sendMessage(n)
            api.on_settled(lambda: heard.append("first"))
            api.sendMessage("last")
            api.on_settled(lambda: heard.append("second"))
        """,
    )
    chain = Chain(algorithm, [], role=Role.STATEFUL)
    chain.algorithm.start()
    heard = names_of(chain)["heard"]

    while not heard:
        chain.step()
        assert not heard or chain.edge(chain.work).settled >= 700
    chain.until(lambda: len(heard) == 2)

    assert heard == ["first", "second"]
    assert chain.edge(chain.work).settled == 701


def test_async_handlers_hold_and_watch_their_own_message(tmp_path: Path) -> None:
    algorithm = algorithm_of(
        tmp_path,
        """
        import asyncio

        settled = []

        async def start(args, api):
            n = args["streamInput"]["message"]
            await asyncio.sleep(0)
            api.on_settled(lambda: settled.append(n))
            hold = api.hold()
            hold.sendMessage(n)
            hold.settle()
        """,
    )

    chain = overlapping(Chain(algorithm, list(range(20)), concurrency=4))

    assert sorted(chain.outcome) == list(range(20))
    assert sorted(names_of(chain)["settled"]) == list(range(20))


def test_a_message_is_sent_at_its_time(tmp_path: Path) -> None:
    algorithm = algorithm_of(
        tmp_path,
        """
        def start(args, api):
            n = args["streamInput"]["message"]
            api.emit_at(n, n)
        """,
    )
    chain = Chain(algorithm, [0.5, 0.25, 100.0])
    hold_back = chain.work.work.finish
    chain.work.work.finish = lambda now: chain.time_s > 1.0 and hold_back(now)  # type: ignore[method-assign]  # the stream ends late

    chain.until(lambda: bool(chain.outcome))
    assert 0.25 <= chain.time_s < 0.3
    chain.until(lambda: len(chain.outcome) == 2)
    assert 0.5 <= chain.time_s < 0.55
    chain.finish()

    assert chain.outcome == [0.25, 0.5, 100.0]
    assert chain.time_s < 10


def test_what_waits_for_its_time_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamer.runtime.later.LATER_MESSAGES_MAX", 2)
    algorithm = algorithm_of(
        tmp_path,
        """
        def start(args, api):
            for n in range(3):
                api.emit_at(1e12, n)
        """,
    )
    chain = Chain(algorithm, [], role=Role.STATEFUL)

    with pytest.raises(OverloadError, match="LATER_MESSAGES_MAX"):
        chain.algorithm.start()


ASKS = """
import asyncio
from concurrent.futures import ThreadPoolExecutor

pool = ThreadPoolExecutor(1)

def ask(api, n):
    hold = api.hold()
    hold.sendMessage([n, "through its hold"])
    pool.submit(hold.sendMessage, [n, "through its hold, in a thread"]).result()
    api.emit_at(0.0, [n, "at a time that is over"])
    api.on_settled(lambda: settled.append(n))
    hold.settle()

settled = []

"""
ASKING = {
    "plain": "def start(args, api):\n    n = args['streamInput']['message']\n    ask(api, n)\n    if n % 2: 1 / 0\n",
    "generator": "def start(args, api):\n    n = args['streamInput']['message']\n    ask(api, n)\n    if n % 2: 1 / 0\n"
    "    yield from ()\n",
    "async": "async def start(args, api):\n    n = args['streamInput']['message']\n    ask(api, n)\n"
    "    await asyncio.sleep(0.001)\n    if n % 2: 1 / 0\n",
}


@pytest.mark.parametrize("form", ASKING)
def test_of_a_handler_that_raises_nothing_takes_effect(tmp_path: Path, form: str) -> None:
    chain = Chain(algorithm_of(tmp_path, ASKS + ASKING[form]), list(range(20)), concurrency=4 if form == "async" else 1)

    chain = overlapping(chain) if form == "async" else chain.finish()

    whole = [[n, w] for n in range(0, 20, 2) for w in ("at a time that is over", "through its hold")]
    assert sorted(message for message in chain.outcome if "thread" not in message[1]) == whole
    assert sorted(message[0] for message in chain.outcome if "thread" in message[1]) == list(range(0, 20, 2))
    assert [letter.message for letter in chain.dead] == list(range(1, 20, 2))
    assert sorted(names_of(chain)["settled"]) == list(range(0, 20, 2))


def test_of_a_batch_that_raises_nothing_takes_effect(tmp_path: Path) -> None:
    code = "calls = []\n\ndef onMessages(messages, api):\n    calls.append(messages)\n    ask(api, messages)\n"
    chain = Chain(algorithm_of(tmp_path, ASKS + code + "    if 7 in messages: 1 / 0\n"), list(range(40))).finish()

    good = [batch for batch in names_of(chain)["calls"] if 7 not in batch]
    assert sorted(message[0] for message in chain.outcome) == sorted(batch for batch in good for _ in range(3))
    assert {letter.message for letter in chain.dead} == set(range(40)) - {n for batch in good for n in batch}


def test_what_a_call_sends_through_its_hold_is_let_out_when_it_is_too_much_for_memory(tmp_path: Path) -> None:
    algorithm = algorithm_of(
        tmp_path,
        """
        out = []

        def start(args, api):
            hold = api.hold()
            for n in range(3):
                hold.sendMessage(bytes(SPILL // 2))
                out.append(sent())
            hold.settle()
        """,
    )
    chain = Chain(algorithm, [1])
    names = names_of(chain)
    names.update(SPILL=limits.SPILL_BYTES, sent=lambda: chain.edge(chain.work).sent)
    chain.finish()

    assert names["out"] == [0, 2, 3]


def test_a_flow_that_does_not_exist_is_told_when_the_message_is_given(tmp_path: Path) -> None:
    chain = Chain(algorithm_of(tmp_path, "def start(args, api): api.emit_at(0, 0, 'none')"), [], role=Role.STATEFUL)

    with pytest.raises(FlowError, match="none"):
        chain.algorithm.start()
