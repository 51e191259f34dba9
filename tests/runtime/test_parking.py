"""Frames of versions that are not known: those of the next one wait for word of it, those of one that is over are
given up with a reason."""

from __future__ import annotations

from streamer.limits import ROUTES_MAX
from streamer.protocol.input_frame import InputFrame
from streamer.runtime.calls import bodies_of
from streamer.runtime.exits import Exits
from streamer.runtime.letters import Failure
from streamer.runtime.parking import Parking
from tests.runtime.received import received, segment
from tests.runtime.wirings import route_of, wiring

KNOWN = wiring("b", 2, "a >> b", "a >> b >> c", oldest=4)
OLD, NOW = route_of(KNOWN, 4, "b"), route_of(KNOWN, 5, "b")
NEXT, OVER = 5 * ROUTES_MAX + 2, 2 * ROUTES_MAX + 1


def frame(*routes: int, like: InputFrame | None = None) -> InputFrame:
    """Two messages by each of these routes; in the session of another one, if one is given."""
    segments = [segment(range(2 * at, 2 * at + 2), route) for at, route in enumerate(routes)]
    one = received([f"m{at}" for at in range(2 * len(routes))], *segments)
    if like is not None:
        one.session = like.session
    return one


def test_what_is_known_passes_whole() -> None:
    one = frame(OLD, NOW)
    assert Parking(Exits("b", KNOWN)).admit(one)
    assert one.late == ()


def test_a_frame_of_the_next_version_waits_with_all_that_its_session_brings_behind_it() -> None:
    exits = Exits("b", KNOWN)
    parking = Parking(exits)
    first = frame(NOW, NEXT)
    behind, beside = frame(NOW, like=first), frame(NOW)
    assert [parking.admit(one) for one in (first, behind, beside)] == [False, False, True]
    assert parking
    assert list(parking.release()) == []

    exits.take(wiring("b", 3, "a >> b >> c", "c >> a >> b", oldest=5), set())

    assert list(parking.release()) == [first, behind]
    assert not parking
    assert first.late == ()


def test_a_frame_that_waited_for_a_version_that_was_taken_back_waits_on() -> None:
    exits = Exits("b", KNOWN)
    parking = Parking(exits)
    waiting = frame(NEXT)
    parking.admit(waiting)

    exits.take(wiring("b", 3, "a >> b", "a >> b >> c", oldest=4), set())

    assert list(parking.release()) == []
    assert parking


def test_messages_of_a_version_that_is_over_are_given_up_and_their_neighbours_are_not() -> None:
    one = frame(NOW, OVER, OLD)
    assert Parking(Exits("b", KNOWN)).admit(one)
    assert one.late == (range(2, 4),)

    failures: list[Failure] = []
    bodies = bodies_of(one, failures)

    assert bodies == ["m0", "m1", "m2", "m3", "m4", "m5"]
    assert [(failure.index, failure.reason) for failure in failures] == [
        (2, "flow version"),
        (3, "flow version"),
    ]
    assert "a version of the flows that is over" in failures[0].error
