"""Virtual time goes on when there is nothing left to do now, and never back."""

from __future__ import annotations

from streamer.testing.clock import VirtualClock


def test_actions_are_done_at_their_moment_and_in_their_order() -> None:
    clock = VirtualClock()
    done: list[tuple[str, float]] = []
    for name, delay_s in (("late", 2.0), ("first", 1.0), ("second", 1.0)):
        clock.after(delay_s, lambda name=name: done.append((name, clock.elapsed_s)))  # type: ignore[misc]  # binds this round's name

    while clock.advance():
        pass

    assert done == [("first", 1.0), ("second", 1.0), ("late", 2.0)]


def test_what_is_asked_for_in_the_past_is_done_now() -> None:
    clock = VirtualClock()
    clock.run_until(clock.now() + 5.0)
    moments: list[float] = []

    clock.at(clock.now() - 3.0, lambda: moments.append(clock.elapsed_s))
    clock.advance()

    assert moments == [5.0]


def test_both_clocks_go_together() -> None:
    clock = VirtualClock()
    wall = clock.wall()

    clock.run_until(clock.now() + 7.5)

    assert (clock.elapsed_s, clock.wall() - wall) == (7.5, 7.5)


def test_without_actions_there_is_no_next_moment() -> None:
    assert not VirtualClock().advance()
    assert VirtualClock().next_s == float("inf")
