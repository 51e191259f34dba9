"""A job and its platform as one pass sees them: what the controller knows of it, and what its instances said.

The graph, bounds, pins and the state of each instance come from the controller, so a replica that reports nothing is
counted all the same; figures come from the source of metrics.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from autoscaler.collect.base import Points, Reading
from autoscaler.collect.points import Point, growth, last_two, over
from autoscaler.settings import Settings
from autoscaler.snapshot import (
    EdgeView,
    InstanceView,
    JobView,
    NodeView,
    PlatformView,
    Replicas,
    Resources,
    Room,
    Snapshot,
)
from streamer.control.jobs import JobSnapshot, JobStatus
from streamer.control.lifecycle import InstancePhase
from streamer.descriptor.resources import Capacity
from streamer.plan.assignment import index_of
from streamer.plan.compile import Plan, PlannedNode

_AT_WORK = (InstancePhase.RUNNING, InstancePhase.DRAINING, InstancePhase.ENDED)
_ENDING = (InstancePhase.DRAINING, InstancePhase.ENDED, InstancePhase.LEFT, InstancePhase.COMPLETED)


def span_s(settings: Settings) -> float:
    """What a source of metrics has to keep: a window, and a tick for points that do not lie at its edge."""
    return settings.window_s + 2 * settings.tick_s


def can_be_scaled(job: JobSnapshot) -> bool:
    return job.status in (JobStatus.STARTING, JobStatus.RUNNING)


def comes_to_its_end(job: JobSnapshot) -> frozenset[str]:
    """Nodes of which an instance has no more input, other than by scaling."""
    return frozenset(
        _node_of(instance)
        for instance, phase in job.instances.items()
        if phase in _ENDING and instance not in job.leaving
    )


def snapshot_of(
    jobs: Iterable[JobSnapshot], reading: Reading, capacity: Capacity, now: float, settings: Settings
) -> Snapshot:
    """What one pass sees at `now`, a time of day."""
    views = tuple(_job_view(job, reading, now, settings) for job in jobs)
    return Snapshot(now, views, _platform_view(capacity, views), fallback=reading.fallback, failure=reading.failure)


def _job_view(job: JobSnapshot, reading: Reading, now: float, settings: Settings) -> JobView:
    plan, points = job.plan, reading.jobs.get(job.job, {})
    histories = reading.histories.get(job.job, {})
    states = {instance: InstancePhase(phase) for instance, phase in job.instances.items()}
    by_node: dict[str, dict[str, InstancePhase]] = {name: {} for name in plan.nodes}
    for instance, phase in states.items():
        by_node[_node_of(instance)][instance] = phase
    views = (_node_view(job, node, by_node[node.name], points, now, settings) for node in plan.nodes.values())
    nodes = tuple(replace(view, history=histories.get(view.name)) for view in views)
    edges = tuple(
        EdgeView(node.name, output.target, plan.nodes[output.target].policy.overload, output.inside)
        for node in plan.nodes.values()
        for output in node.outputs
    )
    return JobView(job.job, job.pipeline, nodes, edges, (*plan.components, *_alone(plan)))


def _alone(plan: Plan) -> list[frozenset[str]]:
    """Nodes that send to themselves."""
    return [frozenset((name,)) for name, node in plan.nodes.items() if any(o.target == name for o in node.outputs)]


def _node_view(
    job: JobSnapshot,
    node: PlannedNode,
    states: Mapping[str, InstancePhase],
    points: Points,
    now: float,
    settings: Settings,
) -> NodeView:
    staying = [instance for instance in states if instance not in job.leaving]
    replicas = _replicas(states, job.leaving)
    if node.name in job.moving:
        replicas = replace(replicas, ready=0, replaced=replicas.ready)
    needs = node.needs
    kind = next(iter(needs.kinds), "")
    views = (_instance_view(name, points.get(name, ()), now, settings) for name in staying)
    return NodeView(
        name=node.name,
        role=node.role,
        replicas=replicas,
        min_replicas=node.min_replicas,
        max_replicas=node.max_replicas,
        instances=tuple(replace(view, accelerator=kind) for view in views),
        partitioned=bool(node.partition_by),
        pinned=job.pins.get(node.name),
        resources=Resources(needs.cpu, needs.gpu, kind, float(needs.mem)),
        priority=int(node.args.get("priority", 0)),
        start_up_s=job.start_up_s.get(node.name),
        starting_ages_s=tuple(job.starting_s[name] for name in staying if name in job.starting_s),
    )


def _replicas(states: Mapping[str, InstancePhase], leaving: frozenset[str]) -> Replicas:
    staying = [phase for instance, phase in states.items() if instance not in leaving]
    return Replicas(
        ready=sum(phase in _AT_WORK for phase in staying),
        starting=staying.count(InstancePhase.STARTING),
        leaving=sum(phase.living for instance, phase in states.items() if instance in leaving),
        failing=staying.count(InstancePhase.RESTARTING),
    )


def _instance_view(name: str, points: Sequence[Point], now: float, settings: Settings) -> InstanceView:
    if not points:
        return InstanceView(name)
    newest = points[-1]
    return InstanceView(
        name=name,
        age_s=max(0.0, now - newest.at),
        window=growth(over(points, settings.window_s)),
        latest=growth(last_two(points, settings.tick_s)),
        backlog=newest.backlog,
        in_flight=newest.in_flight,
        fullness=newest.fullness,
        unread=newest.unread,
        oldest_unsettled_s=newest.oldest_unsettled_s,
    )


def _platform_view(capacity: Capacity, jobs: Iterable[JobView]) -> PlatformView:
    nodes = [node for job in jobs for node in job.nodes]
    held = [(node.replicas.held + node.replicas.leaving, node.resources) for node in nodes]
    cpu = sum(count * asked.cpu for count, asked in held)
    memory = sum(count * asked.memory_bytes for count, asked in held)
    count = sum(count for count, _ in held)
    there = _accelerators(capacity)
    return PlatformView(
        Room(capacity.cpu, capacity.mem, there, capacity.instances),
        Room(
            _left(capacity.cpu, cpu),
            _left(capacity.mem, memory),
            None if there is None else _free(there, held),
            None if capacity.instances is None else max(0, capacity.instances - count),
        ),
    )


def _left(there: float | None, taken: float) -> float | None:
    return None if there is None else max(0.0, there - taken)


def _accelerators(capacity: Capacity) -> Mapping[str, float] | None:
    """By kind: '' on a machine that does not say which it has."""
    if capacity.kinds is not None:
        return capacity.kinds
    return None if capacity.gpu is None else {"": capacity.gpu}


def _free(there: Mapping[str, float], held: Iterable[tuple[int, Resources]]) -> Mapping[str, float]:
    """What is left of each kind. Who may have any is taken to have those of which there are most."""
    free = dict(there)
    for count, asked in sorted(held, key=lambda one: one[1].gpu_kind == ""):
        kind = asked.gpu_kind if asked.gpu_kind in free else max(free, key=free.__getitem__, default="")
        if kind in free:
            free[kind] = max(0.0, free[kind] - count * asked.gpu)
    return free


def _node_of(instance: str) -> str:
    """Instances are named `<node>-<index>`."""
    return instance.removesuffix(f"-{index_of(instance)}")
