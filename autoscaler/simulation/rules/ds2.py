"""DS2 as published (Kalavri et al., OSDI 2018): replicas for the demand at their true rate, every ten seconds.

There is no term for what waits and no head room: the paper's jobs catch up because rounding leaves them some.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from autoscaler.simulation.rules.true_rates import TrueRates
from autoscaler.simulation.world import World

_WINDOW_S = 10


class Ds2:
    period_s = 10
    pause_s = 0

    def __init__(self) -> None:
        self._rates = TrueRates()

    def decide(self, world: World) -> Mapping[str, int]:
        return {
            state.name: max(1, math.ceil(demand / rate)) for state, demand, rate in self._rates.look(world, _WINDOW_S)
        }
