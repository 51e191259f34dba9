"""The shapes of pipelines that are simulated, each with handlers of which the outcome is known.

A message is its own way: `s#12/a/b.1` is the second child that b made of what a made of record 12. So handlers need no
state to be deterministic, a loop knows how often it went round, and whatever is lost or comes twice has a name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from streamer.plan.assignment import Overload
from streamer.testing.keyed import Wrap, keyed, record_of
from streamer.testing.outcome import Behave, RefusalError, Sends


def passes(node: str) -> Behave:
    """Sends what it gets."""
    return lambda message: [(None, f"{message}/{node}")]


def filters(node: str, every: int) -> Behave:
    """Lets no record through whose number this divides."""
    return lambda message: [] if record_of(message) % every == 0 else [(None, f"{message}/{node}")]


def multiplies(node: str, most: int) -> Behave:
    """Sends none to `most` children."""
    return lambda message: [(None, f"{message}/{node}.{i}") for i in range(record_of(message) % (most + 1))]


def loops(node: str, rounds: int) -> Behave:
    """Lets a record go round up to so many times."""

    def behave(message: str) -> Sends:
        been = message.count(f"/{node}")
        return [(None, f"{message}/{node}")] if been < 1 + record_of(message) % rounds else []

    return behave


def refuses(behave: Behave, every: int) -> Behave:
    """Raises for some records, after it has sent what it sends."""

    def refusing(message: str) -> Sends:
        sends = behave(message)
        if record_of(message) % every == 1:
            raise RefusalError(sends)
        return sends

    return refusing


def switches(node: str, flow: str, every: int) -> Behave:
    """Sends each record on, and some also into another flow."""

    def behave(message: str) -> Sends:
        own: Sends = [(None, f"{message}/{node}")]
        return [*own, (flow, f"{message}/{node}!")] if record_of(message) % every == 0 else own

    return behave


@dataclass(frozen=True, slots=True)
class Shape:
    """`sources` read lists, `starters` send from `start`; nodes that behave are algorithms, all others sinks.

    `keepers` count what they get by keyed state. `others` are flows that somebody may set in the place of these while
    the job goes on. What comes in at the `logged` is on a disk before it is sent; `pipes` are sources that give each
    record only once. `partitioned` nodes are stateful, and go by `keys` keys; records whose number `keyless` divides
    have none.
    """

    name: str
    flows: Mapping[str, str]
    behaviours: Mapping[str, Behave]
    sources: tuple[str, ...] = ("s",)
    starters: tuple[str, ...] = ()
    stateful: frozenset[str] = frozenset()
    keepers: frozenset[str] = frozenset()
    partitioned: frozenset[str] = frozenset()
    keys: int = 5
    keyless: int = 0
    farewells: frozenset[str] = frozenset()
    at_most_once: frozenset[str] = frozenset()
    overload: Mapping[str, Overload] = field(default_factory=dict)
    hop_limit: int = 64
    others: tuple[Mapping[str, str], ...] = ()
    logged: frozenset[str] = frozenset()
    pipes: frozenset[str] = frozenset()
    default: str = field(default="main")

    @property
    def wrap(self) -> Wrap:
        """Makes of a message what travels."""
        return keyed(self.keys, self.keyless) if self.partitioned else str


def _shape(name: str, flow: str, behaviours: Mapping[str, Behave], **rest: object) -> Shape:
    return Shape(name, {"main": flow}, behaviours, **rest)  # type: ignore[arg-type]  # the fields of Shape


def _mains(*flows: str) -> tuple[Mapping[str, str], ...]:
    return tuple({"main": flow} for flow in flows)


SHAPES: Mapping[str, Shape] = {
    shape.name: shape
    for shape in (
        _shape("chain", "s >> a >> b >> out", {"a": passes("a"), "b": filters("b", 5)}),
        _shape("direct", "s >> out", {}),
        _shape("fan", "s >> a & b & c >> out", {"a": passes("a"), "b": filters("b", 3), "c": multiplies("c", 2)}),
        _shape(
            "diamond",
            "s >> a >> b & c >> d >> out | c >> rest",
            {"a": passes("a"), "b": passes("b"), "c": filters("c", 4), "d": passes("d")},
        ),
        _shape("children", "s >> a >> b >> out", {"a": multiplies("a", 4), "b": filters("b", 7)}),
        _shape(
            "ring",
            "s >> a >> b >> c >> out | c >> a",
            {"a": loops("a", 5), "b": passes("b"), "c": passes("c")},
        ),
        _shape(
            "positions",
            "s >> a >> b >> c >> a >> out",
            {"a": passes("a"), "b": passes("b"), "c": filters("c", 6)},
        ),
        _shape("pingpong", "s >> a >> b >> out | b >> a", {"a": loops("a", 4), "b": passes("b")}),
        _shape("spiral", "s >> a >> b >> out | b >> a", {"a": passes("a"), "b": passes("b")}, hop_limit=5),
        _shape("two", "s >> a >> out | t >> a", {"a": passes("a")}, sources=("s", "t")),
        Shape(
            "switch",
            {"main": "s >> a >> b >> out", "alert": "a >> c >> alarm | c >> b >> alarm"},
            {"a": switches("a", "alert", 3), "b": passes("b"), "c": filters("c", 6)},
        ),
        _shape("lossy", "s >> a >> b >> out", {"a": passes("a"), "b": passes("b")}, at_most_once=frozenset({"b"})),
        _shape(
            "dropping",
            "s >> a & b >> out",
            {"a": passes("a"), "b": passes("b")},
            overload={"a": Overload.DROP_OLDEST, "b": Overload.DROP_NEWEST},
        ),
        _shape(
            "stateful",
            "s >> a >> b >> c >> out",
            {"a": passes("a"), "b": multiplies("b", 2), "c": passes("c")},
            stateful=frozenset({"a", "c"}),
            farewells=frozenset({"c"}),
        ),
        _shape(
            "counted",
            "s >> a >> b >> c >> out | a >> c",
            {"a": filters("a", 7), "b": multiplies("b", 2), "c": passes("c")},
            stateful=frozenset({"b", "c"}),
            keepers=frozenset({"b", "c"}),
        ),
        _shape(
            "counting",
            "s >> a >> b >> out | b >> a",
            {"a": passes("a"), "b": loops("b", 4)},
            stateful=frozenset({"b"}),
            keepers=frozenset({"b"}),
        ),
        _shape(
            "rerouted",
            "s >> a >> b >> out",
            {"a": passes("a"), "b": filters("b", 5), "c": multiplies("c", 2)},
            others=_mains(
                "s >> b >> a >> out",
                "s >> a >> out",
                "s >> c >> b >> out | s >> a",
                "s >> a & b & c >> out",
            ),
        ),
        _shape(
            "sinks",
            "s >> a >> out",
            {"a": passes("a")},
            others=_mains("s >> a >> rest", "s >> out & rest", "s >> a >> out & rest | s >> more", "s >> a >> more"),
        ),
        _shape(
            "turning",
            "s >> a >> b >> out",
            {"a": loops("a", 4), "b": passes("b")},
            others=_mains("s >> a >> b >> out | b >> a", "s >> b >> a >> out", "s >> b >> a >> b >> out"),
        ),
        _shape(
            "comers",
            "s >> a >> out | t >> a",
            {"a": passes("a"), "b": multiplies("b", 3)},
            sources=("s", "t"),
            others=_mains("s >> a >> out | t >> b >> out", "s >> b >> out | t >> out", "s >> a & b >> out | t >> b"),
        ),
        _shape(
            "keepers",
            "s >> a >> b >> out",
            {"a": passes("a"), "b": multiplies("b", 2), "c": passes("c")},
            stateful=frozenset({"a", "c"}),
            others=_mains("s >> b >> out", "s >> c >> b >> out | s >> a >> out", "s >> a >> c >> out"),
        ),
        Shape(
            "renamed",
            {"main": "s >> a >> b >> out", "alert": "a >> c >> alarm | c >> b >> alarm"},
            {"a": switches("a", "alert", 3), "b": passes("b"), "c": filters("c", 6)},
            others=(
                {"main": "s >> a >> out", "alert": "a >> alarm"},
                {"main": "s >> b >> a >> out", "alert": "a >> c >> alarm"},
                {"main": "s >> a >> c >> out", "loud": "a >> c >> alarm"},
                {"quiet": "s >> c >> out", "main": "s >> b >> alarm"},
            ),
        ),
        _shape("keyed", "s >> k >> out", {"k": passes("k")}, partitioned=frozenset({"k"})),
        _shape(
            "keyed-counted",
            "s >> a >> k >> b >> out",
            {"a": filters("a", 7), "k": multiplies("k", 2), "b": passes("b")},
            partitioned=frozenset({"k"}),
            keepers=frozenset({"k"}),
        ),
        _shape(
            "keyed-between",
            "s >> a >> k >> b >> out | t >> k",
            {"a": multiplies("a", 3), "k": filters("k", 4), "b": passes("b")},
            sources=("s", "t"),
            partitioned=frozenset({"k"}),
            keyless=7,
        ),
        _shape(
            "keyed-twice",
            "s >> k >> l >> out",
            {"k": multiplies("k", 3), "l": passes("l")},
            partitioned=frozenset({"k", "l"}),
            keys=40,
        ),
        _shape(
            "keyed-ring",
            "s >> k >> b >> out | b >> k",
            {"k": loops("k", 4), "b": passes("b")},
            partitioned=frozenset({"k"}),
        ),
        _shape(
            "keyed-rerouted",
            "s >> a >> k >> out",
            {"a": passes("a"), "k": multiplies("k", 2)},
            partitioned=frozenset({"k"}),
            others=_mains("s >> k >> a >> out", "s >> k >> out | s >> a", "s >> a >> out"),
        ),
        _shape(
            "starter",
            "g >> a >> out",
            {"g": passes("g"), "a": passes("a")},
            sources=(),
            starters=("g",),
            stateful=frozenset({"g"}),
        ),
        _shape("logged", "s >> a >> b >> out", {"a": passes("a"), "b": filters("b", 5)}, logged=frozenset({"s"})),
        _shape(
            "piped",
            "s >> a & b >> out",
            {"a": passes("a"), "b": multiplies("b", 2), "c": passes("c")},
            logged=frozenset({"s"}),
            pipes=frozenset({"s"}),
            others=_mains("s >> b >> out", "s >> a >> b >> out | s >> rest", "s >> a & b & c >> out", "s >> c >> rest"),
        ),
        _shape(
            "logged-starter",
            "g >> a >> out",
            {"g": passes("g"), "a": passes("a")},
            sources=(),
            starters=("g",),
            stateful=frozenset({"g"}),
            logged=frozenset({"g"}),
        ),
    )
}
