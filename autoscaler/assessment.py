"""What one pass makes of one job: figures of its nodes, what they teach, where demand is heading, and each situation.

Nodes that are one instance by their nature are looked at for what they send and for nothing else: they are neither
sized nor remembered. The nodes of a job are assessed together, since what arrives at one comes from the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from autoscaler.figures import NodeFigures, figures_of
from autoscaler.forecast import TREND_PASSES, forecast, trend
from autoscaler.learning import Waits, learn, on_trial, overdue, speed_of, start_up_s, still_on_trial
from autoscaler.memory import Memory, NodeMemory
from autoscaler.outlook import (
    FULL,
    Edge,
    Outlook,
    Prospect,
    backlogs,
    below,
    gains_of,
    ingest_of,
    look_ahead,
    pressed_nodes,
    prospect_of,
)
from autoscaler.policy import Situation
from autoscaler.records import noted, watched
from autoscaler.settings import Settings
from autoscaler.sizing import Size, size
from autoscaler.snapshot import JobView, NodeView
from autoscaler.speed import Speed

_NEW = NodeMemory()


@dataclass(frozen=True, slots=True)
class Circumstances:
    """Of the whole pass. `elapsed_s`: since the last one; `stepped`: the clock has made a leap since then; `fallback`:
    the metrics server does not answer."""

    now: float
    elapsed_s: float
    settings: Settings
    fallback: bool = False
    stepped: bool = False


@dataclass(frozen=True, slots=True)
class Assessed:
    """One situation for each node, in their order, with the speed of its replicas (None: unknown)."""

    situations: tuple[tuple[Situation, Speed | None], ...]
    gains: Mapping[Edge, float]
    loops: tuple[frozenset[str], ...]


@dataclass(frozen=True, slots=True)
class _Known:
    """Of one node, once all that its samples say is taken in."""

    figures: NodeFigures
    memory: NodeMemory
    speed: Speed | None
    waits: Waits
    start_up_s: float
    at_least: bool
    """Its demand is at least what is known: a source before it does not tell what it has still to read."""


def assess(job: JobView, memory: Memory, c: Circumstances) -> Assessed:
    known_before = {node.name: memory.nodes.get((job.job, node.name), _NEW) for node in job.nodes}
    figures = {
        node.name: figures_of(
            node, c.settings.stale_s, just_changed=known_before[node.name].work_just_changed(c.now, c.settings)
        )
        for node in job.nodes
    }
    before = {edge: memory.gains.get((job.job, *edge)) for edge in ((edge.source, edge.target) for edge in job.edges)}
    gains = gains_of(job, figures, {edge: gain for edge, gain in before.items() if gain is not None})
    waiting = backlogs(job, figures, gains)
    pressed = pressed_nodes(job, figures)
    targets = {edge.target for edge in job.edges}
    silent = below(job, (name for name, found in figures.items() if name not in targets and found.unread is None))
    known: dict[str, _Known] = {}
    unread: dict[str, float] = {}
    for node in job.nodes:
        old = known_before[node.name]
        waits = Waits(waiting[node.name], node.name in pressed)
        found = known[node.name] = _known(node, figures[node.name], waits, old, c, at_least=node.name in silent)
        unread[node.name] = _growth(found.figures, old, c.elapsed_s)
    ingest = ingest_of(job, figures, unread)
    known = {name: _with_rate(found, ingest.get(name)) for name, found in known.items()}
    outlook = look_ahead(
        job,
        ingest,
        {name: found.missing for name, found in figures.items()},
        _forecasts(job, known, c.settings),
        gains,
        {node.name: _prospect(node, known[node.name]) for node in job.nodes},
        c.settings.catch_up_s,
    )
    blocking = frozenset((edge.source, edge.target) for edge in job.edges if not edge.in_cycle)
    return Assessed(
        tuple(_situation(node, known[node.name], outlook, blocking, c) for node in job.nodes), gains, outlook.loops
    )


def _with_rate(known: _Known, rate: float | None) -> _Known:
    """What comes in at a source is remembered; a rate that is not known ends what was known."""
    past = known.memory.coming_in
    coming = () if rate is None else (*past, rate)[-TREND_PASSES:]
    return known if coming == past else replace(known, memory=replace(known.memory, coming_in=coming))


def _forecasts(job: JobView, known: Mapping[str, _Known], settings: Settings) -> dict[str, float]:
    """The rates at which sources will produce when new replicas are at work, where more can be said than that of
    now."""
    ahead_s = max((known[node.name].start_up_s for node in job.nodes if node.scalable), default=0.0)
    found: dict[str, float] = {}
    for node in job.nodes:
        season = forecast(node.history, settings.season_s, ahead_s)
        rising = trend(known[node.name].memory.coming_in, settings.tick_s, settings.window_s, ahead_s)
        if season is not None or rising is not None:
            found[node.name] = max(season or 0.0, rising or 0.0)
    return found


def _known(
    node: NodeView, figures: NodeFigures, waits: Waits, memory: NodeMemory, c: Circumstances, *, at_least: bool
) -> _Known:
    if not node.scalable:
        if figures.unread != memory.unread:
            memory = replace(memory, unread=figures.unread)
        return _Known(figures, memory, None, waits, c.settings.start_up_s, at_least)
    memory = learn(memory, node, figures, waits, c.elapsed_s, c.now, c.settings)
    speed = speed_of(memory, node)
    if speed is not None:
        memory = still_on_trial(memory, speed, node)
        speed = on_trial(speed, memory, node)
    return _Known(figures, memory, speed, waits, start_up_s(memory, node, c.settings), at_least)


def _prospect(node: NodeView, known: _Known) -> Prospect:
    return prospect_of(node, known.speed, known.waits.backlog, known.start_up_s)


def _growth(figures: NodeFigures, before: NodeMemory, elapsed_s: float) -> float:
    """Messages per second by which what waits outside of a source grows."""
    if figures.unread is None or before.unread is None or elapsed_s <= 0:
        return 0.0
    return (figures.unread - before.unread) / elapsed_s


def _situation(
    node: NodeView, known: _Known, outlook: Outlook, blocking: frozenset[Edge], c: Circumstances
) -> tuple[Situation, Speed | None]:
    name, figures, memory, speed = node.name, known.figures, known.memory, known.speed
    late = overdue(node, known.start_up_s)
    demand = outlook.demand.get(name)
    working = node.replicas.held - late
    sized: Size | None = None
    steady: int | None = None
    if speed is not None and demand is not None:
        sized = size(name, speed, working, outlook, c.settings, outlook.expected[name])
        steady = sized.steady
        if outlook.most[name] > outlook.expected[name]:
            steady = max(steady, size(name, speed, working, outlook, c.settings, outlook.most[name]).steady)
    if node.scalable:
        memory = noted(memory, steady, figures, demand, known.waits.backlog, c.now, c.settings)
    delay_s, highest, watched_s = watched(memory, node, known.start_up_s, c.now, c.settings)
    situation = Situation(
        view=node,
        figures=figures,
        memory=memory,
        settings=c.settings,
        now=c.now,
        demand=demand,
        backlog=known.waits.backlog,
        backlog_s=_seconds(known.waits.backlog or 0.0, speed, node.replicas.ready),
        heading_s=_seconds(outlook.heading.get(name, 0.0), speed, node.replicas.ready),
        ahead_s=_seconds(outlook.at_ready.get(name, 0.0), speed, max(1, working)),
        size=sized,
        highest=highest if sized is None else max(highest, sized.replicas),
        watched_s=watched_s,
        delay_s=delay_s,
        idle_s=0.0 if memory.idle_since is None else c.now - memory.idle_since,
        start_up_s=known.start_up_s,
        overdue=late,
        full_target=next((t for t, full in figures.fullness.items() if full >= FULL and (name, t) in blocking), ""),
        pressed=known.waits.pressed and known.at_least,
        in_loop=any(name in loop for loop in outlook.loops),
        fallback=c.fallback,
        stepped=c.stepped,
    )
    return situation, speed


def _seconds(messages: float, speed: Speed | None, replicas: int) -> float:
    """How long so many replicas need for them; 0 if that is unknown."""
    capacity = speed.capacity(replicas) if speed is not None else 0.0
    return messages / capacity if capacity > 0 else 0.0
