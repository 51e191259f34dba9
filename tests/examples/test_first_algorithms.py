"""Example 01 does what its README says, function by function."""

from __future__ import annotations

from streamer.testing import kill, run
from tests.examples.example import EXAMPLES, load_algorithm


def test_a_number_is_squared() -> None:
    square = load_algorithm("01-first", "square")

    assert square.start({"streamInput": {"message": {"id": 3}, "origin": "numbers"}}) == {"id": 3, "square": 9}


def test_numbers_come_out_squared() -> None:
    played = run(EXAMPLES / "01-first", {"numbers": [{"id": n} for n in range(10)]})

    assert played == {"show": [{"id": n, "square": n * n} for n in range(10)]}


def test_a_number_that_was_in_hand_at_a_kill_is_squared_all_the_same() -> None:
    numbers = [{"id": n} for n in range(10)]

    played = run(EXAMPLES / "01-first", {"numbers": numbers}, failures=[kill("square", after=4)])

    assert {line["id"] for line in played["show"]} == set(range(10))
    assert played.dead_letters == ()
