"""Example 01 does what its README says, function by function."""

from __future__ import annotations

from tests.examples.example import load_algorithm


def test_a_number_is_squared() -> None:
    square = load_algorithm("01-first", "square")

    assert square.start({"streamInput": {"message": {"id": 3}, "origin": "numbers"}}) == {"id": 3, "square": 9}
