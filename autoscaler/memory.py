"""What the rule remembers from one pass to the next: everything, in one frozen value.

A pass is given a memory and returns the next one, so the rule has no other state: it can be kept in the control log,
handed to another host, or thrown away. A rule that begins anew takes rates from the journal (`recall`) and knows no
peaks, and so changes nothing for the worse: the first scale-in comes only after a whole delay.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from autoscaler.settings import Settings
from autoscaler.speed import Work

Key = tuple[str, str]
"""Job and node."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A scale-up whose gain is still to be seen: what was handled per second before it, and what it should add.

    `rate` is the true rate of a replica, not calibrated, when the new ones came to work, and `ready` how many there
    were without them.
    """

    at: float
    handled: float
    expected: float
    rate: float
    ready: int


@dataclass(frozen=True, slots=True)
class NodeMemory:
    """`rates`: the last true rates, by kind of accelerator. `calibration`: what a replica really handles at full load
    over what its busy time says. `starting_ages_s` are those of the last pass. `saturated_since`: from when on more
    work has waited than its replicas do in some seconds. `work_changed_at`: when a message last began to take another
    time. `peaks`: recommendations by time, each the largest since;
    `watched_since` is when they begin. `patience`: by how much the delay of scale-in is longer than usual. `trials`
    that gained nothing are counted in `fruitless`, and stop growth until `stopped_until`."""

    rates: Mapping[str, float] = field(default_factory=dict)
    work: Work = field(default_factory=Work)
    calibration: float = 1.0
    start_up_s: float | None = None
    starting_ages_s: tuple[float, ...] = ()
    ready: int = 0
    unread: float | None = None
    coming_in: tuple[float, ...] = ()
    saturated_since: float | None = None
    work_changed_at: float | None = None
    peaks: tuple[tuple[float, int], ...] = ()
    watched_since: float | None = None
    idle_since: float | None = None
    up_at: float | None = None
    down_at: float | None = None
    patience: float = 1.0
    trial: Trial | None = None
    fruitless: int = 0
    stopped_until: float | None = None
    wanted: int | None = None
    since: float = 0.0

    def work_just_changed(self, now: float, settings: Settings) -> bool:
        """Whether a window still has messages in it that took another time."""
        return self.work_changed_at is not None and now - self.work_changed_at < settings.window_s

    def shifted(self, by: float) -> NodeMemory:
        """As if all that is remembered had been `by` seconds later."""

        def later(at: float | None) -> float | None:
            return None if at is None else at + by

        return replace(
            self,
            saturated_since=later(self.saturated_since),
            work_changed_at=later(self.work_changed_at),
            peaks=tuple((at + by, size) for at, size in self.peaks),
            watched_since=later(self.watched_since),
            idle_since=later(self.idle_since),
            up_at=later(self.up_at),
            down_at=later(self.down_at),
            trial=None if self.trial is None else replace(self.trial, at=self.trial.at + by),
            stopped_until=later(self.stopped_until),
        )


@dataclass(frozen=True, slots=True)
class Memory:
    """`at` is the time of the last pass; `gains` are messages over an edge for each one handled: job, source,
    target."""

    at: float | None = None
    nodes: Mapping[Key, NodeMemory] = field(default_factory=dict)
    gains: Mapping[tuple[str, str, str], float] = field(default_factory=dict)

    def shifted(self, by: float) -> Memory:
        return replace(self, nodes={key: node.shifted(by) for key, node in self.nodes.items()})


EMPTY = Memory()
