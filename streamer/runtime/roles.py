"""Giving an instance its work: the one place where the four roles are put together from their parts.

The process of an instance, a simulated world and a test harness all host the same roles, with the user's functions and
connectors from wherever they have them, so none of them knows how a role is wired.
"""

from __future__ import annotations

from collections.abc import Sequence

from streamer.clock import Clock
from streamer.connectors.base import Sink, Source
from streamer.plan.assignment import Role
from streamer.runtime.algorithm import Algorithm
from streamer.runtime.algorithm_work import AlgorithmWork
from streamer.runtime.api import Api
from streamer.runtime.calls import Calls, Handler, StatefulCalls, StatelessCalls
from streamer.runtime.instance import Instance
from streamer.runtime.sink import SinkWork
from streamer.runtime.source import SourceWork
from streamer.runtime.turn import IN_FRAME, IN_HAND, IN_SESSION, NOTHING, Hand, Turn


def give_source(instance: Instance, source: Source, clock: Clock, wall: Clock) -> None:
    """Let the instance read. Raises ConnectorError."""
    i = instance
    instance.work = SourceWork(
        source, i.exits, i.outbox, i.account, i.letters, i.assignment.epoch, clock=clock, wall=wall
    )


def give_sink(instance: Instance, sink: Sink) -> None:
    """Let the instance write. Raises ConnectorError."""
    instance.work = SinkWork(sink, restarted=instance.assignment.epoch > 1)


def give_algorithm(instance: Instance, algorithm: Algorithm, hand: Hand, clock: Clock) -> AlgorithmWork:
    """Let the instance run the user's functions. Raises what the user's `init` raises."""
    a = instance.assignment
    args = dict(a.args)
    turn = Turn(instance.exits, instance.emit, hand, instance.pump, instance.outbox.refusing)
    host = _ApiHost(instance)
    api = Api(host, turn)
    stateful = StatefulCalls(hand) if a.role is Role.STATEFUL else None
    calls: Calls = stateful or StatelessCalls(algorithm.start, args, api, turn, hand)
    handler = Handler(calls, turn, hand, clock, instance.handler_seconds.observe)
    host.work = AlgorithmWork(algorithm, args, api, handler, stateful, has_inputs=bool(a.inputs))
    instance.work = host.work
    if algorithm.init is not None:
        algorithm.init(args)
    return host.work


def crashed_in(hand: Hand) -> tuple[int, int, int] | None:
    """What the words of a former life say was in hand when it died: (session, sequence, index). Clears them."""
    session, sequence, index = hand[IN_SESSION], hand[IN_FRAME], hand[IN_HAND]
    hand[IN_HAND] = NOTHING
    return (session, sequence, index) if session and index != NOTHING else None


class _ApiHost:
    """Hands the api's calls to the instance and its work, which is set once it is there."""

    work: AlgorithmWork

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    def send_root(self, message: object, flow: str | None) -> None:
        self._instance.send_root(message, flow)

    def set_listening(self, listening: bool, *, force: bool) -> None:
        self.work.listen(listening, 0 if force else self._instance.inbox.waiting)
        self._instance.wake()

    @property
    def listening(self) -> bool:
        return self.work.listening

    def statistics(self) -> Sequence[dict[str, object]]:
        return self._instance.statistics()

    def reset(self, messages: int | None) -> int:
        return self._instance.reset(messages)
