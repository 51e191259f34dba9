"""What an instance tells of itself: to the controller as samples, to user code in HKube's form.

They are views of the same counters, taken under the instance's lock by whoever asks. They stand apart from the loop,
which only counts. Which versions of the flows are held is not counted but looked up, since it is asked for only while
there are several.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from streamer.clock import Clock
from streamer.metrics.instruments import Histogram
from streamer.metrics.samples import LATENCY_BOUNDS_S, EdgeSample, HistogramSample, InstanceSample, InstanceState
from streamer.protocol.account import EdgeCounts
from streamer.protocol.input_frame import InputFrame
from streamer.runtime.outbox import Outbox
from streamer.runtime.outlets import Outlet
from streamer.runtime.stage import Stage

if TYPE_CHECKING:
    # It asks for its sample here.
    from streamer.runtime.instance import Instance


Facts = tuple[InstanceState, str, bool, int, int, int]
Progress = tuple[int, int, int, bool, int]


def facts_of(instance: Instance) -> Facts:
    """What of an instance a controller waits for: a change of it is told at once. Under its lock.

    Its state, where its edges are bound, whether all is quiet, the wiring that it knows, the oldest version held, and
    by which owners of keys it goes.
    """
    i = instance
    return _state(i), i.endpoint, _quiet(i), i.wiring.number, oldest_version(i), i.handover.owned.epoch


def progress_of(instance: Instance) -> Progress | None:
    """What stays the same while nothing happens; None while anything is under way, and grows older. Under its lock."""
    i = instance
    if i.inbox.unsettled or any(edge.in_flight for edge in i.account.edges):
        return None
    return i.taken, i.account.failed, i.account.completed, i.work.exhausted, sum(e.sent for e in i.account.edges)


def sample_of(instance: Instance) -> InstanceSample:
    """This instance now. Under its lock."""
    i, now = instance, instance.now()
    oldest = i.inbox.oldest()
    return InstanceSample(
        instance=i.assignment.instance,
        node=i.assignment.node,
        epoch=i.assignment.epoch,
        state=_state(i),
        endpoint=i.endpoint,
        address=i.address,
        wiring=i.wiring.number,
        oldest_version=oldest_version(i),
        version=i.exits.version,
        newest_version=i.wiring.tables[-1].version,
        ownership=i.handover.owned.epoch,
        received=i.account.received,
        failed=i.account.failed,
        completed=i.completed,
        quiet=_quiet(i),
        exhausted=i.work.exhausted,
        unread=i.work.unread,
        busy_s=i.busy_s,
        oldest_unsettled_s=0.0 if oldest is None else max(0.0, now - oldest),
        last_error=i.failures.last_error,
        edges=edge_samples(i.account.edges, i.outbox),
        handler=i.handler_seconds.sample(),
        queue_wait=i.queue_wait.sample(),
        end_to_end=i.arrivals.samples(),
    )


def _state(instance: Instance) -> InstanceState:
    if instance.stage is Stage.ENDED and not instance.renewing:
        return InstanceState.ENDED
    if instance.stage is not Stage.RUNNING:
        return InstanceState.DRAINING
    return InstanceState.RUNNING if instance.met else InstanceState.STARTING


def _quiet(instance: Instance) -> bool:
    """Input from outside the cycle has ended and nothing is unsettled: see `InstanceSample.quiet`."""
    i = instance
    ended = i.inbox.ended(inside=False) and i.inbox.drained and i.inbox.unsettled == 0
    return ended and i.outbox.idle and i.roots.empty and i.later.empty


def versions_held(instance: Instance) -> set[int]:
    """The versions of the flows of which something is unsettled here, or may be sent again. Scans all held."""
    i, exits = instance, instance.exits
    kept = () if i.checkpoints is None else i.checkpoints.held_routes()
    routes = {
        *i.inbox.held_routes(), *i.outbox.held_routes(), *i.roots.held_routes(), *i.later.held_routes(), *kept
    }  # fmt: skip
    held = {exits.version_of(route) for route in routes if exits.flow_of(route)}
    history = i.account.history
    floor = min((edge.counts.roots.floor for edge in i.outbox.edges), default=history.end)
    return held | {version for taken, _, last in history.spans() if last > floor for version in taken.versions}


def oldest_version(instance: Instance) -> int:
    """The oldest version of which anything can come from here."""
    version = instance.exits.version
    if len(instance.exits.versions) == 1:
        return version
    return min(version, *versions_held(instance), version)


def edge_samples(counts: Iterable[EdgeCounts], outbox: Outbox) -> tuple[EdgeSample, ...]:
    """Of all edges that there ever were: a series does not end before its instance."""
    outlets = {outlet.edge.target: outlet for outlet in outbox.outlets}
    return tuple(_edge_sample(one, outlets.get(one.target), outbox) for one in counts)


def _edge_sample(counts: EdgeCounts, outlet: Outlet | None, outbox: Outbox) -> EdgeSample:
    edge = outlet.edge if outlet else None
    return EdgeSample(
        target=counts.target,
        sent=counts.sent,
        settled=counts.settled,
        dead_lettered=counts.dead_lettered,
        dropped=dict(counts.dropped),
        abandoned=counts.abandoned,
        in_flight=counts.in_flight,
        redelivered=counts.redelivered,
        backlog_messages=edge.pending_messages if edge else 0,
        backlog_bytes=edge.pending_bytes if edge else 0,
        credit_messages=outbox.credit(edge) if edge else 0,
        fullness=outlet.edge.queued_bytes / outlet.policy.queue_bytes if outlet else 0.0,
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

    def __init__(self, flow_of: Callable[[int], str], wall: Clock) -> None:
        self._flow_of = flow_of
        self._wall = wall
        self._by_flow: dict[str, Histogram] = {}

    def observe(self, frame: InputFrame) -> None:
        """The messages of this frame have reached the end of their flow."""
        wall = self._wall()
        for segment in frame.segments:
            flow = self._flow_of(segment.route)
            histogram = self._by_flow.get(flow)
            if not flow:
                continue
            if histogram is None:
                histogram = self._by_flow[flow] = Histogram(LATENCY_BOUNDS_S)
            histogram.observe(max(0.0, wall - segment.time_us / 1e6), len(segment))

    def samples(self) -> dict[str, HistogramSample]:
        return {flow: histogram.sample() for flow, histogram in list(self._by_flow.items())}
