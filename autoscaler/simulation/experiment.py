"""One simulation: a layout, a trace and a rule, second by second, and the criteria that come of it.

The rule is asked at a phase of its period that comes from the seed: a jump of the load must not happen to fall on the
moment at which rules look.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from autoscaler.simulation.criteria import Criteria, Tally
from autoscaler.simulation.disturbance import CALM, Disturbance
from autoscaler.simulation.layout import Layout
from autoscaler.simulation.rules.base import Rule
from autoscaler.simulation.traces import Trace
from autoscaler.simulation.world import World

NOISE = 0.05


@dataclass(frozen=True, slots=True)
class Conditions:
    """`noise`: each second's rate is off by up to this part. `mu_error`: the measured rate of a replica over the real
    one. `initial`: ready replicas at the start, by node; others have their least."""

    start_up_s: int = 20
    seed: int = 1
    noise: float = NOISE
    mu_error: float = 1.0
    initial: dict[str, int] = field(default_factory=dict)
    disturbance: Disturbance = CALM


Observer = Callable[[World, float], None]
"""Called after each second with the world and the rate that arrived."""


def simulate(
    layout: Layout, trace: Trace, rule: Rule, conditions: Conditions, observer: Observer | None = None
) -> Criteria:
    chance = random.Random(f"{conditions.seed} {trace.name}")
    world = World(
        layout,
        start_up_s=conditions.start_up_s,
        mu_error=conditions.mu_error,
        disturbance=conditions.disturbance,
    )
    world.hold_replicas(conditions.initial)
    tally = Tally(world, trace)
    phase = chance.randrange(rule.period_s)
    for t, rate in enumerate(trace.rates):
        arriving = rate * (1 + chance.uniform(-conditions.noise, conditions.noise))
        world.advance(arriving)
        tally.second(t)
        if (t - phase) % rule.period_s == 0:
            _apply(world, rule, tally)
        if observer is not None:
            observer(world, arriving)
    return tally.criteria()


def _apply(world: World, rule: Rule, tally: Tally) -> None:
    changed = False
    for name, wanted in rule.decide(world).items():
        change = world.scale(world.by_name[name], wanted)
        if change:
            changed = True
            tally.changed(name, change)
    if changed:
        world.pause_s = max(world.pause_s, rule.pause_s)
