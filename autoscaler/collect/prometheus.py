"""Metrics from a Prometheus server, or whatever speaks its API: the samples of the last window, by one range query.

A range selector gives samples as they were scraped, with their own times; a query with a step would repeat the last one
for five minutes, so that an instance that is silent looked alive. Names and jobs are selected in one query: the window
of all metrics is then of one moment, and a pass costs one request.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from math import ceil, isfinite
from typing import Any

from autoscaler.collect.base import Histories, Reading
from autoscaler.collect.seasons import Seasons
from autoscaler.collect.series import NAMES, Scrapes, complaint
from autoscaler.collect.web import OPEN, Access, ask, check_address
from autoscaler.collect.windows import Windows
from streamer.errors import MetricsError

_JSON = "application/json"


class Prometheus:
    """Reads the last `span_s` seconds from the server at `url`, and the last two seasons if there is one. Raises
    MetricsError if that is no address."""

    def __init__(self, url: str, access: Access = OPEN, *, span_s: float, season_s: float | None = None) -> None:
        self._url = check_address(url)
        self._access = access
        self._span_s = span_s
        self._seasons = None if season_s is None else Seasons(season_s, self._steps)

    def read(self, jobs: Sequence[str], now: float) -> Reading:
        if not jobs:
            return Reading()
        scrapes = Scrapes()
        for series in self._series(jobs, now):
            self._add(scrapes, series)
        windows = Windows(self._span_s)
        for (job, instance), point in scrapes.points():
            windows.add(job, instance, point)
        known = {job: windows.of(job) for job in jobs}
        found = {job: points for job, points in known.items() if points is not None}
        histories, no_history = self._histories(jobs, now)
        failures = (self._unknown(jobs, scrapes), complaint(scrapes), no_history)
        return Reading(found, histories, failure="; ".join(filter(None, failures)))

    def _histories(self, jobs: Sequence[str], now: float) -> tuple[Histories, str]:
        """And why they are missing: what is known of now counts without them."""
        if self._seasons is None:
            return {}, ""
        try:
            return self._seasons.read(jobs, now), ""
        except MetricsError as error:
            failure = error
        except (ValueError, KeyError, TypeError) as error:
            failure = self._strange(error)
        return {}, f"nothing is forecast by season: {failure}"

    def _series(self, jobs: Sequence[str], now: float) -> Sequence[Mapping[str, Any]]:
        names, ids = "|".join(NAMES), "|".join(map(re.escape, jobs))
        selector = f'{{__name__=~"{names}",job=~{json.dumps(ids)}}}[{ceil(self._span_s)}s]'
        return self._matrix("query", {"query": selector, "time": f"{now:.3f}"})

    def _steps(self, form: dict[str, str]) -> Sequence[Mapping[str, Any]]:
        return self._matrix("query_range", form)

    def _matrix(self, verb: str, form: dict[str, str]) -> Sequence[Mapping[str, Any]]:
        body = ask(f"{self._url}/api/v1/{verb}", _JSON, self._access, form)
        try:
            answer = json.loads(body)
            if answer["status"] != "success" or answer["data"]["resultType"] != "matrix":
                raise ValueError(f"it says {answer.get('error') or answer['status']}")
            result: list[dict[str, Any]] = answer["data"]["result"]
        except (ValueError, KeyError, TypeError) as error:
            raise self._strange(error) from error
        return result

    def _add(self, scrapes: Scrapes, series: Mapping[str, Any]) -> None:
        try:
            labels = series["metric"]
            for at, value in series["values"]:
                if isfinite(number := float(value)):
                    scrapes.add(labels["__name__"], labels, float(at), number)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._strange(error) from error

    def _strange(self, error: Exception) -> MetricsError:
        return MetricsError(
            f"{self._url} does not answer as Prometheus does: {error}",
            remedy="Give the address of a server with Prometheus' API, up to and without /api/v1.",
        )

    def _unknown(self, jobs: Sequence[str], scrapes: Scrapes) -> str:
        """Jobs that the server has never heard of, or not by their names."""
        unknown = [job for job in jobs if job not in scrapes.jobs]
        if not unknown:
            return ""
        return (
            f"Prometheus at {self._url} has no series of job {', '.join(unknown)} in the last {self._span_s:g} s: "
            "let it scrape the targets of the job's /sd, with honor_labels: true"
        )
