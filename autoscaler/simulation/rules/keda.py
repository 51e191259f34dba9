"""KEDA with a Prometheus trigger on the rate of arrival, tuned by hand: one replica for 70 % of what one can handle.

It hands a metric and a threshold to the autoscaler of Kubernetes, whose behaviour it has. The threshold is the one that
a person would set who has measured a replica; a trigger on what waits does worse here on both counts.
"""

from __future__ import annotations

import math

from autoscaler.simulation.rules.hpa import Hpa
from autoscaler.simulation.world import StageState, World

_TARGET = 0.7
_WINDOW_S = 60


class Keda(Hpa):
    def recommend(self, state: StageState, world: World) -> tuple[int, float]:
        threshold = _TARGET * (state.stage.rate or 0.0) * world.mu_error
        arriving = state.mean(state.arrived, _WINDOW_S)
        return math.ceil(arriving / threshold), arriving / threshold / max(1, state.held)
