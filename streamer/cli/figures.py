"""What a person who watches a job wants to know, computed from two snapshots of it.

Snapshots hold cumulative counters per instance; a person thinks in rates per edge, in instances per node and in
latencies per flow. The computation is pure, so that the live view, the progress line and their tests share it, and
what they show cannot differ.
"""

from __future__ import annotations

import dataclasses
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from streamer.control.jobs import JobSnapshot
from streamer.metrics.quantiles import difference, merged, quantile
from streamer.metrics.samples import EdgeSample, HistogramSample, InstanceSample
from streamer.plan.compile import Plan


@dataclass(frozen=True, slots=True)
class EdgeFigures:
    source: str
    target: str
    sent_per_s: float
    backlog_messages: int
    backlog_bytes: int
    in_flight: int
    dropped: int
    dead_lettered: int
    redelivered: int


@dataclass(frozen=True, slots=True)
class NodeFigures:
    """`states` are the instances by state; `busy` is the share of their time spent in the handler."""

    node: str
    role: str
    states: Mapping[str, int]
    received_per_s: float
    busy: float
    failed: int
    restarts: int


@dataclass(frozen=True, slots=True)
class FlowFigures:
    flow: str
    p50_s: float | None
    p99_s: float | None


@dataclass(frozen=True, slots=True)
class Figures:
    """`intake_per_s` is what leaves the nodes without inputs, `outcome_per_s` what reaches those without outputs."""

    job: str
    pipeline: str
    status: str
    elapsed_s: float
    edges: tuple[EdgeFigures, ...]
    nodes: tuple[NodeFigures, ...]
    flows: tuple[FlowFigures, ...]
    intake_per_s: float
    outcome_per_s: float


class History:
    """The snapshots of the last `span_s` seconds: rates are taken over them, so that a late report does not show."""

    def __init__(self, span_s: float) -> None:
        self._span_s = span_s
        self._snapshots: deque[JobSnapshot] = deque()

    def add(self, snapshot: JobSnapshot) -> None:
        kept = self._snapshots
        kept.append(snapshot)
        while len(kept) > 2 and kept[1].elapsed_s <= snapshot.elapsed_s - self._span_s:
            kept.popleft()

    def figures(self) -> Figures:
        """Of the newest snapshot, against the oldest kept. At least one must have been added."""
        return figures(self._snapshots[0], self._snapshots[-1])


def figures(earlier: JobSnapshot | None, later: JobSnapshot) -> Figures:
    """Rates and latencies are of the time between the two; of the whole job so far without an `earlier` one.

    Nodes, edges and flows are those of the later one.
    """
    plan = later.plan
    if earlier is None:
        earlier = dataclasses.replace(later, elapsed_s=0.0, samples={})
    span_s = later.elapsed_s - earlier.elapsed_s
    edges = tuple(_edge(source, target, earlier, later, span_s) for source, target in plan.edges())
    sources = {name for name, node in plan.nodes.items() if not node.inputs}
    sinks = {name for name, node in plan.nodes.items() if not node.outputs}
    return Figures(
        job=later.job,
        pipeline=later.pipeline,
        status=str(later.status),
        elapsed_s=later.elapsed_s,
        edges=edges,
        nodes=tuple(_node(plan, name, earlier, later, span_s) for name in plan.nodes),
        flows=tuple(_flow(flow, earlier, later) for flow in plan.routes.flows()),
        intake_per_s=sum(edge.sent_per_s for edge in edges if edge.source in sources),
        outcome_per_s=sum(edge.sent_per_s for edge in edges if edge.target in sinks),
    )


def _edge(source: str, target: str, earlier: JobSnapshot, later: JobSnapshot, span_s: float) -> EdgeFigures:
    then = {instance: edge.sent for instance, edge in _edge_samples(earlier, source, target)}
    now = dict(_edge_samples(later, source, target))
    sent = sum(_growth(edge.sent, then.get(instance, 0)) for instance, edge in now.items())
    return EdgeFigures(
        source=source,
        target=target,
        sent_per_s=_rate(sent, span_s),
        backlog_messages=sum(edge.backlog_messages for edge in now.values()),
        backlog_bytes=sum(edge.backlog_bytes for edge in now.values()),
        in_flight=sum(edge.in_flight for edge in now.values()),
        dropped=sum(sum(edge.dropped.values()) for edge in now.values()),
        dead_lettered=sum(edge.dead_lettered for edge in now.values()),
        redelivered=sum(edge.redelivered for edge in now.values()),
    )


def _edge_samples(snapshot: JobSnapshot, source: str, target: str) -> Iterator[tuple[str, EdgeSample]]:
    for instance, sample in snapshot.samples.items():
        if sample.node == source:
            for edge in sample.edges:
                if edge.target == target:
                    yield instance, edge


def _node(plan: Plan, node: str, earlier: JobSnapshot, later: JobSnapshot, span_s: float) -> NodeFigures:
    received, busy_s, failed = 0.0, 0.0, 0
    samples = [(instance, sample) for instance, sample in later.samples.items() if sample.node == node]
    for instance, sample in samples:
        then = earlier.samples.get(instance)
        received += _growth(sample.received, then.received if then else 0)
        busy_s += _growth(sample.busy_s, then.busy_s if then else 0.0)
        failed += sample.failed
    return NodeFigures(
        node=node,
        role=str(plan.nodes[node].role),
        states=Counter(state for instance, state in later.instances.items() if node_of(instance) == node),
        received_per_s=_rate(received, span_s),
        busy=min(1.0, _rate(busy_s, span_s) / max(1, len(samples))),
        failed=failed,
        restarts=later.restarts.get(node, 0),
    )


def _flow(flow: str, earlier: JobSnapshot, later: JobSnapshot) -> FlowFigures:
    """Latencies of the span; of the whole job where nothing ended in the span."""
    recent = merged(
        difference(histogram, _end_to_end(earlier.samples.get(instance), flow))
        for instance, sample in later.samples.items()
        if (histogram := _end_to_end(sample, flow)) is not None
    )
    if recent is not None and recent.count == 0:
        recent = merged(h for sample in later.samples.values() if (h := _end_to_end(sample, flow)) is not None)
    if recent is None:
        return FlowFigures(flow, None, None)
    return FlowFigures(flow, quantile(recent, 0.5), quantile(recent, 0.99))


def _end_to_end(sample: InstanceSample | None, flow: str) -> HistogramSample | None:
    return sample.end_to_end.get(flow) if sample else None


def node_of(instance: str) -> str:
    """Instances are named `<node>-<index>`."""
    return instance.rpartition("-")[0]


def _growth(later: float, earlier: float) -> float:
    """A counter that went back belongs to a new life of the instance and is taken whole."""
    return later - earlier if later >= earlier else later


def _rate(amount: float, span_s: float) -> float:
    return amount / span_s if span_s > 0 else 0.0
