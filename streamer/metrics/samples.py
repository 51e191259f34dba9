"""What an instance tells about itself: all that a controller, a live view, Prometheus or an autoscaler ever sees.

A sample is a snapshot of cumulative counters and a few gauges, so a lost one costs nothing, and rates are the reader's
business. It travels as a msgpack map (`to_wire`), about four times a second, beside the data path.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

HANDLER_BOUNDS_S = (0.00001, 0.0001, 0.001, 0.01, 0.1, 1.0, 10.0, 60.0)
LATENCY_BOUNDS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)


class InstanceState(StrEnum):
    """`starting`: not handling yet · `running` · `draining`: intake has ended · `ended`: all settled, about to exit."""

    STARTING = "starting"
    RUNNING = "running"
    DRAINING = "draining"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class HistogramSample:
    """Cumulative histogram: `counts[i]` observations in bucket i (not summed up), the last one beyond all bounds."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float

    @property
    def count(self) -> int:
        return sum(self.counts)


@dataclass(frozen=True, slots=True)
class EdgeSample:
    """The account of one outgoing edge as its producing instance keeps it, and its gauges.

    `fullness` is the part of the edge's queue that is taken: from 1 on a producer that is to wait waits.
    """

    target: str
    sent: int = 0
    settled: int = 0
    dead_lettered: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    abandoned: int = 0
    in_flight: int = 0
    redelivered: int = 0
    backlog_messages: int = 0
    backlog_bytes: int = 0
    credit_messages: int = 0
    fullness: float = 0.0


@dataclass(frozen=True, slots=True)
class InstanceSample:
    """One instance now.

    `completed` counts inputs settled or dead-lettered in this life (for a source: records settled): the progress that
    resets a crash loop. `quiet`: every input from outside this instance's cycle has ended, and nothing that it holds
    or has sent is unsettled. `endpoint` is where its outgoing edges are bound, '' if it has none; `address` is the URL
    at which a gateway takes messages. `wiring` is the number of the newest one that it knows; `oldest_version` is the
    oldest version of the flows of which anything can still come from it, `version` the one in force as far as it knows,
    `newest_version` the newest that it knows, proposed ones included. `ownership` is the epoch of the owners of keys
    by which an instance of a partitioned node goes, whatever else it was told: else 0. `unread` are the records that a
    source has still to read, where its connector can tell.
    """

    instance: str
    node: str
    epoch: int
    state: InstanceState
    endpoint: str = ""
    address: str = ""
    wiring: int = 0
    oldest_version: int = 0
    version: int = 0
    newest_version: int = 0
    ownership: int = 0
    received: int = 0
    failed: int = 0
    completed: int = 0
    quiet: bool = False
    exhausted: bool = False
    unread: int | None = None
    busy_s: float = 0.0
    oldest_unsettled_s: float = 0.0
    last_error: str = ""
    edges: tuple[EdgeSample, ...] = ()
    handler: HistogramSample | None = None
    queue_wait: HistogramSample | None = None
    end_to_end: Mapping[str, HistogramSample] = field(default_factory=dict)

    def to_wire(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_wire(cls, raw: Mapping[str, Any]) -> InstanceSample:
        return cls(
            **{
                **raw,
                "state": InstanceState(raw["state"]),
                "edges": tuple(EdgeSample(**edge) for edge in raw["edges"]),
                "handler": _histogram(raw["handler"]),
                "queue_wait": _histogram(raw["queue_wait"]),
                "end_to_end": {flow: h for flow, r in raw["end_to_end"].items() if (h := _histogram(r)) is not None},
            }
        )


def _histogram(raw: Mapping[str, Any] | None) -> HistogramSample | None:
    if raw is None:
        return None
    return HistogramSample(tuple(raw["bounds"]), tuple(raw["counts"]), raw["total"])
