"""HKube's rule: replicas for what waits and for what arrives in 30 seconds, each handled in one round trip.

Restated from its worker (streaming auto-scaling): a window of 20 s, a look every 10 s, at most ten replicas more at
once, and half a minute between one direction and the other. It is given the true rate of a replica for the inverse of
the round trip, which is kinder than a round trip with its waits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from autoscaler.simulation.world import World

_HORIZON_S = 30
_WINDOW_S = 20
_MORE_AT_ONCE = 10
_BETWEEN_DIRECTIONS_S = 30


class HKube:
    period_s = 10
    pause_s = 0

    def __init__(self) -> None:
        self._up: dict[str, int] = {}
        self._down: dict[str, int] = {}

    def decide(self, world: World) -> Mapping[str, int]:
        wanted: dict[str, int] = {}
        for state in world.scaled:
            rate = (state.stage.rate or 0.0) * world.mu_error
            arriving = state.mean(state.arrived, _WINDOW_S)
            size = math.ceil((state.queue + arriving * _HORIZON_S) / (_HORIZON_S * rate))
            name, now = state.name, world.now
            if size > state.held and now - self._down.get(name, -1000) > _BETWEEN_DIRECTIONS_S:
                wanted[name] = min(size, state.held + _MORE_AT_ONCE)
                self._up[name] = now
            elif (
                size < state.held
                and state.queue <= arriving
                and now - self._up.get(name, -1000) > _BETWEEN_DIRECTIONS_S
            ):
                wanted[name] = size
                self._down[name] = now
        return wanted
