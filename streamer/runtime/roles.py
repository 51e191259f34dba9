"""Giving an instance its work: the one place where the roles are put together from their parts.

The process of an instance, a simulated world and a test harness all host the same roles, with the user's functions and
connectors from wherever they have them, so none of them knows how a role is wired.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamer.clock import Clock
from streamer.connectors.base import CheckpointedSink, SharedSource, Sink, Source
from streamer.errors import AlgorithmError, StateError
from streamer.limits import GATEWAY_SETTLE_S
from streamer.plan.assignment import Gateway, Role
from streamer.protocol.frames import InHand
from streamer.runtime.algorithm import Algorithm, Form
from streamer.runtime.algorithm_work import AlgorithmWork
from streamer.runtime.api import Api
from streamer.runtime.calls import BatchCalls, Calls, GeneratorCalls, Handler, StatefulCalls, StatelessCalls
from streamer.runtime.instance import Instance
from streamer.runtime.logged_entry import LoggedEntry
from streamer.runtime.logged_source import LoggedSourceWork
from streamer.runtime.report import statistics
from streamer.runtime.shared_source import SharedSourceWork
from streamer.runtime.sink import SinkVault, SinkWork
from streamer.runtime.source import SourceWork
from streamer.runtime.turn import HAND_WORDS, IN_HAND, IN_MORE, NOTHING, Effect, Hand, Turn
from streamer.state.base import StateHome

if TYPE_CHECKING:
    from streamer.runtime.deadline import Deadline
    from streamer.runtime.overlap import Overlap
    from streamer.state.keyed import KeyedState


def give_source(instance: Instance, source: Source | SharedSource, clock: Clock, wall: Clock) -> None:
    """Let the instance read. Raises ConnectorError."""
    i = instance
    if isinstance(source, SharedSource):
        i.work = SharedSourceWork(source, i.exits, i.outbox, i.account, i.letters, clock=clock, wall=wall)
        return
    if isinstance(i.entry, LoggedEntry):
        i.work = LoggedSourceWork(
            source, i.exits, i.outbox, i.account, i.letters, i.entry, i.assignment.epoch, wall=wall
        )
        return
    instance.work = SourceWork(
        source, i.exits, i.outbox, i.account, i.letters, i.assignment.epoch, clock=clock, wall=wall
    )


def give_sink(instance: Instance, sink: Sink) -> None:
    """Let the instance write. Raises ConnectorError."""
    instance.work = work = SinkWork(sink, restarted=instance.assignment.epoch > 1)
    if isinstance(sink, CheckpointedSink):
        instance.keep(SinkVault(sink, work, instance.failures.judge))


def give_gateway(instance: Instance, gateway: Gateway, folder: Path, wall: Clock) -> None:
    """Let the instance take requests. Raises PortError, and StateError while another life of it goes on."""
    # The HTTP server would add some 50 ms to the start of every other instance.
    from streamer.runtime.gateway import GatewayWork
    from streamer.state.gateway import GatewayRecord

    i = instance
    work = GatewayWork(i.assignment, i.exits, i.outbox, i.entry, i.lock, i.wake, wall=wall)
    i.work = work
    i.address = work.serve(gateway, GatewayRecord(folder), settle_s=GATEWAY_SETTLE_S)


def give_algorithm(
    instance: Instance,
    algorithm: Algorithm,
    hand: Hand,
    clock: Clock,
    wall: Clock,
    home: StateHome,
    deadline: Deadline | None = None,
) -> AlgorithmWork:
    """Let the instance run the user's functions, whose state has this home, within a `deadline` if there is one.

    Raises AlgorithmError, StateError, and what the user's `init` raises.
    """
    a = instance.assignment
    if deadline is not None:
        algorithm = deadline.guarded(algorithm, stateful=a.role is Role.STATEFUL)
    args = dict(a.args)
    turn = Turn(instance.exits, instance.emit, hand, instance.pump, instance.outbox.refusing)
    turn.holds = instance.holds
    host = _ApiHost(instance, turn, home, wall)
    api = Api(host, turn)
    stateful = StatefulCalls(turn, hand) if a.role is Role.STATEFUL else None
    if stateful is not None and algorithm.start is None:
        raise AlgorithmError(f"the algorithm {algorithm.name!r} of the stateful node {a.node!r} defines no start")
    calls: Calls = stateful or _stateless(algorithm, args, api, turn, hand)
    handler = Handler(
        calls, turn, hand, clock, instance.handler_seconds.observe, instance.failures.in_place_s, instance.pause
    )

    def has_inputs() -> bool:
        return bool(instance.wiring.inputs)

    def begin_overlap() -> Overlap:
        from streamer.runtime import coroutines  # with asyncio, which most instances never need

        invoke = coroutines.listeners(stateful) if stateful else coroutines.functions(algorithm, args, api)
        api.sends_go_to(coroutines.ContextTurn(host.send_root))
        return coroutines.overlap(instance, invoke, hand, clock, whole=calls.whole)

    host.work = AlgorithmWork(algorithm, args, api, handler, stateful, begin_overlap, has_inputs)
    instance.work = host.work
    if home.exists:
        host.state()
    if algorithm.init is not None:
        algorithm.init(args)
    return host.work


def _stateless(algorithm: Algorithm, args: dict[str, Any], api: Api, turn: Turn, hand: Hand) -> Calls:
    """How the user's function is called, by its form."""
    if algorithm.on_messages is not None:
        return BatchCalls(algorithm.on_messages, api, turn, hand)
    assert algorithm.start is not None
    form = GeneratorCalls if algorithm.form is Form.GENERATOR else StatelessCalls
    return form(algorithm.start, args, api, turn, hand)


