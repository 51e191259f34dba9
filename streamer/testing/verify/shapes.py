"""The shapes of the pipelines that are verified, each with algorithms of which the outcome is known.

Each node's algorithm stands twice: as a file that the job runs (`algorithms`), and as a function that says what it has
to send (`streamer.testing.shapes`), so that the checker can walk the flows by itself. A further shape is an entry here
and, if it does something new, a file there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from streamer.testing.outcome import Behave
from streamer.testing.shapes import loops, multiplies, passes

_ALGORITHMS = Path(__file__).parent / "algorithms"
_RATES_PER_S = (100.0, 400.0, 1_500.0)
"""With a few messages under way, with some frames, and faster than a busy machine of two cores can follow."""


class Counting(StrEnum):
    """Where a node that numbers its messages keeps the count, which is what can be demanded of it."""

    MEMORY = "memory"
    """Exact if nothing was ever done to the job."""
    CHECKPOINTED = "checkpointed"
    """Exact, whatever happens."""


@dataclass(frozen=True, slots=True)
class Actor:
    """A node with an algorithm: the file that it runs, and what that has to do.

    It begins with `replicas`, and may be scaled from there up to `replicas_max`; a stateful one only if it is
    partitioned by the `keyed` messages' key. `counting`, if it numbers its messages.
    """

    code: Path
    behave: Behave
    stateful: bool = False
    replicas: int = 1
    replicas_max: int = 1
    inputs: tuple[object, ...] = ()
    concurrency: int = 1
    keyed: bool = False
    counting: Counting | None = None


@dataclass(frozen=True, slots=True)
class Shape:
    """`flows` are texts of the one flow: the first one at the start, any at a change.

    All that is known of the version that a record took is what arrived of it. So no two of them may share a leaf,
    unless they make the same of the record: else what is left of a record by one can be the whole of it by another,
    and nobody would miss the rest.

    `rates_per_s`: how fast each source may be, of which a job takes one. `ordered`: sinks that must get the records of
    each source in order. `keys`: how many keys the records have (0: none). `keys_ordered`: the messages of a key must
    be numbered in the order in which their source has read them.
    """

    name: str
    flows: tuple[str, ...]
    actors: Mapping[str, Actor]
    sources: tuple[str, ...] = ("s",)
    gateways: tuple[str, ...] = ()
    sinks: tuple[str, ...] = ("out",)
    rates_per_s: tuple[float, ...] = _RATES_PER_S
    ordered: frozenset[str] = frozenset()
    keys: int = 0
    keys_ordered: bool = False

    @property
    def scaled(self) -> tuple[str, ...]:
        """Nodes that may have more or fewer replicas."""
        return tuple(name for name, actor in self.actors.items() if actor.replicas_max > actor.replicas)

    @property
    def stateful(self) -> tuple[str, ...]:
        return tuple(name for name, actor in self.actors.items() if actor.stateful)

    @property
    def relays(self) -> tuple[str, ...]:
        return tuple(name for name, actor in self.actors.items() if not actor.stateful)


def _relay(name: str, replicas: int = 1, replicas_max: int = 1, seconds: float = 0.0) -> Actor:
    inputs = (seconds,) if seconds else ()
    return Actor(_ALGORITHMS / "pass_on.py", passes(name), replicas=replicas, replicas_max=replicas_max, inputs=inputs)


_OUT = frozenset({"out"})
_KEYS = 23

SHAPES: Mapping[str, Shape] = {
    shape.name: shape
    for shape in (
        Shape(
            "chain",
            ("s >> a >> b >> out", "s >> b >> a >> out", "s >> a >> out"),
            {"a": _relay("a"), "b": _relay("b")},
            ordered=_OUT,
        ),
        Shape(
            "fan",
            ("s >> a & b & c >> out", "s >> a >> b & c >> out"),
            {"a": _relay("a", 2, 4), "b": _relay("b"), "c": _relay("c")},
        ),
        Shape(
            "diamond",
            ("s >> a >> b & c >> d >> out", "s >> b >> a & c >> d >> out | c >> out"),
            {"a": _relay("a"), "b": _relay("b", 1, 3), "c": _relay("c"), "d": _relay("d", 2, 3)},
        ),
        Shape(
            "cycle",
            ("s >> a >> b >> out | b >> a",),
            {"a": Actor(_ALGORITHMS / "turn.py", loops("a", 3), replicas_max=2), "b": _relay("b")},
        ),
        Shape(
            "stateful",
            ("s >> a >> n >> out",),
            {
                "a": _relay("a", 1, 3),
                "n": Actor(_ALGORITHMS / "tally.py", passes("n"), stateful=True, counting=Counting.CHECKPOINTED),
            },
            keys=_KEYS,
        ),
        Shape(
            "partitioned",
            ("s >> p >> a >> out", "s >> p >> out"),
            {
                "p": Actor(
                    _ALGORITHMS / "tally.py",
                    passes("p"),
                    stateful=True,
                    replicas=2,
                    replicas_max=4,
                    keyed=True,
                    counting=Counting.CHECKPOINTED,
                ),
                "a": _relay("a"),
            },
            keys=_KEYS,
            keys_ordered=True,
        ),
        Shape(
            "memory",
            ("s >> a >> n >> out",),
            {
                "a": _relay("a", 1, 3),
                "n": Actor(_ALGORITHMS / "count.py", passes("n"), stateful=True, counting=Counting.MEMORY),
            },
        ),
        Shape(
            "two",
            ("s >> a >> out | t >> a", "s >> a >> out | t >> b >> out"),
            {"a": _relay("a"), "b": _relay("b", 1, 2)},
            sources=("s", "t"),
        ),
        Shape(
            "forms",
            ("s >> g >> w >> out",),
            {
                "g": Actor(_ALGORITHMS / "spread.py", multiplies("g", 2), replicas_max=2),
                "w": Actor(_ALGORITHMS / "ask.py", passes("w"), concurrency=8),
            },
        ),
        Shape(
            "mixed",
            ("s >> fast & slow >> out", "s >> fast >> slow >> out"),
            {"fast": _relay("fast"), "slow": _relay("slow", 2, 4, seconds=0.005)},
        ),
        Shape(
            "gateway",
            ("door >> a >> out",),
            {"a": _relay("a", 1, 3)},
            sources=(),
            gateways=("door",),
        ),
    )
}
