"""Samples as Prometheus metrics: names, labels and text, made only when somebody asks.

The hot path counts plain integers and knows no names; here they get the names that dashboards and the autoscaler rely
on. Metrics are built from the samples at each scrape instead of being kept in prometheus_client's own counters: a
series then ends by itself when its instance has ended, and zeros are written from the first scrape on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import inf

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from streamer.metrics.samples import EdgeSample, HistogramSample, InstanceSample
from streamer.protocol.account import DROP_REASONS

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_NODE = ("job", "pipeline", "node")
_INSTANCE = (*_NODE, "instance")
_EDGE = (*_INSTANCE, "source", "target")


@dataclass(frozen=True, slots=True)
class Observation:
    """A job at one moment: the last samples of its living instances, and how many of each node there are and should be.

    `replicas` counts the instances of a node by state, `desired` is the number that the plan (or a decision) asks for.
    `ages_s` says how old each sample is. `beside` is what others have to tell of the job.
    """

    job: str
    pipeline: str
    samples: tuple[InstanceSample, ...] = ()
    replicas: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    desired: Mapping[str, int] = field(default_factory=dict)
    ages_s: Mapping[str, float] = field(default_factory=dict)
    beside: tuple[Metric, ...] = ()

    def of_instance(self, instance: str) -> Observation | None:
        """Of it only what one instance tells; None if that does not live."""
        own = tuple(sample for sample in self.samples if sample.instance == instance)
        return Observation(self.job, self.pipeline, own, ages_s=self.ages_s) if own else None

    def later(self, by_s: float) -> Observation:
        """The same when so much time has passed."""
        return replace(self, ages_s={instance: age_s + by_s for instance, age_s in self.ages_s.items()})

    def of_job(self) -> Observation:
        """Of it only what no instance tells."""
        return replace(self, samples=())


def exposition(observation: Observation | None) -> str:
    """The text that a Prometheus server reads; empty where there is nothing to observe yet."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Fixed(list(families(observation)) if observation else []))
    return generate_latest(registry).decode()


def families(observation: Observation) -> Iterator[Metric]:
    yield from _instance_families(observation)
    yield from _edge_families(observation)
    yield from _replica_families(observation)
    yield from observation.beside


class _Fixed(Collector):
    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _instance_families(observation: Observation) -> Iterator[Metric]:
    received = CounterMetricFamily(
        "streamer_messages_received", "Messages that the instance has handled.", labels=_INSTANCE
    )
    busy = CounterMetricFamily(
        "streamer_handler_busy_seconds",
        "Time in the handler, without waiting to send.",
        labels=_INSTANCE,
    )
    oldest = GaugeMetricFamily(
        "streamer_oldest_unsettled_seconds", "Age of the oldest message that is not settled yet.", labels=_INSTANCE
    )
    age = GaugeMetricFamily(
        "streamer_report_age_seconds", "Time since the instance said what the other metrics show.", labels=_INSTANCE
    )
    unread = GaugeMetricFamily(
        "streamer_source_unread_messages",
        "Records that the source has still to read, if it can tell.",
        labels=_INSTANCE,
    )
    handler = HistogramMetricFamily("streamer_handler_seconds", "Time of one handler call.", labels=_INSTANCE)
    wait = HistogramMetricFamily("streamer_queue_wait_seconds", "Time from sending to handling.", labels=_INSTANCE)
    whole = HistogramMetricFamily(
        "streamer_end_to_end_seconds", "Time from the origin of a message to its end.", labels=(*_INSTANCE, "flow")
    )
    for sample in observation.samples:
        labels = _labels(observation, sample)
        received.add_metric(labels, sample.received)
        busy.add_metric(labels, sample.busy_s)
        oldest.add_metric(labels, sample.oldest_unsettled_s)
        if sample.instance in observation.ages_s:
            age.add_metric(labels, observation.ages_s[sample.instance])
        if sample.unread is not None:
            unread.add_metric(labels, sample.unread)
        if sample.handler is not None:
            _add_histogram(handler, labels, sample.handler)
        if sample.queue_wait is not None:
            _add_histogram(wait, labels, sample.queue_wait)
        for flow, histogram in sample.end_to_end.items():
            _add_histogram(whole, (*labels, flow), histogram)
    yield from (received, busy, oldest, age, unread, handler, wait, whole)


