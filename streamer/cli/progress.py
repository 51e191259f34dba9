"""The progress of a job where nobody watches a terminal: one line every five seconds, for logs.

A line stands for itself, so that a log with other lines between can be read, searched and cut. It sums over edges
and instances: a table every five seconds would bury what algorithms print.
"""

from __future__ import annotations

from collections.abc import Callable

from streamer.cli.durations import format_elapsed, format_latency
from streamer.cli.figures import Figures, History
from streamer.control.jobs import JobSnapshot

INTERVAL_S = 5.0


class ProgressLog:
    """Writes to `write`, a line at a time."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._history = History(INTERVAL_S)
        self._write = write
        self._next_s = INTERVAL_S

    def show(self, snapshot: JobSnapshot) -> None:
        self._history.add(snapshot)
        if snapshot.elapsed_s < self._next_s:
            return
        self._next_s = (snapshot.elapsed_s // INTERVAL_S + 1) * INTERVAL_S
        self._write(progress_line(self._history.figures()))

    def output(self, node: str, instance: str, line: str) -> None:
        self._write(f"{node} {instance} | {line}")

    def notice(self, text: str) -> None:
        self._write(text)

    def close(self) -> None:
        """Every line is written already."""


def progress_line(figures: Figures) -> str:
    edges = figures.edges
    parts = [
        f"{format_elapsed(figures.elapsed_s)} {figures.status}",
        f"in {figures.intake_per_s:,.0f}/s",
        f"out {figures.outcome_per_s:,.0f}/s",
        f"backlog {sum(edge.backlog_messages for edge in edges):,}",
        f"in flight {sum(edge.in_flight for edge in edges):,}",
        f"dropped {sum(edge.dropped for edge in edges):,}",
        f"dead letters {sum(edge.dead_lettered for edge in edges):,}",
        f"redelivered {sum(edge.redelivered for edge in edges):,}",
        f"failed {sum(node.failed for node in figures.nodes):,}",
        f"restarts {sum(node.restarts for node in figures.nodes):,}",
    ]
    latencies = [
        f"{flow.flow} p50 {format_latency(flow.p50_s)} p99 {format_latency(flow.p99_s)}"
        for flow in figures.flows
        if flow.p50_s is not None
    ]
    return "  ".join([*parts, *latencies])
