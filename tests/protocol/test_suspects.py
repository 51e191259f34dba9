"""Messages that were in hand at deaths: which gain an attempt, and which are never tried again."""

from __future__ import annotations

from streamer.limits import CRASH_ATTEMPTS_MAX, CRASH_SUSPECTS_MAX
from streamer.protocol.account import EdgeCounts
from streamer.protocol.edge import Edge
from streamer.protocol.suspects import Suspects
from tests.protocol.messages import chunk, segment


def accused(positions: range, index: int, deaths: int, suspects: Suspects | None = None) -> Suspects:
    suspects = suspects or Suspects()
    for session in range(deaths):
        suspects.remember(session, {1: [segment(positions)]})
        suspects.accuse(session, 1, index, 0.0)
    return suspects


def test_only_the_message_in_hand_gains_an_attempt() -> None:
    suspects = accused(range(10, 14), 2, CRASH_ATTEMPTS_MAX)

    assert suspects.guilty_in(segment(range(10, 14))) == [2]


def test_one_death_counts_once_however_many_sessions_tell_of_it() -> None:
    suspects = Suspects()
    suspects.remember(7, {1: [segment(range(4))]})

    assert suspects.accuse(7, 1, 0, 0.0)
    assert not any(suspects.accuse(7, 1, 0, 0.0) for _ in range(CRASH_ATTEMPTS_MAX))
    assert suspects.guilty_in(segment(range(4))) == []


def test_a_guilty_message_stays_guilty_when_it_is_made_again() -> None:
    edge = Edge(EdgeCounts("save"))
    edge.append(chunk(range(3)))
    for session in range(CRASH_ATTEMPTS_MAX):
        frame = edge.cut(3)
        assert frame is not None
        frame.sequence = 1
        edge.fly(frame)
        edge.requeue(session, [frame])
        edge.accuse(session, 1, 0, 0.0)
    assert [c.segment.positions for c in edge.take_poison()] == [range(1)]

    edge.append(chunk(range(5)))

    assert [c.segment.positions for c in edge.take_repeat()] == [range(1)]
    assert edge.pending_messages == 2 + 4


def test_a_guilty_message_is_told_from_others_of_its_position() -> None:
    suspects = accused(range(1), 0, CRASH_ATTEMPTS_MAX)

    assert suspects.guilty_in(segment(range(3), hash_=2)) == []


def test_whoever_is_forgotten_is_not_guilty_any_more() -> None:
    suspects = accused(range(1), 0, CRASH_ATTEMPTS_MAX)
    for position in range(1, CRASH_SUSPECTS_MAX + 1):
        accused(range(position, position + 1), 0, 1, suspects)

    assert suspects.guilty_in(segment(range(1))) == []
