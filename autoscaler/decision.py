"""What one pass decides, as data: how many replicas, by which formula from which inputs, and what limited it.

A decision is a record: it is written to the control log, counted in metrics and put into words by `explanation`, and
none of them may need anything beside it. So the formula travels with its terms and their values instead of as a
sentence, the guard by name instead of in a log line, and a decision to change nothing is a decision like any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Action(StrEnum):
    UP = "up"
    DOWN = "down"
    HOLD = "hold"


class Guard(StrEnum):
    """What kept the result of the formula from being carried out, or changed it. The value is a label of metrics."""

    PINNED = "pinned"
    """A person has set the replicas."""
    SINGLE = "single"
    """The node is one instance by its nature."""
    UNKNOWN = "unknown"
    """Too little is known of it: not enough samples, or none that is fresh."""
    FALLBACK = "fallback"
    """The metrics server does not answer: no fewer replicas on the word of instances alone."""
    CLOCK = "clock"
    """The clock went back or made a leap: times of the past say nothing."""
    REPLACING = "replacing"
    """Instances of the node are being replaced."""
    FAILING = "failing"
    """Replicas that were started die: more of them would die as well."""
    DEAD_BAND = "dead-band"
    """The utilisation is near enough to its target."""
    STABILISING = "stabilising"
    """Fewer only once the whole delay of scale-in asks for no more."""
    BACKLOG = "backlog"
    """Never fewer while more than some seconds of work wait."""
    DOWNSTREAM = "downstream"
    """A node behind it is full: that one grows first."""
    NO_GAIN = "no-gain"
    """The last scale-ups gained next to nothing: the bottleneck is elsewhere, or keys are skewed."""
    LOOP = "loop"
    """A cycle makes at least one message of each: its demand has no bound."""
    MINIMUM = "minimum"
    MAXIMUM = "maximum"
    CAPACITY = "capacity"
    """The platform has no room for more."""
    WARM = "warm"
    """Spares are kept at work for what may come."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the decision was made from, each None if it was unknown.

    Rates are messages per second: `demand` is what arrives or would arrive, `true_rate` what one replica handles per
    busy second, `observed_rate` what one ready replica handled per second of the clock. `backlog` is in messages,
    `backlog_s` the seconds that ready replicas need for it. `utilisation` is demand over the capacity of ready and
    starting replicas. `efficiency` is the part of a further replica's rate that it adds (1 until it is known).
    """

    demand: float | None = None
    true_rate: float | None = None
    observed_rate: float | None = None
    efficiency: float = 1.0
    backlog: float | None = None
    backlog_s: float | None = None
    utilisation: float | None = None
    busy: float | None = None
    start_up_s: float | None = None
    samples: int = 0
    age_s: float | None = None
    ready: int = 0
    starting: int = 0


@dataclass(frozen=True, slots=True)
class Formula:
    """`text` in the names of `terms`, whose values give `value`; `replicas` is that, rounded up."""

    text: str
    terms: Mapping[str, float]
    value: float
    replicas: int


@dataclass(frozen=True, slots=True)
class Decision:
    """What one node of one job should have from `at` on.

    `had` is what the node had (ready, starting, replaced and failing replicas), `wanted` what it is to have: the only
    number that is carried out; they are equal if nothing changes. `recommended` is the result of the formula before
    guards and bounds, None if it could not be computed. `guard` is the one that decided the difference between the two,
    None if there is none. `short` is how many replicas the platform has no room for ("wants 5, has 3": wanted 3, short
    2). `since` is the time from which `wanted` has been the same. `reasons` are whole sentences, the weightiest first.
    """

    job: str
    node: str
    at: float
    had: int
    wanted: int
    action: Action
    recommended: int | None = None
    guard: Guard | None = None
    formula: Formula | None = None
    inputs: Inputs = field(default_factory=Inputs)
    reasons: tuple[str, ...] = ()
    short: int = 0
    since: float = 0.0

    def to_document(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)

    @classmethod
    def from_document(cls, raw: Mapping[str, Any]) -> Decision:
        """What `to_document` made. Raises KeyError, TypeError or ValueError for anything else."""
        formula = raw["formula"]
        return cls(
            **{
                **raw,
                "action": Action(raw["action"]),
                "guard": None if raw["guard"] is None else Guard(raw["guard"]),
                "formula": None if formula is None else Formula(**formula),
                "inputs": Inputs(**raw["inputs"]),
                "reasons": tuple(raw["reasons"]),
            }
        )


@dataclass(frozen=True, slots=True)
class ScalingPlan:
    """One decision for each node of each job that the pass saw. `alarms` concern more than one node's replicas: a loop
    that feeds itself, a metrics server that is gone, a clock that steps."""

    at: float
    decisions: tuple[Decision, ...] = ()
    alarms: tuple[str, ...] = ()

    def of(self, job: str, node: str) -> Decision | None:
        return next((found for found in self.decisions if (found.job, found.node) == (job, node)), None)

    @property
    def changes(self) -> tuple[Decision, ...]:
        """Those that are to be carried out."""
        return tuple(found for found in self.decisions if found.action is not Action.HOLD)