_COUNTERS: tuple[tuple[str, str, Callable[[EdgeSample], float]], ...] = (
    ("streamer_messages_sent", "Messages sent over the edge.", lambda edge: edge.sent),
    ("streamer_messages_settled", "Messages of the edge that are settled.", lambda edge: edge.settled),
    ("streamer_messages_dead_lettered", "Messages of the edge in the dead letters.", lambda edge: edge.dead_lettered),
    ("streamer_redeliveries", "Messages of the edge that were sent again.", lambda edge: edge.redelivered),
)
_GAUGES: tuple[tuple[str, str, Callable[[EdgeSample], float]], ...] = (
    (
        "streamer_edge_backlog_messages",
        "Messages waiting to be sent.",
        lambda edge: edge.backlog_messages,
    ),
    ("streamer_edge_backlog_bytes", "Bytes waiting to be sent.", lambda edge: edge.backlog_bytes),
    ("streamer_edge_fullness_ratio", "Part of the edge's queue that is taken.", lambda edge: edge.fullness),
    ("streamer_edge_in_flight_messages", "Messages of the edge that are not settled.", lambda edge: edge.in_flight),
    ("streamer_edge_credit_messages", "Messages that consumers will take at once.", lambda edge: edge.credit_messages),
)


def _edge_families(observation: Observation) -> Iterator[Metric]:
    edges = [
        ((*_labels(observation, sample), sample.node, edge.target), edge)
        for sample in observation.samples
        for edge in sample.edges
    ]
    for name, text, value in _COUNTERS:
        counter = CounterMetricFamily(name, text, labels=_EDGE)
        for labels, edge in edges:
            counter.add_metric(labels, value(edge))
        yield counter
    for name, text, value in _GAUGES:
        gauge = GaugeMetricFamily(name, text, labels=_EDGE)
        for labels, edge in edges:
            gauge.add_metric(labels, value(edge))
        yield gauge
    dropped = CounterMetricFamily(
        "streamer_messages_dropped", "Messages of the edge that were dropped, by reason.", labels=(*_EDGE, "reason")
    )
    for labels, edge in edges:
        for reason, count in {**dict.fromkeys(DROP_REASONS, 0), **edge.dropped}.items():
            dropped.add_metric((*labels, reason), count)
    yield dropped


def _replica_families(observation: Observation) -> Iterator[Metric]:
    replicas = GaugeMetricFamily("streamer_replicas", "Instances of the node, by state.", labels=(*_NODE, "state"))
    desired = GaugeMetricFamily("streamer_replicas_desired", "Instances that the node should have.", labels=_NODE)
    node_labels = (observation.job, observation.pipeline)
    for node, states in observation.replicas.items():
        for state, count in states.items():
            replicas.add_metric((*node_labels, node, state), count)
    for node, count in observation.desired.items():
        desired.add_metric((*node_labels, node), count)
    yield from (replicas, desired)


def _labels(observation: Observation, sample: InstanceSample) -> tuple[str, str, str, str]:
    return (observation.job, observation.pipeline, sample.node, sample.instance)


def _add_histogram(family: HistogramMetricFamily, labels: tuple[str, ...], histogram: HistogramSample) -> None:
    buckets: list[tuple[str, float]] = []
    seen = 0
    for bound, count in zip((*histogram.bounds, inf), histogram.counts, strict=True):
        seen += count
        buckets.append(("+Inf" if bound == inf else str(bound), seen))
    family.add_metric(labels, buckets, histogram.total)
