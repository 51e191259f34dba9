"""A stateless `start` that is a generator function sends as many messages as it yields."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamer import limits
from tests.runtime.chain import Chain, algorithm_of


def test_each_value_that_a_generator_yields_goes_on_along_the_flow(tmp_path: Path) -> None:
    algorithm = algorithm_of(
        tmp_path,
        """
        def start(args, api):
            n = args["streamInput"]["message"]
            for k in range(n):
                yield [n, k]
        """,
    )

    chain = Chain(algorithm, [0, 1, 3]).finish()

    assert chain.outcome == [[1, 0], [3, 0], [3, 1], [3, 2]]
    assert chain.edge(chain.work).settled == 4
    assert chain.edge(chain.numbers).settled == 3


def test_a_value_of_none_is_nothing(tmp_path: Path) -> None:
    algorithm = algorithm_of(
        tmp_path,
        """
        def start(args):
            yield None
            yield args["streamInput"]["message"]
        """,
    )

    assert Chain(algorithm, [1, 2]).finish().outcome == [1, 2]


def test_a_plain_function_may_return_a_generator(tmp_path: Path) -> None:
    algorithm = algorithm_of(
        tmp_path,
        """
        def start(args):
            n = args["streamInput"]["message"]
            return (n * k for k in (1, 2)) if n % 2 else n
        """,
    )

    assert Chain(algorithm, [1, 2, 3]).finish().outcome == [1, 2, 2, 3, 6]


def test_yielded_and_sent_messages_keep_their_order(tmp_path: Path) -> None:
    algorithm = algorithm_of(
        tmp_path,
        """
        def start(args, api):
            n = args["streamInput"]["message"]
            api.sendMessage([n, "first"])
            yield [n, "second"]
            api.sendMessage([n, "third"])
        """,
    )

    chain = Chain(algorithm, [1, 2]).finish()

    assert chain.outcome == [[n, word] for n in (1, 2) for word in ("first", "second", "third")]


def test_what_a_generator_has_yielded_is_taken_back_when_it_raises(tmp_path: Path) -> None:
    algorithm = algorithm_of(
        tmp_path,
        """
        def start(args):
            n = args["streamInput"]["message"]
            yield n
            if n == 2:
                raise ValueError("two")
            yield -n
        """,
    )

    chain = Chain(algorithm, [1, 2, 3]).finish()

    assert chain.outcome == [1, -1, 3, -3]
    assert [(letter.message, letter.error) for letter in chain.dead] == [(2, "ValueError: two")]


def test_a_value_that_cannot_be_packed_fails_its_message_alone(tmp_path: Path) -> None:
    algorithm = algorithm_of(
        tmp_path,
        """
        def start(args):
            n = args["streamInput"]["message"]
            yield n
            yield object() if n == 2 else -n
        """,
    )

    chain = Chain(algorithm, [1, 2]).finish()

    assert chain.outcome == [1, -1]
    assert "cannot be packed" in chain.dead[0].error


def test_a_generator_that_outgrows_memory_lets_its_first_messages_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamer.runtime.turn.SPILL_BYTES", 10 * limits.KIB)
    algorithm = algorithm_of(
        tmp_path,
        """
        def start(args):
            for k in range(95):
                yield bytes([k]) * 1024
            raise ValueError("too late")
        """,
    )

    chain = Chain(algorithm, [0]).finish()

    assert chain.outcome == [bytes([k]) * 1024 for k in range(len(chain.outcome))]
    assert 80 <= len(chain.outcome) < 95
    assert [letter.error for letter in chain.dead] == ["ValueError: too late"]
