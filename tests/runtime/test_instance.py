"""Whole instances on the wire in memory: how a stream ends, how it is drained, and what comes late."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamer.cluster_limits import PLACED_EPOCHS
from streamer.limits import ACKNOWLEDGE_S
from streamer.metrics.samples import InstanceState
from streamer.plan.assignment import Command, Peer, Peers, PeerState, Role, Verb
from streamer.protocol.account import EdgeCounts
from streamer.protocol.chunk import Chunk
from streamer.protocol.codec import join
from streamer.protocol.edge import Edge
from streamer.protocol.frames import Kind, decode_open, decode_status, kind_of
from streamer.protocol.session import SendingSession
from streamer.runtime.algorithm import Algorithm
from streamer.runtime.instance import Instance
from streamer.runtime.stage import Stage
from streamer.transport.memory import MemoryTransport
from tests.protocol.messages import blobs
from tests.runtime.chain import Chain, algorithm_of
from tests.runtime.received import segment

PASS = """
def start(args):
    return args["streamInput"]["message"]
"""


@pytest.fixture
def passing(tmp_path: Path) -> Algorithm:
    return algorithm_of(tmp_path, PASS)


# -- the beginning -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("epoch", "received"), [(PLACED_EPOCHS - 1, 30), (PLACED_EPOCHS, 0)])
def test_a_life_that_takes_over_from_another_machine_asks_for_nothing_that_it_cannot_pass_on(
    passing: Algorithm, epoch: int, received: int
) -> None:
    """Its consumer knows the life before, and cannot be told of this one: for so long that life works."""
    chain = Chain(passing, range(30), epoch=epoch, apart="out")
    for _ in range(1_000):
        chain.step()
    assert chain.work.account.received == received

    chain.meet(chain.out, 1)

    assert chain.finish().outcome == list(range(30))


# -- the end -----------------------------------------------------------------------------------------------------------


def test_a_stream_with_an_end_ends_and_everything_has_arrived_in_order(passing: Algorithm) -> None:
    chain = Chain(passing, list(range(1_000))).finish()
    assert chain.outcome == list(range(1_000))
    for instance in (chain.numbers, chain.work):
        counts = chain.edge(instance)
        assert (counts.sent, counts.settled, counts.in_flight, counts.redelivered) == (1_000, 1_000, 0, 0)


def test_a_stream_of_nothing_ends_too(passing: Algorithm) -> None:
    assert Chain(passing, []).finish().outcome == []


def test_nobody_has_ended_before_all_behind_it_know_that_nothing_follows(passing: Algorithm) -> None:
    chain = Chain(passing, list(range(50)))
    while chain.out.stage is not Stage.ENDED:
        chain.step()
        if chain.work.stage is Stage.ENDED:
            assert chain.out.inbox.ended(inside=False)
        if chain.numbers.stage is Stage.ENDED:
            assert chain.work.inbox.ended(inside=False)
            assert chain.edge(chain.numbers).settled == 50
    chain.finish()


def test_a_lost_consumer_keeps_its_producer_from_ending(passing: Algorithm) -> None:
    chain = Chain(passing, list(range(5)))
    for _ in range(2_000):
        chain.numbers.step()
        chain.work.step()
        chain.time_s += 0.001
    assert chain.numbers.stage is not Stage.ENDED
    assert chain.edge(chain.numbers).in_flight == 5


def test_goodbyes_come_in_order(tmp_path: Path) -> None:
    algorithm = algorithm_of(
        tmp_path,
        """
        said = []
        def init(args):
            said.append(("init", args["nodeName"]))
        def start(args):
            said.append(args["streamInput"]["message"])
        def stop(args):
            said.append("stop")
        def exit(args):
            said.append("exit")
        """,
    )
    assert algorithm.start is not None
    chain = Chain(algorithm, [1, 2]).finish()
    chain.work.work.close()
    assert _said(algorithm) == [("init", "work"), 1, 2, "stop", "exit"]


def _said(algorithm: Algorithm) -> list[object]:
    assert algorithm.init is not None
    said: list[object] = algorithm.init.__globals__["said"]
    return said


# -- draining ----------------------------------------------------------------------------------------------------------


def test_a_drained_source_stops_reading_and_what_was_read_arrives(passing: Algorithm) -> None:
    chain = Chain(passing, list(range(100_000)))
    chain.until(lambda: len(chain.outcome) > 100)
    chain.numbers.command(Command(Verb.DRAIN))
    chain.finish()
    read = chain.numbers.account.received
    assert 100 < read < 100_000
    assert chain.outcome == list(range(read))
    assert chain.edge(chain.numbers).settled == read


def test_states_are_told_from_the_start_to_the_end(passing: Algorithm) -> None:
    chain = Chain(passing, list(range(10)))
    states = [chain.work.sample().state]
    while chain.work.stage is not Stage.ENDED:
        chain.step()
        state = chain.work.sample().state
        if state is not states[-1]:
            states.append(state)
    assert states == [InstanceState.STARTING, InstanceState.RUNNING, InstanceState.DRAINING, InstanceState.ENDED]


def test_a_sample_tells_what_the_account_says(passing: Algorithm) -> None:
    chain = Chain(passing, list(range(300))).finish()
    numbers, work, out = (instance.sample() for instance in chain.instances)
    assert (numbers.received, numbers.completed) == (300, 300)
    assert (work.received, work.completed, work.failed) == (300, 300, 0)
    assert (out.received, out.completed) == (300, 300)
    assert [edge.settled for edge in (*numbers.edges, *work.edges)] == [300, 300]
    assert out.end_to_end["main"].count == 300
    assert work.queue_wait is not None
    assert work.queue_wait.count == 300


# -- what fails --------------------------------------------------------------------------------------------------------


def test_a_handler_that_raises_loses_its_message_to_the_dead_letters_and_the_stream_goes_on(tmp_path: Path) -> None:
    algorithm = algorithm_of(
        tmp_path,
        """
        def start(args):
            number = args["streamInput"]["message"]
            return [number, 1 / (number % 10)]
        """,
    )
    chain = Chain(algorithm, list(range(40))).finish()
    assert [number for number, _ in chain.outcome] == [n for n in range(40) if n % 10]
    assert [(letter.message, letter.reason) for letter in chain.dead] == [(n, "handler") for n in (0, 10, 20, 30)]
    assert chain.dead[0].error == "ZeroDivisionError: division by zero"
    assert "work.py" in chain.dead[0].traceback
    counts = chain.edge(chain.numbers)
    assert (counts.settled, counts.dead_lettered) == (36, 4)
    assert (chain.work.account.received, chain.work.account.failed) == (40, 4)
    assert chain.work.sample().last_error == "ZeroDivisionError: division by zero"


# -- progress ----------------------------------------------------------------------------------------------------------


def test_progress_of_a_source_is_told_for_this_life_and_kept_for_all_of_them(passing: Algorithm) -> None:
    before = EdgeCounts("work", sent=70, settled=60, dead_lettered=10)
    chain = Chain(passing, list(range(30)), former=before)
    assert chain.numbers.sample().completed == 0
    chain.finish()
    assert chain.numbers.sample().completed == 30
    assert chain.numbers.account.completed == 100


# -- a parent that is played by the test -------------------------------------------------------------------------------


class Parent:
    """A life of `numbers-0` on the wire of a chain, in the place of the real one."""

    def __init__(self, chain: Chain, epoch: int) -> None:
        self.chain = chain
        self.epoch = epoch
        self.binding = MemoryTransport(chain.hub).bind(f"memory://parent:{epoch}")
        self.edge = Edge(EdgeCounts("work"))
        self.session: SendingSession | None = None
        self.statuses = 0
        peer = Peer("numbers", "numbers-0", epoch, self.binding.endpoint, PeerState.LIVE)
        child = Peer("out", "out-0", 1, "", PeerState.LIVE)
        chain.work.command(Command(Verb.PEERS, Peers(100 + epoch, (peer,), (child,))))

    @property
    def work(self) -> Instance:
        return self.chain.work

    def step(self, seconds: float = 0.01) -> float:
        """Let the node act, and time pass; gives the seconds for which it has nothing to do."""
        wait_s = self.work.step()
        self.chain.time_s += seconds
        while (incoming := self.binding.receive()) is not None:
            route, parts = incoming
            if kind_of(parts) is Kind.OPEN and self.session is None:
                opening = decode_open(parts)
                self.session = SendingSession(opening.session, self.edge, opening.instance, 1, route, 0.0)
            elif kind_of(parts) is Kind.STATUS and self.session is not None:
                self.statuses += 1
                self.session.hear(decode_status(parts), 0.0)
        return wait_s

    def until_open(self) -> SendingSession:
        for _ in range(100):
            self.step()
            if self.session is not None and self.session.grant.available:
                return self.session
        raise AssertionError("no session was opened")

    def send(self, *numbers: int, end: bool = False, skip: bool = False) -> None:
        self.put(*numbers, end=end, skip=skip)
        for _ in range(5):
            self.step()

    def put(self, *numbers: int, end: bool = False, skip: bool = False) -> None:
        session = self.until_open() if self.session is None else self.session
        assert session.route is not None
        for number in numbers:
            packed = blobs([number])
            self.edge.append(Chunk(packed, segment(range(number, number + 1), 1), None, (), len(join(packed))))
            frame = self.edge.cut(1)
            assert frame is not None
            parts = session.send(frame)
            if not skip:
                self.binding.send(session.route, parts)
        if end:
            self.binding.send(session.route, session.end())


def test_what_comes_again_after_the_end_is_settled_and_not_handled_again(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    algorithm = algorithm_of(
        tmp_path,
        f"""
        def start(args):
            with open({str(seen)!r}, "a") as file:
                file.write(str(args["streamInput"]["message"]))
            return args["streamInput"]["message"]
        """,
    )
    chain = Chain(algorithm, [])
    parent = Parent(chain, 1)
    parent.send(7, end=True)
    assert chain.work.stage is Stage.ENDING
    assert seen.read_text() == "7"
    again = Parent(chain, 2)
    again.send(7)
    assert again.edge.counts.settled + again.edge.counts.in_flight == 1
    again.send(end=True)
    assert again.edge.idle
    assert seen.read_text() == "7"


def test_a_lone_message_is_acknowledged_at_once_and_what_follows_closely_a_millisecond_later(
    tmp_path: Path,
) -> None:
    parent = Parent(Chain(algorithm_of(tmp_path, "def start(args): pass"), []), 1)
    parent.send(1)
    for _ in range(10):
        parent.step()  # its first grants grow, and are told as soon as they do
    before = parent.statuses

    parent.put(2)
    parent.step(0.0)
    assert (parent.statuses, parent.edge.counts.settled) == (before + 1, 2)

    parent.put(3, 4)
    parent.step(0.0)
    assert parent.step(1.01 * ACKNOWLEDGE_S) == pytest.approx(ACKNOWLEDGE_S)
    assert (parent.statuses, parent.edge.counts.settled) == (before + 1, 2)
    parent.step(0.0)
    assert (parent.statuses, parent.edge.counts.settled) == (before + 2, 4)


def test_a_gap_is_answered_with_a_new_session_and_what_came_before_it_is_handled(passing: Algorithm) -> None:
    chain = Chain(passing, [])
    parent = Parent(chain, 1)
    parent.send(1)
    first = parent.session
    assert first is not None
    parent.send(2, skip=True)
    parent.send(3)
    first.close()
    parent.session = None
    assert parent.until_open().number != first.number
    assert chain.work.account.received == 1
    assert parent.edge.pending_messages == 3 - parent.edge.counts.settled


def test_a_stateful_node_takes_nothing_before_it_listens(tmp_path: Path) -> None:
    algorithm = algorithm_of(
        tmp_path,
        """
        def start(args, api):
            api.registerInputListener(lambda message, origin: api.sendMessage([message, origin]))
            api.startMessageListening()
        """,
    )
    chain = Chain(algorithm, [1, 2, 3], role=Role.STATEFUL)
    for _ in range(50):
        chain.step()
    assert chain.outcome == []
    chain.algorithm.start()
    chain.algorithm.start_returned.set()
    assert chain.finish().outcome == [[1, "numbers"], [2, "numbers"], [3, "numbers"]]