def crashed_in(hand: Hand) -> list[InHand]:
    """What the words of a former life say was in hand when it died. Clears them."""
    crashed = []
    for at in range(0, len(hand), HAND_WORDS):
        session, sequence, index, more, base = hand[at : at + HAND_WORDS]
        hand[at + IN_HAND], hand[at + IN_MORE] = NOTHING, 0
        if session and index != NOTHING:
            crashed.append(InHand(session, sequence, base + index, more))
    return crashed


class _ApiHost:
    """Hands the api's calls to the instance and its work, which is set once it is there."""

    work: AlgorithmWork

    def __init__(self, instance: Instance, turn: Turn, home: StateHome, wall: Clock) -> None:
        self._instance = instance
        self._turn = turn
        self._home = home
        self._wall = wall
        self._state: KeyedState | None = None

    def state(self, *, in_handler: bool = False) -> KeyedState:
        """Begun when it is first asked for. Raises StateError."""
        if self._state is None:
            self._check_beginning(in_handler)
            from streamer.runtime.state import begin_state  # most instances never need it

            self._state = begin_state(self._instance, self._home, self._wall)
            keys = self._instance.handover.keys
            self._turn.state, self._turn.keys = self._state, keys
            self.work.keep(self._state, keys)
        return self._state

    def _check_beginning(self, in_handler: bool) -> None:
        """Raises StateError where calls at work could not be told apart from those that come."""
        if in_handler and self._instance.handover.keys is not None:
            when = "of a partitioned node was first used in a handler"
        elif in_handler and self.work.overlap is not None:
            when = "was first used in a handler whose calls overlap"
        elif not in_handler and self.work.accepts:
            when = "was first used beside a node that takes messages already"
        else:
            return
        raise StateError(
            f"api.state {when}",
            remedy="Ask for it in start, before the first message: counts = api.state.counter('counts').",
        )

    def send_root(self, message: object, flow: str | None, headers: Mapping[str, Any] | None) -> None:
        self._instance.root_sending.send(message, flow, headers)

    def root_sender(self) -> Callable[[object], None]:
        return self._instance.root_sending.quick()

    def ask_later(self, time_s: float, message: object, flow: str | None) -> Effect:
        return self._instance.later.ask(time_s, message, flow)

    def watch_roots(self, tell: Callable[[], None]) -> None:
        self._instance.roots.watch(tell)

    def call(self, function: Callable[[], object]) -> None:
        self._instance.call(function)

    def set_listening(self, listening: bool, *, force: bool) -> None:
        self.work.set_listening(listening, 0 if force else self._instance.inbox.waiting)
        self._instance.wake()

    @property
    def listening(self) -> bool:
        return self.work.listening

    def statistics(self) -> Sequence[dict[str, object]]:
        return statistics(self._instance.outbox, self._instance.handler_seconds)

    def reset(self, messages: int | None) -> int:
        with self._instance.lock:
            return self._instance.outbox.reset(messages)
