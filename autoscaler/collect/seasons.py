"""What sources took in during the last two seasons, out of the history that a Prometheus server keeps.

A forecast by season compares whole seasons, which no process here lives long enough to have seen. Rates of steps come
from a query with a step, and are asked for anew only when a step has passed: between two steps nothing new is known.
A step is never shorter than half a minute, so that `rate` has its samples in each; a long season has long ones, of
which a server gives thousands at once. A step without samples is unknown, and a forecast then does without it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any

from autoscaler.collect.base import Histories
from autoscaler.snapshot import History

_STEP_S_LEAST = 30.0
_STEPS_MOST = 2000
"""In a season: two of them are below the 11,000 points of a series that Prometheus gives at most."""


class Seasons:
    """`ask` gives the series of a query of steps: its form is that of `/api/v1/query_range`. It raises MetricsError."""

    def __init__(self, season_s: float, ask: Callable[[dict[str, str]], Sequence[Mapping[str, Any]]]) -> None:
        steps = max(1, min(_STEPS_MOST, int(season_s / _STEP_S_LEAST)))
        self._step_s = season_s / steps
        self._count = 2 * steps
        self._ask = ask
        self._asked: tuple[frozenset[str], float] | None = None
        self._known: Histories = {}

    def read(self, jobs: Sequence[str], now: float) -> Histories:
        """What is known of the sources of these jobs. Raises MetricsError, and asks again at the next step."""
        asked = frozenset(jobs)
        if self._asked is None or self._asked[0] != asked or not 0 <= now - self._asked[1] < self._step_s:
            self._asked = asked, now
            self._known = {}
            self._known = self._histories(asked, now)
        return self._known

    def _histories(self, jobs: frozenset[str], now: float) -> Histories:
        begin = now - (self._count - 1) * self._step_s
        ids = "|".join(map(re.escape, sorted(jobs)))
        counted = f"streamer_messages_received_total{{job=~{json.dumps(ids)}}}[{self._step_s:.0f}s]"
        form = {
            "query": f"sum by (job, node) (rate({counted}))",
            "start": f"{begin:.3f}",
            "end": f"{now:.3f}",
            "step": f"{self._step_s:.3f}",
        }
        found: dict[str, dict[str, History]] = {}
        for series in self._ask(form):
            rates: list[float | None] = [None] * self._count
            for at, value in series["values"]:
                step = round((float(at) - begin) / self._step_s)
                if 0 <= step < self._count and isfinite(rate := float(value)):
                    rates[step] = rate
            labels = series["metric"]
            found.setdefault(labels["job"], {})[labels["node"]] = History(self._step_s, tuple(rates))
        return found
