"""From metrics as Prometheus knows them to points: which series are read, and what each of them fills.

Both adapters that read text of Prometheus meet here. What an instance says is as old as `streamer_report_age_seconds`
tells, however fresh the scrape: without it one that hangs would look like one that has nothing to do. A job whose
series lack a metric that is needed was started by another version; that is told, and what is missing stays unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from autoscaler.collect.points import Point

AGE = "streamer_report_age_seconds"
_INSTANCE = {
    "streamer_messages_received_total": "received",
    "streamer_handler_busy_seconds_total": "busy_s",
    "streamer_oldest_unsettled_seconds": "oldest_unsettled_s",
}
_WHERE_KNOWN = {"streamer_source_unread_messages": "unread"}
"""Of some instances only, whatever their version."""
_EDGE = {
    "streamer_messages_sent_total": "sent",
    "streamer_messages_settled_total": "settled",
    "streamer_edge_backlog_messages": "backlog",
    "streamer_edge_in_flight_messages": "in_flight",
    "streamer_edge_fullness_ratio": "fullness",
}
_VALUES = {**_INSTANCE, **_WHERE_KNOWN}
NAMES = (AGE, *_INSTANCE, *_WHERE_KNOWN, *_EDGE)
"""The metrics that the autoscaler reads."""

Key = tuple[str, str]
"""Job and instance."""


@dataclass(slots=True)
class _Told:
    """One instance as one scrape has it."""

    age_s: float | None = None
    values: dict[str, float] = field(default_factory=dict)
    edges: dict[str, dict[str, float]] = field(default_factory=lambda: {name: {} for name in _EDGE.values()})

    def point(self, at: float) -> Point | None:
        if self.age_s is None:
            return None
        values, edges = self.values, self.edges
        return Point(
            at=at - self.age_s,
            received=values.get("received"),
            busy_s=values.get("busy_s"),
            unread=values.get("unread"),
            oldest_unsettled_s=values.get("oldest_unsettled_s"),
            sent=edges["sent"],
            settled=edges["settled"],
            backlog=edges["backlog"],
            in_flight=edges["in_flight"],
            fullness=edges["fullness"],
        )


class Scrapes:
    """Collects values by instance and moment, and makes points of them."""

    def __init__(self) -> None:
        self._told: dict[Key, dict[float, _Told]] = {}
        self._names: dict[str, set[str]] = {}

    def add(self, name: str, labels: Mapping[str, str], at: float, value: float) -> None:
        """A value of one series. Metrics that are not read, and series of no instance, are passed over."""
        job, instance = labels.get("job", ""), labels.get("instance", "")
        if name not in NAMES or not job or not instance or "node" not in labels:
            return
        self._names.setdefault(job, set()).add(name)
        told = self._told.setdefault((job, instance), {}).setdefault(at, _Told())
        if name == AGE:
            told.age_s = value
        elif name in _VALUES:
            told.values[_VALUES[name]] = value
        else:
            told.edges[_EDGE[name]][labels.get("target", "")] = value

    def points(self) -> Iterable[tuple[Key, Point]]:
        """All that are known, those of an instance the oldest first."""
        for key, by_time in self._told.items():
            for at in sorted(by_time):
                point = by_time[at].point(at)
                if point is not None:
                    yield key, point

    @property
    def jobs(self) -> frozenset[str]:
        return frozenset(self._names)

    def missing(self) -> Mapping[str, tuple[str, ...]]:
        """By job, the metrics of instances that it is told without: those of edges are absent where there are none."""
        needed = (AGE, *_INSTANCE)
        lacking = {}
        for job, names in self._names.items():
            edges = set(_EDGE) if names & set(_EDGE) else set()
            lacking[job] = tuple(name for name in NAMES if name in {*needed, *edges} and name not in names)
        return {job: names for job, names in lacking.items() if names}


def complaint(scrapes: Scrapes) -> str:
    """One line for people about jobs of another version, '' if there are none."""
    return "; ".join(
        f"job {job} is told without {', '.join(names)}: another version runs it, start it anew with this one"
        for job, names in sorted(scrapes.missing().items())
    )
