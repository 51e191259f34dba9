"""The Horizontal Pod Autoscaler of Kubernetes on CPU at 70 %: replicas in proportion to how busy they are.

Restated from its documentation: every 15 s, nothing within 10 % of the target, at most twice as many (or four more) in
15 s, and down to the largest recommendation of five minutes. KEDA hands its metrics to it and has the same behaviour.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from autoscaler.simulation.rules.window import Highest
from autoscaler.simulation.world import StageState, World

_TARGET = 0.7
_TOLERANCE = 0.1
_DOWN_S = 300
_MORE_AT_LEAST = 4
_WINDOW_S = 30


class Hpa:
    period_s = 15
    pause_s = 0

    def __init__(self) -> None:
        self._highest: dict[str, Highest] = {}

    def decide(self, world: World) -> Mapping[str, int]:
        wanted: dict[str, int] = {}
        for state in world.scaled:
            held = state.held
            replicas, ratio = self.recommend(state, world)
            size = held if abs(ratio - 1.0) <= _TOLERANCE else max(1, replicas)
            highest = self._highest.setdefault(state.name, Highest(_DOWN_S)).add(world.now, size)
            if size > held:
                wanted[state.name] = min(size, held + max(_MORE_AT_LEAST, held))
            elif size < held:
                wanted[state.name] = min(held, highest)
        return wanted

    def recommend(self, state: StageState, world: World) -> tuple[int, float]:  # noqa: ARG002 - KEDA looks at it
        """Replicas, and the metric over its target."""
        ratio = state.mean(state.busy, _WINDOW_S) / max(1, state.ready) / _TARGET
        return math.ceil(state.ready * ratio), ratio
