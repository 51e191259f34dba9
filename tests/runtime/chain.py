"""A chain of three instances in one process, in virtual time: numbers >> work >> out, around one user's algorithm.

The real instances run on the wire in memory, each with pages and letters in plain objects, so that a test says in a few
lines what goes in, what the algorithm does and what comes out, and can look at the account afterwards.
"""

from __future__ import annotations

import asyncio
import textwrap
from array import array
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from streamer.connectors.base import Mark, Records
from streamer.plan.assignment import (
    Assignment,
    Code,
    Command,
    Delivery,
    Input,
    OnError,
    Output,
    Ownership,
    Peer,
    Peers,
    PeerState,
    Role,
    Verb,
    Wiring,
)
from streamer.plan.routing import Route, RouteTable
from streamer.protocol.account import EdgeCounts, InstanceAccount
from streamer.runtime.algorithm import Algorithm, load_algorithm
from streamer.runtime.algorithm_work import AlgorithmWork
from streamer.runtime.deadline import Deadline
from streamer.runtime.instance import Instance
from streamer.runtime.roles import give_algorithm, give_sink, give_source
from streamer.runtime.stage import Stage
from streamer.runtime.stores import LetterStore, ReplayStore
from streamer.runtime.turn import HAND_WORDS
from streamer.state.dead_letters import DeadLetter
from streamer.state.memory import MemoryStateDisk
from streamer.testing.disk import DiskState
from streamer.transport.memory import MemoryHub, MemoryTransport

ROUTES = RouteTable(
    (
        Route("main", "numbers", 0, (1,)),
        Route("main", "work", 0, (2,)),
        Route("main", "out", 0, ()),
        Route("side", "work", 0, (4,)),
        Route("side", "out", 0, ()),
    ),
    "main",
)
STEP_S = 0.001


class Given:
    """A source of these messages, a batch at a time."""

    replayable = True
    partition = "given"

    def __init__(self, messages: Sequence[object], batch: int) -> None:
        self._messages = messages
        self._batch = batch
        self._next = 0
        self.goes_on = False

    @property
    def ended(self) -> bool:
        return self._next >= len(self._messages) and not self.goes_on

    def open(self, mark: Mark) -> None:
        self._next = mark.position

    def read(self, limit: int, now: float) -> Records | None:  # noqa: ARG002  # all is here at any time
        first = self._next
        self._next = min(first + min(limit, self._batch), len(self._messages))
        values = list(self._messages[first : self._next])
        return Records(Mark(first, first), range(first, self._next), values) if values else None

    def wait_s(self, now: float) -> float | None:  # noqa: ARG002  # all is here at any time
        return 0.0

    def fileno(self) -> int | None:
        return None

    def close(self) -> None: ...


