"""What an instance tells of its edges: to the controller as samples, to the user's code in HKube's form.

Both are views of the same counters, taken under the instance's lock by whoever asks. They stand apart from the loop,
which only counts.
"""

from __future__ import annotations

from typing import Any

from streamer.metrics.instruments import Histogram
from streamer.metrics.samples import EdgeSample
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
