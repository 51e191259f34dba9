"""What the autoscaler tells of itself to Prometheus: what it decides and why, and whether it can.

It is made anew from the last plan at each scrape; only what adds up is counted. `reason` is the guard that decided, or
what the decision follows: `load`, where none had to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Metric, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, SummaryMetricFamily
from prometheus_client.registry import Collector

from autoscaler.decision import Decision, ScalingPlan
from streamer.errors import PortError

_NODE = ("job", "node")
_LOAD = "load"
_ADDRESS = "127.0.0.1"
_GAUGES: tuple[tuple[str, str, Callable[[Decision], float | None]], ...] = (
    ("autoscaler_replicas_wanted", "Replicas that the node is to have.", lambda d: d.wanted),
    ("autoscaler_replicas_recommended", "Replicas by the formula, before guards and bounds.", lambda d: d.recommended),
    ("autoscaler_replicas_short", "Replicas that the platform has no room for.", lambda d: d.short),
    ("autoscaler_demand_messages_per_second", "What comes to the node, or would.", lambda d: d.inputs.demand),
    ("autoscaler_true_rate_messages_per_second", "Messages of a replica's busy second.", lambda d: d.inputs.true_rate),
    (
        "autoscaler_utilisation_ratio",
        "Demand over what the replicas can do.",
        lambda d: d.inputs.utilisation,
    ),
    ("autoscaler_backlog_seconds", "Time that ready replicas need for what waits.", lambda d: d.inputs.backlog_s),
)


class Instruments:
    """Counts passes, and keeps the last plan."""

    def __init__(self) -> None:
        self._decisions: Counter[tuple[str, str, str, str]] = Counter()
        self._failures = Counter({"metrics": 0, "platform": 0, "defect": 0})
        self._passes = 0
        self._passed_s = 0.0
        self._plan = ScalingPlan(0.0)

    def passed(self, plan: ScalingPlan, took_s: float) -> None:
        self._plan = plan
        self._passes += 1
        self._passed_s += took_s
        for one in plan.decisions:
            self._decisions[one.job, one.node, str(one.action), str(one.guard or _LOAD)] += 1

    def failed(self, kind: str) -> None:
        """A pass without metrics, a platform that was not reached, or a pass that a defect of ours has ended."""
        self._failures[kind] += 1

    def families(self) -> Iterator[Metric]:
        decisions = CounterMetricFamily(
            "autoscaler_decisions", "Decisions, those for no change included.", labels=(*_NODE, "action", "reason")
        )
        for labels, count in self._decisions.items():
            decisions.add_metric(labels, count)
        failures = CounterMetricFamily("autoscaler_failures", "What a pass could not do, by kind.", labels=("kind",))
        for kind, count in self._failures.items():
            failures.add_metric((kind,), count)
        passes = SummaryMetricFamily("autoscaler_pass_seconds", "Time of a pass.", self._passes, self._passed_s)
        last = GaugeMetricFamily("autoscaler_last_pass_timestamp_seconds", "When the last pass was.", self._plan.at)
        yield from (decisions, failures, passes, last)
        for name, text, value in _GAUGES:
            gauge = GaugeMetricFamily(name, text, labels=_NODE)
            for one in self._plan.decisions:
                if (number := value(one)) is not None:
                    gauge.add_metric((one.job, one.node), number)
            yield gauge


class _Shown(Collector):
    def __init__(self, instruments: Instruments) -> None:
        self._instruments = instruments

    def collect(self) -> Iterable[Metric]:
        return self._instruments.families()


@contextmanager
def shown(instruments: Instruments, port: int) -> Iterator[str]:
    """The address at which these are served, on loopback; `port` 0 chooses a free one. Raises PortError."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Shown(instruments))
    try:
        server, thread = start_http_server(port, _ADDRESS, registry)
    except (OSError, OverflowError) as error:
        raise PortError(f"metrics cannot be served at {_ADDRESS}:{port}: {error}") from error
    try:
        yield f"http://{_ADDRESS}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
