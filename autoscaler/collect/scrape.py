"""Metrics by reading the pages of the jobs themselves, where there is no Prometheus server, or none that answers.

A page tells only how things are now, so the window is kept here, and a source that has just begun knows no rates yet.
A page that cannot be read leaves its job unknown, and is told; the other jobs are read all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from prometheus_client.parser import text_string_to_metric_families

from autoscaler.collect.base import Reading
from autoscaler.collect.series import Scrapes, complaint
from autoscaler.collect.web import ask
from autoscaler.collect.windows import Windows
from streamer.clock import Clock
from streamer.errors import MetricsError

_TEXT = "text/plain"


class Scraping:
    """`addresses` gives the pages by job; `wall` the time of day, at which a page was read."""

    def __init__(self, addresses: Callable[[], Mapping[str, str]], *, span_s: float, wall: Clock) -> None:
        self._addresses = addresses
        self._windows = Windows(span_s)
        self._wall = wall

    def read(self, jobs: Sequence[str], now: float) -> Reading:
        addresses = self._addresses()
        scrapes, failures = Scrapes(), []
        for job in jobs:
            try:
                if job not in addresses:
                    raise MetricsError(f"job {job} does not say where its metrics are")
                _scrape(addresses[job], scrapes, self._wall)
            except MetricsError as error:
                failures.append(str(error))
        for (job, instance), point in scrapes.points():
            self._windows.add(job, instance, point)
        self._windows.expire(now)
        known = {job: self._windows.of(job) for job in jobs if job in scrapes.jobs}
        found = {job: points for job, points in known.items() if points is not None}
        return Reading(found, failure="; ".join(filter(None, (*failures, complaint(scrapes)))))


def _scrape(url: str, scrapes: Scrapes, wall: Clock) -> None:
    text = ask(url, _TEXT)
    at = wall()
    try:
        for family in text_string_to_metric_families(text.decode()):
            for sample in family.samples:
                scrapes.add(sample.name, sample.labels, at, sample.value)
    except ValueError as error:
        raise MetricsError(f"{url} shows no metrics: {error}") from error
