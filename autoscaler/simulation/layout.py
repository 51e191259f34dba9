"""What is simulated: stages with the rates of their replicas, and the edges between them.

A layout says of a pipeline what its descriptor cannot: how fast one replica is, and how many messages leave for each
that was handled. Only nodes that can have several replicas are simulated as stages of limited capacity; sources, sinks
and nodes of one instance pass on what they get, since no rule for replicas can help them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from streamer import limits
from streamer.errors import SimulationError
from streamer.plan.assignment import Role
from streamer.plan.compile import Plan

RATE_DEFAULT = 100.0
"""Messages per busy second of a replica of which nothing else is said."""
CONTENTION = 0.004
"""n replicas together do n / (1 + CONTENTION * (n - 1)) times the work of one: a mild share of what they wait for."""
QUEUE_MESSAGES = 24_000.0
"""Room on an edge between two stages; a full one makes the stage before it wait."""
REPLICAS_MAX = 100


@dataclass(frozen=True, slots=True)
class Stage:
    """A node. `rate`: messages per busy second of one replica; None: without limit, and so never scaled."""

    name: str
    rate: float | None = None
    role: Role = Role.STATELESS
    min_replicas: int = 1
    max_replicas: int = REPLICAS_MAX
    contention: float = CONTENTION
    priority: int = 0

    def capacity(self, replicas: int) -> float:
        """Messages per second that so many ready replicas handle."""
        if self.rate is None:
            return float("inf")
        return replicas * self.rate / (1 + self.contention * (replicas - 1)) if replicas > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Link:
    """An edge. `selectivity`: messages over it for each that its source handles. `in_cycle`: it never blocks."""

    source: str
    target: str
    selectivity: float = 1.0
    in_cycle: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """A pipeline as it is simulated; the rate of a trace is shared evenly by its sources."""

    name: str
    stages: tuple[Stage, ...]
    links: tuple[Link, ...]
    cycles: tuple[frozenset[str], ...] = ()
    queue_messages: float = QUEUE_MESSAGES

    @property
    def sources(self) -> tuple[str, ...]:
        targets = {link.target for link in self.links}
        return tuple(stage.name for stage in self.stages if stage.name not in targets)

    @property
    def scaled(self) -> tuple[Stage, ...]:
        return tuple(stage for stage in self.stages if stage.rate is not None)


def three_stages() -> Layout:
    """The layout in which rules are compared if no pipeline is given: a fast, a slow and a middling stage."""
    return Layout(
        "three-stages",
        (
            Stage("source", role=Role.SOURCE),
            Stage("first", 200.0),
            Stage("second", 50.0),
            Stage("third", 100.0),
        ),
        (Link("source", "first"), Link("first", "second"), Link("second", "third", 0.5)),
    )


@dataclass(frozen=True, slots=True)
class Figures:
    """What the user says of a pipeline: rates by node, selectivities by edge."""

    rates: Mapping[str, float] = field(default_factory=dict)
    selectivities: Mapping[tuple[str, str], float] = field(default_factory=dict)


def layout_of(plan: Plan, figures: Figures) -> Layout:
    """Raises SimulationError that names everything the figures or the plan do not allow."""
    inside = {(node.name, output.target): output.inside for node in plan.nodes.values() for output in node.outputs}
    problems = [f"there is no node {name} with a rate" for name in figures.rates if name not in plan.nodes]
    problems += [
        f"there is no edge {source}:{target} with a selectivity"
        for source, target in figures.selectivities
        if (source, target) not in inside
    ]
    stages = []
    for node in plan.nodes.values():
        scalable = node.role is Role.STATELESS or bool(node.partition_by)
        if node.name in figures.rates and not scalable:
            problems.append(f"node {node.name} is a {node.role} node of one instance: it has no rate to be scaled by")
        most = node.max_replicas or limits.INSTANCES_PER_NODE_MAX
        least = max(0 if node.role is Role.STATELESS else 1, node.min_replicas)
        if least > most:
            problems.append(f"node {node.name} has at least {least} and at most {most} replicas")
        rate = figures.rates.get(node.name, RATE_DEFAULT) if scalable else None
        stages.append(Stage(node.name, rate, node.role, least, min(most, limits.INSTANCES_PER_NODE_MAX)))
    links = tuple(
        Link(source, target, figures.selectivities.get((source, target), 1.0), in_cycle)
        for (source, target), in_cycle in inside.items()
    )
    layout = Layout(plan.pipeline, tuple(stages), links, plan.components)
    problems += _unusable(layout)
    if problems:
        raise SimulationError("\n".join(problems))
    return layout


def _unusable(layout: Layout) -> list[str]:
    if not layout.scaled:
        return [f"pipeline {layout.name} has no node that can have several replicas"]
    if not layout.sources:
        return [f"pipeline {layout.name} has no node where messages come in"]
    return []


def with_replicas_max(layout: Layout, most: int) -> Layout:
    stages = tuple(replace(stage, max_replicas=min(stage.max_replicas, most)) for stage in layout.stages)
    return replace(layout, stages=stages)
