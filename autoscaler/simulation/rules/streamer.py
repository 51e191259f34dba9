"""Our rule, as it is: the simulated pipeline becomes a snapshot, and `decide` is asked.

The instances of a snapshot count what one replica of the stage has done since it was ready, so that a replica that left
takes its counters along as in a real job. What the disturbance does to metrics is done here, where they are read.
"""

from __future__ import annotations

from collections.abc import Mapping

from autoscaler.decide import decide
from autoscaler.memory import EMPTY
from autoscaler.settings import Settings
from autoscaler.simulation.sight import Sight
from autoscaler.simulation.world import World


class Streamer:
    pause_s = 0

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._memory = EMPTY
        self._sight = Sight(settings)

    @property
    def period_s(self) -> int:
        return max(1, round(self._settings.tick_s))

    def decide(self, world: World) -> Mapping[str, int]:
        snapshot = self._sight.snapshot(world)
        self.plan, self._memory = decide(snapshot, self._memory, snapshot.at, self._settings)
        return {decision.node: decision.wanted for decision in self.plan.changes}
