"""One shape and one seed: the plan, the cast, the faults, and the verdict.

The seed decides what the shape leaves open: replicas, numbers of records, how long handlers take, how small queues are,
which messages are bad, and how much harm is done. A seed without any harm is judged to the message, so that a mechanism
which only survives by sending everything twice is found too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from streamer.descriptor.flow import parse_flow
from streamer.limits import CANARY_PARTS, QUEUE_BYTES_DEFAULT
from streamer.plan.assignment import Delivery, Durability, OnError, Overload, Role
from streamer.plan.compile import Plan, PlannedNode, wired
from streamer.plan.declared import Policy
from streamer.plan.versions import flow_version
from streamer.testing.actors import algorithm
from streamer.testing.disk import Unreadable
from streamer.testing.keyed import KEY_FIELD
from streamer.testing.nemesis import (
    ALL,
    CALM,
    DRAINED,
    KILLS,
    PAUSES,
    WIRE,
    Change,
    ChangeFlows,
    Decide,
    Fault,
    Malice,
    RollBack,
    Scale,
    Share,
    outlasts_a_drain,
    schedule,
    unleash,
)
from streamer.testing.outcome import Cast, expected, judge, judge_counts
from streamer.testing.shapes import Shape, refuses
from streamer.testing.world import Scene, World

_CHANGES_MAX = 12
_SCALINGS_MAX = 4
_CANARIES = 0.4
_SHARES = (0, CANARY_PARTS // 10, CANARY_PARTS // 2)
_DECISIONS_MAX = 6
_FEW, _MANY = (1, 8, 20, 50), (8, 40, 100)
_SHORT_S, _LONG_S = (0.0, 0.002, 0.02), (0.0, 0.02, 0.05)
"""Flows change in longer jobs, so that records go by several versions."""
LIMIT_S = 120.0
"""Virtual seconds in which a job must end, faults, restarts and timeouts included."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What the seed has decided."""

    replicas: Mapping[str, int]
    queue_bytes: int
    records: Mapping[str, int]
    interval_s: float
    batch_max: int
    handler_s: Mapping[str, float]
    refusing: str | None
    poisoned: str | None
    unreadable: bool
    malice: Malice
    on_error: OnError = field(default_factory=OnError)


def choose(shape: Shape, random: Random) -> Choices:
    algorithms = [node for node in shape.behaviours if node not in shape.starters]
    may_lose = shape.at_most_once or shape.overload
    poisoned = random.random() < 0.1 and bool(algorithms) and not may_lose
    malice = random.choice((CALM, KILLS, WIRE, PAUSES, DRAINED, ALL, ALL))
    counts, intervals_s = (_FEW, _SHORT_S) if not shape.others else (_MANY, _LONG_S)
    return Choices(
        replicas={node: 1 if node in shape.stateful else random.choice((1, 1, 2, 3, 4)) for node in shape.behaviours},
        queue_bytes=random.choice((QUEUE_BYTES_DEFAULT, 400)),
        records={node: random.choice(counts) for node in (*shape.sources, *shape.starters)},
        interval_s=random.choice(intervals_s),
        batch_max=random.choice((1, 7, 512)),
        handler_s={node: random.choice((0.0, 0.000_1, 0.002, 0.02)) for node in shape.behaviours},
        refusing=random.choice(algorithms) if algorithms and random.random() < 0.3 else None,
        poisoned=random.choice(algorithms) if poisoned else None,
        unreadable=random.random() < 0.2,
        malice=CALM if poisoned else malice,
    )


