"""A metrics server, and the instances' own pages for as long as it does not answer.

The pages are read in each pass, so that their window is full when it is needed. What they say is marked: direct
counters may justify more replicas, never fewer, as nobody knows what else the server would have told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from autoscaler.collect.base import MetricsSource, Reading
from streamer.errors import MetricsError


class WithFallback:
    def __init__(self, server: MetricsSource, pages: MetricsSource) -> None:
        self._server = server
        self._pages = pages

    def read(self, jobs: Sequence[str], now: float) -> Reading:
        direct = self._pages.read(jobs, now)
        try:
            return self._server.read(jobs, now)
        except MetricsError as error:
            failure = f"{error}; what instances say themselves may add replicas, and takes none away. {error.advice}"
            return replace(direct, fallback=True, failure=failure)
