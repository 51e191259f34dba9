"""The end of a session can be lost without a gap, since nothing comes behind it: the producer must notice."""

from __future__ import annotations

from streamer.limits import FRAME_MESSAGES_MAX, HEARTBEAT_S, TAIL_TIMEOUT_S
from streamer.protocol.account import EdgeCounts
from streamer.protocol.edge import Edge
from streamer.protocol.frames import Status
from streamer.protocol.session import SendingSession
from tests.protocol.messages import chunk, numbers_of


def session_with(messages: int) -> SendingSession:
    edge = Edge(EdgeCounts("save"))
    session = SendingSession(5, edge, "save-0", 1, b"route", 0.0)
    for n in range(messages):
        edge.append(chunk(range(n, n + 1)))
        frame = edge.cut(FRAME_MESSAGES_MAX)
        assert frame is not None
        session.send(frame)
    return session


def says(received: int) -> Status:
    return Status(5, 100, 1_000_000, received, received + 1, received, 0)


def lost_at(session: SendingSession, received: int, at: float) -> bool:
    session.hear(says(received), at)
    return session.lost_its_tail(at)


def test_frames_that_a_talking_consumer_never_gets_are_lost() -> None:
    session = session_with(3)

    assert not lost_at(session, 1, HEARTBEAT_S)
    assert not lost_at(session, 1, TAIL_TIMEOUT_S)
    assert lost_at(session, 1, TAIL_TIMEOUT_S + 2 * HEARTBEAT_S)
    assert [numbers_of(parts) for parts in session.missed(1)] == [[1], [2]]


def test_it_is_said_once_in_a_timeout() -> None:
    session = session_with(1)

    assert lost_at(session, 0, TAIL_TIMEOUT_S + 1)
    assert not lost_at(session, 0, TAIL_TIMEOUT_S + 2)
    assert lost_at(session, 0, 2 * TAIL_TIMEOUT_S + 2)


def test_an_idle_session_has_lost_nothing() -> None:
    session = session_with(1)

    assert not any(lost_at(session, 1, at * TAIL_TIMEOUT_S) for at in range(1, 5))


def test_a_slow_link_that_goes_on_has_lost_nothing() -> None:
    session = session_with(9)

    assert not any(lost_at(session, n, n * 0.9 * TAIL_TIMEOUT_S) for n in range(1, 9))
