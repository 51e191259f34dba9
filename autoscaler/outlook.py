"""What a job is heading for: demand at each node, and the backlog there once replicas asked for now are at work.

Replicas that are ordered for today's backlog come too late for what arrives while they start. So what waits is carried
forward by the start-up time, with the replicas that are already on their way counted from when they will be ready; and
since what waits at one node arrives at the nodes behind it as it is worked off, they are sized for it in the same pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from autoscaler.demand import Solved, System
from autoscaler.figures import NodeFigures
from autoscaler.snapshot import JobView, NodeView
from autoscaler.speed import Speed

Edge = tuple[str, str]
FULL = 0.9
_GAIN_MESSAGES = 50.0
"""A selectivity measured on fewer messages is mixed with what was known before."""


@dataclass(frozen=True, slots=True)
class Prospect:
    """A node's replicas as far as time is concerned: how fast, how many now, and how many on average until new ones
    come."""

    speed: Speed | None
    ready: int
    average: float
    start_up_s: float
    backlog: float


@dataclass(frozen=True, slots=True)
class Outlook:
    """In messages, and messages per second, by node. `demand` is what arrives as far as is known, `expected` the same
    or what a forecast says if that is more, `most` what may arrive from instances that do not report besides. `heading`
    are the messages that wait at the node and before it, as far as they will come to it; `at_ready` is the backlog once
    new replicas are at work, `catch_up` the flow by which all those before and at the node would be gone in time. Nodes
    of unknown demand are missing."""

    demand: Mapping[str, float]
    expected: Mapping[str, float]
    most: Mapping[str, float]
    heading: Mapping[str, float]
    at_ready: Mapping[str, float]
    catch_up: Mapping[str, float]
    loops: tuple[frozenset[str], ...]


def gains_of(job: JobView, figures: Mapping[str, NodeFigures], known: Mapping[Edge, float]) -> dict[Edge, float]:
    """Messages over each edge for each one that its source handled, as measured now or else as known before."""
    gains: dict[Edge, float] = {}
    for edge in job.edges:
        key = (edge.source, edge.target)
        measured, before = figures[edge.source].gains.get(edge.target), known.get(key)
        if measured is None:
            if before is not None:
                gains[key] = before
        elif before is None:
            gains[key] = measured
        else:
            weight = min(1.0, figures[edge.source].weight / _GAIN_MESSAGES)
            gains[key] = weight * measured + (1 - weight) * before
    return gains


def ingest_of(
    job: JobView, figures: Mapping[str, NodeFigures], unread_growth: Mapping[str, float]
) -> dict[str, float | None]:
    """Messages per second that come in at each node without an edge into it; None if unknown."""
    targets = {edge.target for edge in job.edges}
    ingest: dict[str, float | None] = {}
    for node in job.nodes:
        if node.name not in targets:
            rate = figures[node.name].handled_now
            ingest[node.name] = None if rate is None else max(0.0, rate + unread_growth.get(node.name, 0.0))
    return ingest


def backlogs(job: JobView, figures: Mapping[str, NodeFigures], gains: Mapping[Edge, float]) -> dict[str, float | None]:
    """What waits for each node: at the nodes before it, and outside of those that are sources. None if unknown."""
    waiting: dict[str, float | None] = {node.name: 0.0 for node in job.nodes}
    for edge in job.edges:
        source, before = figures[edge.source], waiting[edge.target]
        queued = source.queued.get(edge.target)
        if queued is None or before is None:
            if source.ready:
                waiting[edge.target] = None
            continue
        unread = (source.unread or 0.0) * gains.get((edge.source, edge.target), 0.0)
        waiting[edge.target] = before + queued + unread
    return waiting


def below(job: JobView, sources: Iterable[str]) -> frozenset[str]:
    """These nodes, and all that messages of them come to."""
    following: dict[str, list[str]] = {}
    for edge in job.edges:
        following.setdefault(edge.source, []).append(edge.target)
    looking = list(sources)
    found: set[str] = set()
    while looking:
        node = looking.pop()
        if node not in found:
            found.add(node)
            looking += following.get(node, [])
    return frozenset(found)


def pressed_nodes(job: JobView, figures: Mapping[str, NodeFigures]) -> frozenset[str]:
    """Those before which a queue is as good as full."""
    return frozenset(edge.target for edge in job.edges if figures[edge.source].fullness.get(edge.target, 0.0) >= FULL)


def look_ahead(
    job: JobView,
    ingest: Mapping[str, float | None],
    missing: Mapping[str, float],
    forecasts: Mapping[str, float],
    gains: Mapping[Edge, float],
    prospects: Mapping[str, Prospect],
    catch_up_s: float,
) -> Outlook:
    system = System(tuple(node.name for node in job.nodes), gains, job.cycles)
    known = {node: rate for node, rate in ingest.items() if rate is not None}
    solved = system.solve(known)
    coming = {node: max(rate, forecasts.get(node, 0.0)) for node, rate in known.items()}
    expected = system.solve(coming) if forecasts else solved
    most = expected
    if any(missing.get(node, 1.0) > 1.0 for node in known):
        most = system.solve({node: rate * missing.get(node, 1.0) for node, rate in coming.items()})
    at_ready = _at_ready(job, system, solved, known, prospects)
    unknown = below(job, (node for node, rate in ingest.items() if rate is None))
    return Outlook(
        demand={node: rate for node, rate in solved.rates.items() if node not in unknown},
        expected=expected.rates,
        most=most.rates,
        heading=system.solve({node: one.backlog for node, one in prospects.items()}).rates,
        at_ready=at_ready,
        catch_up=system.solve({node: backlog / catch_up_s for node, backlog in at_ready.items()}).rates,
        loops=solved.loops,
    )


def _at_ready(
    job: JobView, system: System, solved: Solved, ingest: Mapping[str, float], prospects: Mapping[str, Prospect]
) -> dict[str, float]:
    """Backlog after the start-up time: what waits, and what comes in and is not handled until then.

    What comes into a node is at most what the nodes before it can hand on in that time. Inside a cycle it is the
    demand.
    """
    cyclic = {node for cycle in job.cycles for node in cycle}
    passed: dict[str, float] = {}
    found: dict[str, float] = {}
    for node in solved.order:
        prospect = prospects[node]
        arriving = ingest.get(node, 0.0) + sum(
            passed[source] * gain for source, gain in system.incoming[node] if source in passed
        )
        if node in cyclic:
            arriving = solved.rates[node]
        if prospect.speed is None:
            passed[node] = arriving
            continue
        capacity = prospect.speed.capacity(prospect.average)
        ahead = prospect.start_up_s
        passed[node] = min(capacity, arriving + prospect.backlog / ahead)
        found[node] = max(0.0, prospect.backlog + (arriving - capacity) * ahead)
    return found


def prospect_of(view: NodeView, speed: Speed | None, backlog: float | None, start_up_s: float) -> Prospect:
    ready = view.replicas.ready
    ahead = max(1.0, start_up_s)
    coming = sum(min(1.0, age / ahead) for age in view.starting_ages_s)
    return Prospect(speed, ready, ready + coming, ahead, backlog or 0.0)