def cast_of(shape: Shape, choices: Choices, random: Random) -> Cast:
    behaviours = dict(shape.behaviours)
    if choices.refusing is not None:
        behaviours[choices.refusing] = refuses(behaviours[choices.refusing], 4)
    records: dict[str, list[object]] = {
        node: [f"{node}#{n}" for n in range(choices.records[node])] for node in shape.sources
    }
    if choices.unreadable:
        for node, values in records.items():
            if node in shape.pipes:
                continue  # nobody could say whether one was read
            for n in random.sample(range(len(values)), len(values) // 5):
                values[n] = Unreadable(f"{node}#{n}")
    return Cast(
        records=records,
        starts={node: [f"{node}#{n}" for n in range(choices.records[node])] for node in shape.starters},
        farewells={node: f"bye-{node}#0" for node in shape.farewells},
        behaviours=behaviours,
        wrap=shape.wrap,
    )


def plan_of(shape: Shape, choices: Choices) -> Plan:
    flows = {name: parse_flow(text, name) for name, text in shape.flows.items()}
    names = dict.fromkeys(node for flow in flows.values() for node in flow.nodes())
    names |= {node: None for other in shape.others for text in other.values() for node in parse_flow(text).nodes()}
    nodes = {name: _node(name, shape, choices) for name in names}
    return wired(shape.name, nodes, (flow_version(flows, shape.default, 1),))


def _node(name: str, shape: Shape, choices: Choices) -> PlannedNode:
    replicas = choices.replicas.get(name, 1)
    return PlannedNode(
        name=name,
        role=_role(name, shape),
        replicas=replicas,
        min_replicas=1 if name in shape.partitioned else 0,
        max_replicas=None,
        inputs=(),
        outputs=(),
        code=None,
        connector=None,
        concurrency=1,
        args={},
        policy=Policy(
            Delivery.AT_MOST_ONCE if name in shape.at_most_once else Delivery.AT_LEAST_ONCE,
            choices.queue_bytes,
            shape.hop_limit,
            shape.overload.get(name, Overload.BLOCK),
        ),
        durability=Durability.LOG if name in shape.logged else Durability.NONE,
        partition_by=KEY_FIELD if name in shape.partitioned else "",
        on_error=choices.on_error,
    )


def _role(name: str, shape: Shape) -> Role:
    if name in shape.sources:
        return Role.SOURCE
    if name not in shape.behaviours:
        return Role.SINK
    return Role.STATEFUL if name in shape.stateful | shape.partitioned else Role.STATELESS


@dataclass(frozen=True, slots=True)
class Play:
    """All that a seed decides: the same play has the same end."""

    shape: Shape
    seed: int
    choices: Choices
    plan: Plan
    cast: Cast
    faults: tuple[Fault, ...]
    changes: tuple[Change, ...] = ()

    def world(self) -> World:
        """The job, about to begin."""
        choices = self.choices
        world = World(
            Scene(
                plan=self.plan,
                records=self.cast.records,
                algorithms={
                    node: algorithm(
                        node,
                        self.cast,
                        choices.handler_s[node],
                        stateful=_role(node, self.shape) is Role.STATEFUL,
                        keeps=node in self.shape.keepers,
                    )
                    for node in self.cast.behaviours
                },
                interval_s=choices.interval_s,
                batch_max=choices.batch_max,
                replayable=not self.cast.starts and not self.cast.farewells,
                pipes=self.shape.pipes,
                wrap=self.cast.wrap if self.shape.partitioned else None,
            ),
            self.seed,
        )
        unleash(world, (*self.faults, *self.changes))
        return world

    @property
    def calm(self) -> bool:
        """Whether nothing is done to the job that sends anything again."""
        return not (
            self.faults or self.cast.poison or any(isinstance(change, Scale | Decide) for change in self.changes)
        )

    def run(self) -> World:
        """Play it to the end and judge it. Raises PromiseError."""
        world = self.world()
        world.run(LIMIT_S, may_be_cut_off=self.choices.malice.drained and outlasts_a_drain(self.faults))
        judge(world, self.cast, calm=self.calm, drained=self.choices.malice.drained)
        judge_counts(world, self.cast, self.shape.keepers, drained=self.choices.malice.drained)
        return world


def play_of(shape: Shape, seed: int) -> Play:
    random = Random(f"{shape.name}/{seed}")
    errors = Random(f"{shape.name}/{seed}/errors")
    choices = replace(choose(shape, random), on_error=errors.choice((OnError(), OnError(limit=2, delay_s=0.05))))
    plan = plan_of(shape, choices)
    cast = cast_of(shape, choices, random)
    if choices.poisoned is not None:
        handled = [key for key in expected(plan, cast).handled if key[0] == choices.poisoned]
        cast = replace(cast, poison=frozenset({random.choice(handled)} if handled else ()))
    instances = [f"{node.name}-{index}" for node in plan.nodes.values() for index in range(node.replicas)]
    faults = schedule(random, instances, choices.malice, _span_s(choices))
    span_s = _span_s(choices)
    changes: list[Change] = [*_changes(shape, random, span_s), *_scalings(shape, random, span_s)]
    changes = _with_canaries(changes, Random(f"{shape.name}/{seed}/canaries"), span_s)
    changes += _decisions(plan, Random(f"{shape.name}/{seed}/decisions"), span_s)
    return Play(shape, seed, choices, plan, cast, faults, tuple(changes))


def _changes(shape: Shape, random: Random, span_s: float) -> tuple[ChangeFlows, ...]:
    if not shape.others:
        return ()
    count = random.choice((0, 1, 2, 4, _CHANGES_MAX))
    moments = sorted(span_s * random.random() for _ in range(count))
    return tuple(ChangeFlows(at_s, random.choice((shape.flows, *shape.others))) for at_s in moments)


def _with_canaries(changes: Sequence[Change], random: Random, span_s: float) -> list[Change]:
    """Some changes of flows begin with a share of the roots, get another one, and are taken back."""
    after: list[Change] = []
    for change in changes:
        if isinstance(change, ChangeFlows) and random.random() < _CANARIES:
            change = replace(change, parts=random.choice(_SHARES))
            follows_s = change.at_s + span_s * random.random() / 2
            after.append(
                random.choice((Share(follows_s, random.choice((*_SHARES, CANARY_PARTS))), RollBack(follows_s)))
            )
        after.append(change)
    return sorted(after, key=lambda change: change.at_s)


def _scalings(shape: Shape, random: Random, span_s: float) -> tuple[Scale, ...]:
    if not shape.partitioned:
        return ()
    nodes = sorted(shape.partitioned)
    count = random.choice((0, 1, 2, _SCALINGS_MAX))
    moments = sorted(span_s * random.random() for _ in range(count))
    return tuple(Scale(at_s, random.choice(nodes), random.choice((1, 2, 3, 5))) for at_s in moments)


def _decisions(plan: Plan, random: Random, span_s: float) -> list[Decide]:
    nodes = [node.name for node in plan.nodes.values() if node.role is Role.STATELESS]
    count = random.choice((0, 0, 1, _DECISIONS_MAX)) if nodes else 0
    moments = sorted(span_s * random.random() for _ in range(count))
    return [Decide(at_s, random.choice(nodes), random.choice((0, 0, 1, 3))) for at_s in moments]


def _span_s(choices: Choices) -> float:
    """About the time in which the job would be done without faults: what strikes later strikes nothing."""
    records = max(choices.records.values())
    return 0.4 + records * max(choices.interval_s, *choices.handler_s.values(), 0.0)
