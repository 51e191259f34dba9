"""The autoscaler inside the process that supervises a job: its samples at hand, its decisions told directly.

It needs no server and no way over the network, so a job on a laptop has the same autoscaler as one on a cluster. It
takes no thread: whoever serves the job looks in between two polls, and a pass costs a millisecond.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from prometheus_client import Metric

from autoscaler.collect.at_hand import AtHand
from autoscaler.collect.jobs import span_s
from autoscaler.decision import Decision
from autoscaler.loop import Autoscaler
from autoscaler.settings import DEFAULT, Settings
from streamer import clock
from streamer.control.jobs import JobSnapshot
from streamer.descriptor.resources import Capacity
from streamer.log.base import Entry, Record
from streamer.log.topics import Topic


class Host(Protocol):
    """Who runs the job."""

    def decide(self, node: str, replicas: int) -> None:
        """Have the controller know what was decided."""

    def records(self, topic: Topic) -> Iterable[Record]:
        """What the control log has of the job."""

    def write(self, entries: Sequence[Entry]) -> None:
        """Append to the control log."""


class EmbeddedAutoscaler:
    """Scales the job of `host`; it is shown each snapshot of it."""

    def __init__(
        self, host: Host, capacity: Capacity, tell: Callable[[str], None], settings: Settings = DEFAULT
    ) -> None:
        self._at_hand = AtHand(span_s(settings))
        self._one = _OneJob(host)
        self._loop = Autoscaler(
            self._one, self._at_hand, capacity, settings=settings, clock=clock.now, wall=clock.wall, tell=tell
        )

    def look(self, snapshot: JobSnapshot) -> None:
        """The job as it is now."""
        self._one.snapshot = snapshot
        self._at_hand.note(snapshot, clock.wall())
        self._loop.look()

    def metrics(self) -> tuple[Metric, ...]:
        return tuple(self._loop.instruments.families())


class _OneJob:
    def __init__(self, host: Host) -> None:
        self._host = host
        self.snapshot: JobSnapshot | None = None

    def jobs(self) -> Sequence[JobSnapshot]:
        return () if self.snapshot is None else (self.snapshot,)

    def decisions(self, job: str) -> Iterable[Record]:  # noqa: ARG002  # there is but one
        return self._host.records(Topic.DECISIONS)

    def carry_out(self, decision: Decision) -> None:
        self._host.decide(decision.node, decision.wanted)

    def write(self, entries: Sequence[Entry]) -> None:
        self._host.write(entries)
