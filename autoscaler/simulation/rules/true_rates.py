"""What DS2 and the Flink operator measure: true rates from busy time, and demand from the sources on.

Both size a whole job in one pass: each node for the rate at which its sources produce, times the selectivities before
it. They differ in windows, in head room and in what they make of what waits.
"""

from __future__ import annotations

from collections.abc import Iterator

from autoscaler.simulation.world import StageState, World

_BUSY_LEAST = 0.02


class TrueRates:
    """The last known rate of a replica of each stage, kept while it is idle."""

    def __init__(self) -> None:
        self._rates: dict[str, float] = {}

    def look(self, world: World, window_s: int) -> Iterator[tuple[StageState, float, float]]:
        """Each stage with its demand and the true rate of one replica, both in messages per second."""
        arriving = sum(source.mean(source.arrived, window_s) for source in world.sources)
        for state in world.scaled:
            handled, busy = state.mean(state.handled, window_s), state.mean(state.busy, window_s)
            if busy > _BUSY_LEAST and handled > 0:
                self._rates[state.name] = handled / busy
            if state.name in self._rates:
                yield state, arriving * state.unit_demand, self._rates[state.name]
