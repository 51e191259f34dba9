"""Which faults strike which node, and when: all of it from the seed, before anything has begun.

Kinds of faults are dealt like cards, so that a run of some length has seen them all; what a shape has no use for waits
for one that has. The time of real processes is their own, so a seed brings the same faults at the same moments of a
job, and not the same outcome: a schedule names a node and a number, and the number chooses among the instances that
live when it strikes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from streamer.limits import SESSION_TIMEOUT_S
from streamer.testing.verify.shapes import Shape


class Kind(StrEnum):
    """What is done to a job."""

    KILL_SOURCE = "kill-source"
    KILL_RELAY = "kill-relay"
    KILL_STATEFUL = "kill-stateful"
    KILL_SINK = "kill-sink"
    KILL_GATEWAY = "kill-gateway"
    KILL_SUPERVISOR = "kill-supervisor"
    PAUSE = "pause"
    """SIGSTOP, and SIGCONT before anybody takes the instance for dead."""
    LONG_PAUSE = "long-pause"
    """SIGCONT comes when its sessions have long timed out: a zombie."""
    CUT = "cut"
    """Nobody reaches the instance for its messages, nor does it reach those whom it sends to."""
    SCALE = "scale"
    FLOWS = "flows"
    FULL_DISK = "full-disk"
    """No byte fits into the instance's state folder any more."""
    DRAIN = "drain"
    """The job is ended in order, whatever else was just done to it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """`at_s` counts from when the job is at work; `node` is '' where none is meant, `pick` a number to choose by."""

    at_s: float
    kind: Kind
    node: str
    pick: int
    length_s: float = 0.0

    def __str__(self) -> str:
        whom = f" {self.node}" if self.node else ""
        length = f" for {self.length_s:.1f} s" if self.length_s else ""
        return f"{self.at_s:.1f} s: {self.kind}{whom}{length}"


_CARDS: Mapping[Kind, int] = {
    Kind.KILL_SOURCE: 4,
    Kind.KILL_RELAY: 6,
    Kind.KILL_STATEFUL: 4,
    Kind.KILL_SINK: 4,
    Kind.KILL_GATEWAY: 2,
    Kind.KILL_SUPERVISOR: 3,
    Kind.PAUSE: 5,
    Kind.LONG_PAUSE: 1,
    Kind.CUT: 4,
    Kind.SCALE: 5,
    Kind.FLOWS: 3,
    Kind.FULL_DISK: 2,
    Kind.DRAIN: 3,
}
"""How many of each kind are in the pack. A long pause costs 20 s, so there is one."""

_FIRST_S = (0.8, 1.6)
_GAP_S = (0.5, 2.2)
"""Between two faults: often the last one is still being felt, and often messages flow undisturbed for a while."""
_BURST = 0.3
_BURST_GAP_S = (0.0, 0.1)
"""The share of the faults that follow upon the one before at once, and how fast."""
_LENGTHS_S: Mapping[Kind, tuple[float, float]] = {
    Kind.PAUSE: (0.3, 5.0),
    Kind.LONG_PAUSE: (SESSION_TIMEOUT_S + 1.0, SESSION_TIMEOUT_S + 3.0),
    Kind.CUT: (0.3, 6.0),
    Kind.FULL_DISK: (0.3, 1.0),
    Kind.KILL_SUPERVISOR: (0.1, 2.0),
}
"""For so long it lasts; a killed supervisor has no successor for so long."""
_BOUNDED = 0.3
"""The share of the sources that come to their end by themselves."""


def targets(shape: Shape, kind: Kind) -> Sequence[str]:
    """The nodes of a shape that this can be done to; '' for the job as a whole, nothing if it cannot be done."""
    producing = (*shape.sources, *shape.gateways, *shape.actors)
    chosen: Mapping[Kind, Sequence[str]] = {
        Kind.KILL_SOURCE: shape.sources,
        Kind.KILL_RELAY: shape.relays,
        Kind.KILL_STATEFUL: shape.stateful,
        Kind.KILL_SINK: shape.sinks,
        Kind.KILL_GATEWAY: shape.gateways,
        Kind.PAUSE: (*producing, *shape.sinks),
        Kind.LONG_PAUSE: shape.stateful or (*producing, *shape.sinks),
        Kind.CUT: producing,
        Kind.SCALE: shape.scaled,
        Kind.FLOWS: ("",) if len(shape.flows) > 1 else (),
        Kind.FULL_DISK: disk_nodes(shape),
        Kind.KILL_SUPERVISOR: ("",),
        Kind.DRAIN: ("",),
    }
    return chosen[kind]


def disk_nodes(shape: Shape) -> Sequence[str]:
    """Nodes whose state folder may fill up."""
    return shape.stateful or shape.sources


class Deck:
    """The faults of all jobs of one seed, in the order in which they are dealt."""

    def __init__(self, seed: int) -> None:
        self._random = Random(f"verify/{seed}")
        self._cards: deque[Kind] = deque()

    def schedule(self, shape: Shape, faults: int) -> Schedule:
        """A job's faults; at most so many, since nothing comes after a drain."""
        dealt: list[Fault] = []
        at_s = self._random.uniform(*_FIRST_S)
        while len(dealt) < faults:
            kind = self._deal(shape)
            if kind is Kind.DRAIN:  # it would cut short what shall last for so long
                at_s = max([at_s, *(one.at_s + one.length_s for one in dealt if one.kind is Kind.LONG_PAUSE)])
            dealt.append(self._fault(at_s, kind, shape))
            if kind is Kind.DRAIN:
                break
            at_s += self._random.uniform(*(_BURST_GAP_S if self._random.random() < _BURST else _GAP_S))
        rate_per_s = self._random.choice(shape.rates_per_s)
        bounded = [name for name in shape.sources if self._random.random() < _BOUNDED]
        return Schedule(tuple(dealt), rate_per_s, {name: round(rate_per_s * at_s) for name in bounded})

    def _deal(self, shape: Shape) -> Kind:
        passed_over: list[Kind] = []
        while True:
            if not self._cards:
                cards = [kind for kind, count in _CARDS.items() for _ in range(count)]
                self._random.shuffle(cards)
                self._cards.extend(cards)
            kind = self._cards.popleft()
            if targets(shape, kind):
                self._cards.extendleft(reversed(passed_over))
                return kind
            passed_over.append(kind)

    def _fault(self, at_s: float, kind: Kind, shape: Shape) -> Fault:
        shortest, longest = _LENGTHS_S.get(kind, (0.0, 0.0))
        node = self._random.choice(targets(shape, kind))
        return Fault(at_s, kind, node, self._random.randrange(1 << 16), self._random.uniform(shortest, longest))


@dataclass(frozen=True, slots=True)
class Schedule:
    """The faults of one job in their order, how fast its sources are, and how many records the bounded ones have."""

    faults: tuple[Fault, ...]
    rate_per_s: float
    counts: Mapping[str, int]
