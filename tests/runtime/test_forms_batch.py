"""`onMessages` takes all messages at hand in one call, and answers them one by one or together."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamer.errors import AlgorithmError
from streamer.plan.assignment import Role
from streamer.protocol.input_frame import unsettled
from streamer.runtime.turn import IN_HAND, IN_MORE, NOTHING
from tests.runtime.chain import Chain, algorithm_of


def test_a_returned_list_answers_the_messages_one_by_one(tmp_path: Path) -> None:
    algorithm = algorithm_of(
        tmp_path,
        """
        def onMessages(messages):
            return [[n, len(messages)] if n % 2 else None for n in messages]
        """,
    )

    chain = Chain(algorithm, list(range(50))).finish()

    numbers, sizes = zip(*chain.outcome, strict=True)
    assert numbers == tuple(range(1, 50, 2))
    assert max(sizes) > 1
    assert chain.edge(chain.numbers).settled == 50
    assert chain.edge(chain.work).settled == 25


def test_an_array_answers_the_messages_one_by_one(tmp_path: Path) -> None:
    algorithm = algorithm_of(
        tmp_path,
        """
        import numpy

        def onMessages(messages):
            numbers = numpy.asarray(messages, dtype="float32")
            return numbers / 2 if messages[0] % 2 else numpy.stack([numbers, -numbers], axis=1)
        """,
    )

    chain = Chain(algorithm, list(range(20))).finish()

    assert chain.dead == []
    numbers = [answer if isinstance(answer, float) else answer.tolist() for answer in chain.outcome]
    assert numbers[0] == [0.0, 0.0]
    assert all(found in (n / 2, [n, -n]) for n, found in enumerate(numbers))


@pytest.mark.parametrize("answers", ["numpy.zeros(2)", "numpy.float64(3)"])
def test_an_array_of_another_length_fails_the_whole_batch(tmp_path: Path, answers: str) -> None:
    code = f"import numpy\n\ndef onMessages(messages):\n    return {answers}\n"

    chain = Chain(algorithm_of(tmp_path, code), [1]).finish()

    assert "onMessages was given 1 messages" in chain.dead[0].error


def test_on_messages_is_called_instead_of_start_at_a_stateless_node(tmp_path: Path) -> None:
    algorithm = algorithm_of(
        tmp_path,
        """
        def start(args):
            raise AssertionError("start was called")

        def onMessages(messages, api):
            api.sendMessage(sum(messages))
        """,
    )

    assert sum(Chain(algorithm, [1, 2, 3]).finish().outcome) == 6


@pytest.mark.parametrize("answers", ["messages[1:]", "[*messages, 0]", "'text'", "iter(messages)"])
def test_an_answer_of_another_length_fails_the_whole_batch(tmp_path: Path, answers: str) -> None:
    algorithm = algorithm_of(
        tmp_path,
        f"""
        def onMessages(messages):
            return {answers}
        """,
    )

    chain = Chain(algorithm, [1, 2, 3]).finish()

    assert chain.outcome == []
    assert [letter.message for letter in chain.dead] == [1, 2, 3]
    assert "onMessages was given" in chain.dead[0].error
    assert chain.edge(chain.numbers).dead_lettered == 3


def test_what_a_batch_has_sent_is_taken_back_when_it_raises(tmp_path: Path) -> None:
    algorithm = algorithm_of(
        tmp_path,
        """
        def onMessages(messages, api):
            for n in messages:
                api.sendMessage(n)
            if 7 in messages:
                raise ValueError("seven")
        """,
    )

    chain = Chain(algorithm, list(range(40))).finish()

    dead = [letter.message for letter in chain.dead]
    assert 7 in dead
    assert sorted([*dead, *chain.outcome]) == list(range(40))


def test_the_whole_batch_is_in_hand_while_it_is_handled(tmp_path: Path) -> None:
    seen: list[tuple[int, int, int]] = []
    algorithm = algorithm_of(
        tmp_path,
        """
        def start(args, api):
            def on_messages(messages, origin):
                seen(len(messages))
                assert origin == "numbers"

            api.registerBatchListener(on_messages)
        """,
    )
    chain = Chain(algorithm, list(range(40)), role=Role.STATEFUL)
    assert algorithm.start is not None
    algorithm.start.__globals__["seen"] = lambda n: seen.append((n, chain.hand[IN_HAND], chain.hand[IN_MORE]))
    chain.algorithm.start()
    chain.algorithm.start_returned.set()
    chain.finish()

    assert sum(size for size, _, _ in seen) == 40
    assert [(first, more) for _, first, more in seen] == [(0, size - 1) for size, _, _ in seen]
    assert (chain.hand[IN_HAND], chain.hand[IN_MORE]) == (NOTHING, 0)


def test_no_message_of_a_batch_is_settled_before_what_was_sent_for_all_of_it(tmp_path: Path) -> None:
    algorithm = algorithm_of(
        tmp_path,
        """
        def onMessages(messages, api):
            api.sendMessage(len(messages))
        """,
    )
    chain = Chain(algorithm, list(range(40)))
    chain.until(lambda: chain.work.account.received > 1)
    frames = [f for u in chain.work.inbox._upstreams.values() for f in u.session.frames.values()]

    still = unsettled(frames, chain.work.outbox.edges)

    assert any(frame.count > 1 for frame in frames)
    assert {frame: len(indexes) for frame, indexes in still.items()} == {frame: frame.count for frame in frames}


def test_a_stateful_node_has_one_kind_of_listeners(tmp_path: Path) -> None:
    algorithm = algorithm_of(
        tmp_path,
        """
        def start(args, api):
            api.registerInputListener(print)
            api.register_batch_listener(print)
        """,
    )
    chain = Chain(algorithm, [], role=Role.STATEFUL)

    with pytest.raises(Exception, match="listeners of single messages and of batches"):
        chain.algorithm.start()


def test_a_stateful_node_needs_start(tmp_path: Path) -> None:
    algorithm = algorithm_of(tmp_path, "def onMessages(messages): ...")

    with pytest.raises(AlgorithmError, match="defines no start"):
        Chain(algorithm, [], role=Role.STATEFUL)
