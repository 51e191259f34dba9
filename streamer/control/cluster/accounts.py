"""The account of a job whose instances are on several machines: from what their agents have reported.

A page lies on the disk of its machine, so an agent tells what is in it: with the samples of a life while that goes on,
and once more when it is over. An instance that went on elsewhere has a page on each machine; what the older one had in
flight is abandoned there, as it is when a page is opened again by a successor. Machines that share a folder have one
page of it, which goes on: of what they say, that counts which has come furthest.
"""

from __future__ import annotations

from collections.abc import Mapping

from streamer.control.cluster.wire import JobReport
from streamer.control.state import JobState
from streamer.metrics.samples import InstanceSample
from streamer.protocol.account import DROP_REASONS, EdgeCounts, InstanceAccount


class Pages:
    """What is known of the pages of one job, by agent and instance."""

    def __init__(self) -> None:
        self._pages: dict[tuple[str, str], InstanceAccount | InstanceSample] = {}
        self._homes: dict[str, str] = {}

    def take(self, report: JobReport) -> None:
        """Samples first: of a life that is over, the page has the last word."""
        self._homes[report.agent] = report.home or report.agent
        for sample in report.samples:
            self._pages[report.agent, sample.instance] = sample
        for left in report.left:
            if left.account is not None:
                self._pages[report.agent, left.exit.instance] = left.account

    def of(self, state: JobState) -> Mapping[str, InstanceAccount]:
        """One page for each instance."""
        found: dict[str, InstanceAccount] = {}
        for (home, instance), part in self._furthest().items():
            record = state.instances.get(instance)
            if record is None:
                continue
            if self._homes.get(record.agent) != home:
                part.recover()
            found[instance] = _sum(found[instance], part) if instance in found else part
        return found

    def _furthest(self) -> Mapping[tuple[str, str], InstanceAccount]:
        """The page of each instance in each home."""
        found: dict[tuple[str, str], InstanceAccount] = {}
        for (agent, instance), page in self._pages.items():
            part = _of_sample(page) if isinstance(page, InstanceSample) else _copy(page)
            key = self._homes[agent], instance
            if key not in found or _progress(part) >= _progress(found[key]):
                found[key] = part
        return found


def _progress(page: InstanceAccount) -> int:
    """None of these ever becomes less in one page."""
    return page.received + page.completed + sum(edge.sent + edge.settled for edge in page.edges)


def _of_sample(sample: InstanceSample) -> InstanceAccount:
    edges = [
        EdgeCounts(
            edge.target,
            edge.sent,
            edge.settled,
            edge.dead_lettered,
            edge.abandoned,
            edge.in_flight,
            edge.redelivered,
            [edge.dropped.get(reason, 0) for reason in DROP_REASONS],
        )
        for edge in sample.edges
    ]
    return InstanceAccount(sample.received, sample.failed, sample.completed, edges=edges)


def _copy(page: InstanceAccount) -> InstanceAccount:
    return _sum(InstanceAccount(), page)


def _sum(one: InstanceAccount, other: InstanceAccount) -> InstanceAccount:
    total = InstanceAccount(one.received + other.received, one.failed + other.failed, one.completed + other.completed)
    for page in (one, other):
        for counts in page.edges:
            edge = total.edge(counts.target)
            edge.sent += counts.sent
            edge.settled += counts.settled
            edge.dead_lettered += counts.dead_lettered
            edge.abandoned += counts.abandoned
            edge.in_flight += counts.in_flight
            edge.redelivered += counts.redelivered
            edge.drops = [a + b for a, b in zip(edge.drops, counts.drops, strict=True)]
    return total
