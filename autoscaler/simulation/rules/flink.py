"""The autoscaler of the Flink Kubernetes operator with its defaults: capacity for the rate, the lag and the restart.

Capacity(U) = lag / catchUp + rate * restart / catchUp + rate / U, with U = 0.7, 30 minutes to catch up and 5 minutes of
restart; windows of 15 minutes, 5 minutes of stabilisation, down to the largest recommendation of an hour, and nothing
between 40 % and full use. Every change stops the job for half a minute.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from autoscaler.simulation.rules.true_rates import TrueRates
from autoscaler.simulation.rules.window import Highest
from autoscaler.simulation.world import World

_WINDOW_S = 900
_STABILISATION_S = 300
_DOWN_S = 3600
_CATCH_UP_S = 1800.0
_RESTART_S = 300.0
_TARGET = 0.7
_LOWEST, _HIGHEST = 0.4, 1.0


class Flink:
    period_s = 60
    pause_s = 30

    def __init__(self) -> None:
        self._rates = TrueRates()
        self._highest: dict[str, Highest] = {}
        self._changed_at = 0

    def decide(self, world: World) -> Mapping[str, int]:
        since = world.now - self._changed_at
        if since < _STABILISATION_S or world.now < _WINDOW_S:
            return {}
        wanted: dict[str, int] = {}
        lag_rate = 0.0
        for state, demand, rate in self._rates.look(world, min(_WINDOW_S, since)):
            lag_rate += state.queue / _CATCH_UP_S
            needed = lag_rate + demand * _RESTART_S / _CATCH_UP_S + demand / _TARGET
            size = max(1, math.ceil(needed / rate))
            highest = self._highest.setdefault(state.name, Highest(_DOWN_S)).add(world.now, size)
            use = (demand + lag_rate) / (state.held * rate)
            if size > state.held and use > _HIGHEST:
                wanted[state.name] = size
            elif size < state.held and use < _LOWEST and highest < state.held and world.now >= _DOWN_S:
                wanted[state.name] = highest
        if any(size != world.by_name[name].held for name, size in wanted.items()):
            self._changed_at = world.now
        return wanted