class Kept:
    """A sink that keeps what it gets."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    def open(self, restarted: bool) -> None:
        assert not restarted

    def write(self, values: Sequence[object]) -> None:
        self.messages += values

    def close(self) -> None: ...


class _Account:
    def __init__(self, former: EdgeCounts | None) -> None:
        self.account = InstanceAccount(edges=[former] if former else [])

    def publish(self) -> None: ...


class _Letters:
    def __init__(self) -> None:
        self.letters: list[DeadLetter] = []

    def append(self, records: Sequence[DeadLetter]) -> None:
        self.letters += records


class Chain:
    """`step` lets each instance act once; `finish` goes on to the end of the stream.

    `former`: what former lives of the source have left in its account. `partition_by`: where the keys of `work` lie;
    then nobody owns them at first. `epoch` is that of `work`, and `apart` the node that is told of nobody.
    """

    def __init__(
        self,
        algorithm: Algorithm,
        messages: Sequence[object],
        *,
        role: Role = Role.STATELESS,
        batch: int = 100,
        concurrency: int = 1,
        former: EdgeCounts | None = None,
        on_error: OnError | None = None,
        partition_by: str = "",
        letters: LetterStore | None = None,
        replays: ReplayStore | None = None,
        deadline: Deadline | None = None,
        epoch: int = 1,
        apart: str = "",
    ) -> None:
        self.time_s = 0.0
        self._partition_by = {"work": partition_by}
        self.hand = memoryview(array("Q", [0] * (HAND_WORDS * concurrency)))
        self.state = MemoryStateDisk("work")
        self.sink = Kept()
        self._letters = _Letters()
        self._store = letters or self._letters
        self._replays = replays
        self._numbers = count(1)
        self.hub = MemoryHub()
        self.numbers = self._instance("numbers", Role.SOURCE, (), ("work",), former=former)
        self.work = self._instance(
            "work", role, ("numbers",), ("out",), concurrency=concurrency, on_error=on_error, epoch=epoch
        )
        self.out = self._instance("out", Role.SINK, ("work",), ())
        self._source = Given(messages, batch)
        give_source(self.numbers, self._source, self._now, self._now)
        self.algorithm: AlgorithmWork = give_algorithm(
            self.work, algorithm, self.hand, self._now, self._now, self.state_home(1), deadline
        )
        give_sink(self.out, self.sink)
        self.instances = (self.numbers, self.work, self.out)
        for instance in self.instances:
            if instance.assignment.node != apart:
                self.meet(instance, 1)

    def _instance(
        self,
        node: str,
        role: Role,
        inputs: tuple[str, ...],
        outputs: tuple[str, ...],
        *,
        concurrency: int = 1,
        former: EdgeCounts | None = None,
        on_error: OnError | None = None,
        epoch: int = 1,
    ) -> Instance:
        assignment = Assignment(
            job="job",
            pipeline="chain",
            token="secret",
            node=node,
            instance=f"{node}-0",
            epoch=epoch,
            role=role,
            wiring=Wiring(
                1,
                (ROUTES,),
                1,
                tuple(Input(source, False) for source in inputs),
                tuple(
                    Output(
                        target,
                        False,
                        Delivery.AT_LEAST_ONCE,
                        1 << 26,
                        64,
                        partition_by=self._partition_by.get(target, ""),
                    )
                    for target in outputs
                ),
            ),
            folder="",
            dead_letters="",
            control="",
            endpoint="memory://chain:0",
            concurrency=concurrency,
            args={"nodeName": node},
            on_error=on_error or OnError(),
            partition_by=self._partition_by.get(node, ""),
        )
        return Instance(
            assignment,
            MemoryTransport(self.hub),
            _Account(former),
            self._store,
            clock=self._now,
            wall=self._now,
            number=lambda: next(self._numbers),
            replays=self._replays,
        )

    def state_home(self, epoch: int) -> DiskState:
        """Where the state of `work` is kept, for a life of it."""
        return DiskState(self.state, "work-0", epoch, self._now, lambda: None)

    def meet(self, instance: Instance, version: int, owned: Ownership | None = None) -> None:
        """Tell an instance of its neighbours, and who owns the keys of `work`."""
        peers = {i.assignment.node: self._peer(i) for i in self.instances}
        a = instance.assignment
        parents, children = (tuple(peers[n] for n in names) for names in (_sources(a), _targets(a)))
        owners = {"work": owned} if owned is not None else {}
        instance.command(Command(Verb.PEERS, Peers(version, parents, children, owned, owners)))

    def _now(self) -> float:
        return self.time_s

    @staticmethod
    def _peer(instance: Instance) -> Peer:
        a = instance.assignment
        return Peer(a.node, a.instance, a.epoch, instance.endpoint, PeerState.LIVE)

    # -- what a test does ------------------------------------------------------------------------------------------

    def step(self) -> None:
        for instance in self.instances:
            if instance.stage is not Stage.ENDED:
                instance.step()
        self.time_s += STEP_S

    def until(self, done: Callable[[], bool], steps_max: int = 20_000) -> None:
        for _ in range(steps_max):
            if done():
                return
            self.step()
        raise AssertionError(f"not after {steps_max} steps")

    def hold_open(self) -> None:
        """The source does not end before `let_end`, or `finish`."""
        self._source.goes_on = True

    def let_end(self) -> None:
        self._source.goes_on = False

    def finish(self) -> Chain:
        self.let_end()
        self.until(lambda: all(i.stage is Stage.ENDED for i in self.instances))
        return self

    @property
    def outcome(self) -> list[Any]:
        return self.sink.messages

    @property
    def dead(self) -> list[DeadLetter]:
        return self._letters.letters

    def edge(self, instance: Instance) -> EdgeCounts:
        (edge,) = instance.account.edges
        assert edge.balanced
        return edge


def _sources(assignment: Assignment) -> list[str]:
    return [i.source for i in assignment.wiring.inputs]


def _targets(assignment: Assignment) -> list[str]:
    return [o.target for o in assignment.wiring.outputs]


def algorithm_of(folder: Path, text: str) -> Algorithm:
    """The algorithm of a file with this text."""
    path = folder / "work.py"
    path.write_text(textwrap.dedent(text))
    return load_algorithm(Code("work", str(path)))


def overlapping(chain: Chain, ready: Callable[[Chain], None] = lambda _chain: None) -> Chain:
    """Go on to the end with a loop for `async` handlers; `ready` is called before each step."""

    async def go_on() -> None:
        overlap = chain.algorithm.overlap
        assert overlap is not None
        overlap.begin(asyncio.get_running_loop(), lambda: None)
        for _ in range(20_000):
            if all(i.stage is Stage.ENDED for i in chain.instances):
                return
            ready(chain)
            chain.step()
            await asyncio.sleep(0)
        raise AssertionError("not at the end after 20000 steps")

    asyncio.run(go_on())
    return chain
