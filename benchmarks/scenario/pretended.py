"""Agents of a cluster that run nothing: they say of each instance that it is given what a busy one would say.

All counters of a sample move from one report to the next, as those of a busy job do, so nothing that the controller
saves with idle jobs flatters it. A death is a report like any other, and is answered by the record of the next life.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from streamer.cluster_limits import (
    AGENT_BEAT_S,
    AGENT_REPORT_S,
)
from streamer.control.cluster.wire import Beat, JobReport, Left, beat_entry, report_entry
from streamer.control.events import Exited
from streamer.control.records import InstanceLine, instance_line
from streamer.descriptor.resources import Capacity
from streamer.log.base import ControlLog, Entry
from streamer.log.topics import Topic
from streamer.metrics.samples import (
    HANDLER_BOUNDS_S,
    LATENCY_BOUNDS_S,
    EdgeSample,
    HistogramSample,
    InstanceSample,
    InstanceState,
)

_KILLED = -9
_SETTLED_A_REPORT = 1000
_PORT = 20_000


@dataclass(slots=True)
class _Held:
    """What one agent has of one job: samples of what lives, and the exits of what does not."""

    due: float
    samples: dict[str, InstanceSample] = field(default_factory=dict)
    left: dict[str, Left] = field(default_factory=dict)


class PretendedAgents:
    """`names` are theirs; each takes so many instances. One thread calls it."""

    def __init__(self, log: ControlLog, names: Sequence[str], capacity: int) -> None:
        self.waits_s: list[float] = []
        """From the report of each death until the next life was read in the log."""
        self._log = log
        self._names = names
        self._capacity = Capacity(instances=capacity)
        self._orders = log.follow([Topic.ASSIGNMENTS], log.end([Topic.ASSIGNMENTS]))
        self._held: dict[tuple[str, str], _Held] = {}
        self._died_at: dict[tuple[str, str], float] = {}
        self._beat_at = 0.0

    @property
    def lives(self) -> int:
        return sum(len(held.samples) for held in self._held.values())

    @property
    def dead(self) -> int:
        return len(self._died_at)

    def turn(self) -> None:
        """Take what has come, and say what is due."""
        for record in self._orders.poll(0.01):
            if not record.is_claim and record.key.count("/") == 1:
                self._order(record.scope, instance_line(record), time.monotonic())
        now = time.monotonic()
        entries: list[Entry] = []
        if now - self._beat_at >= AGENT_BEAT_S:
            self._beat_at = now
            entries += [beat_entry(Beat(name, "127.0.0.1", name, self._capacity)) for name in self._names]
        for (agent, job), held in self._held.items():
            if now >= held.due:
                held.due = now + AGENT_REPORT_S
                entries.append(_report(agent, job, held))
        if entries:
            self._log.append_all(entries)

    def kill_one(self, dice: random.Random) -> None:
        """One of all instances, and say so at once."""
        agent, job = dice.choice([key for key, held in self._held.items() if held.samples])
        held = self._held[agent, job]
        instance = dice.choice(list(held.samples))
        epoch = held.samples.pop(instance).epoch
        held.left[instance] = Left(Exited(instance, epoch, _KILLED), None)
        self._died_at[job, instance] = time.monotonic()
        self._log.append_all([_report(agent, job, held)])

    def _order(self, job: str, line: InstanceLine, now: float) -> None:
        if line.agent not in self._names or not line.phase.living:
            return
        held = self._held.setdefault((line.agent, job), _Held(now + random.random() * AGENT_REPORT_S))
        known = held.samples.get(line.instance)
        over = held.left.get(line.instance)
        if (known is None or line.epoch > known.epoch) and (over is None or line.epoch > over.exit.epoch):
            held.samples[line.instance] = _first(line.node, line.instance, line.epoch)
            held.left.pop(line.instance, None)
            died_at = self._died_at.pop((job, line.instance), None)
            if died_at is not None:
                self.waits_s.append(now - died_at)


def _first(node: str, instance: str, epoch: int) -> InstanceSample:
    return InstanceSample(
        instance,
        node,
        epoch,
        InstanceState.RUNNING,
        endpoint=f"tcp://127.0.0.1:{_PORT + hash(instance) % _PORT}",
        wiring=1 << 60,
        edges=(EdgeSample("next"),),
        handler=HistogramSample(HANDLER_BOUNDS_S, (0,) * (len(HANDLER_BOUNDS_S) + 1), 0.0),
        queue_wait=HistogramSample(LATENCY_BOUNDS_S, (0,) * (len(LATENCY_BOUNDS_S) + 1), 0.0),
    )


def _report(agent: str, job: str, held: _Held) -> Entry:
    held.samples = {name: _later(sample) for name, sample in held.samples.items()}
    lives = {name: sample.epoch for name, sample in held.samples.items()}
    return report_entry(job, JobReport(agent, tuple(held.samples.values()), tuple(held.left.values()), lives))


def _later(sample: InstanceSample) -> InstanceSample:
    (edge,) = sample.edges
    sent = edge.sent + _SETTLED_A_REPORT
    return replace(
        sample,
        received=sample.received + _SETTLED_A_REPORT,
        completed=sample.completed + _SETTLED_A_REPORT,
        busy_s=sample.busy_s + AGENT_REPORT_S,
        edges=(replace(edge, sent=sent, settled=sent - 1, in_flight=1, credit_messages=sent % 97),),
        handler=_more(sample.handler),
        queue_wait=_more(sample.queue_wait),
    )


def _more(histogram: HistogramSample | None) -> HistogramSample | None:
    if histogram is None:
        return None
    first, *rest = histogram.counts
    return replace(histogram, counts=(first + _SETTLED_A_REPORT, *rest), total=histogram.total + 0.1)
