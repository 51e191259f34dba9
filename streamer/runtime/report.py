"""What an instance tells of its edges and arrivals: to the controller as samples, to user code in HKube's form.

They are views of the same counters, taken under the instance's lock by whoever asks. They stand apart from the loop,
which only counts.
"""

from __future__ import annotations

from typing import Any

from streamer.clock import Clock
from streamer.metrics.instruments import Histogram
from streamer.metrics.samples import LATENCY_BOUNDS_S, EdgeSample, HistogramSample
from streamer.plan.routing import RouteTable
from streamer.protocol.session import InputFrame
from streamer.runtime.outbox import Outbox


def edge_samples(outbox: Outbox) -> tuple[EdgeSample, ...]:
    return tuple(
        EdgeSample(
            target=edge.target,
            sent=edge.counts.sent,
            settled=edge.counts.settled,
            dead_lettered=edge.counts.dead_lettered,
            dropped=dict(edge.counts.dropped),
            abandoned=edge.counts.abandoned,
            in_flight=edge.counts.in_flight,
            redelivered=edge.counts.redelivered,
            backlog_messages=edge.pending_messages,
            backlog_bytes=edge.pending_bytes,
            credit_messages=outbox.credit(edge),
        )
        for edge in outbox.edges
    )


def statistics(outbox: Outbox, handler: Histogram) -> list[dict[str, Any]]:
    """HKube's statistics of each next node, durations in milliseconds."""
    handled = handler.sample()
    mean_ms = 1000.0 * handled.total / max(1, handled.count)
    return [
        {
            "nodeName": edge.target,
            "sent": edge.counts.sent,
            "queueSize": edge.pending_messages,
            "netDurations": [],
            "durations": [mean_ms],
            "queueDurations": [],
            "responses": edge.counts.settled,
            "dropped": sum(edge.counts.drops),
        }
        for edge in outbox.edges
    ]


class Arrivals:
    """How long messages took from their roots to the ends of their flows, by flow."""

    def __init__(self, routes: RouteTable, wall: Clock) -> None:
        self._routes = routes.routes
        self._wall = wall
        self._by_flow: dict[str, Histogram] = {}

    def observe(self, frame: InputFrame) -> None:
        """The messages of this frame have reached the end of their flow."""
        wall = self._wall()
        for segment in frame.segments:
            flow = self._routes[segment.route].flow
            histogram = self._by_flow.get(flow)
            if histogram is None:
                histogram = self._by_flow[flow] = Histogram(LATENCY_BOUNDS_S)
            histogram.observe(max(0.0, wall - segment.time_us / 1e6), len(segment))

    def samples(self) -> dict[str, HistogramSample]:
        return {flow: histogram.sample() for flow, histogram in list(self._by_flow.items())}
