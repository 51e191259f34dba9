"""Numaflow's rule: replicas by how long the present rate needs for what waits, two at a time, with a long cool-down.

Restated from its vertex scaler, with its defaults: 20 s to process what waits, a lookback of 120 s, 90 s of cool-down,
two replicas a step, and back-pressure of the next vertex as a reason to shrink.
"""

from __future__ import annotations

from collections.abc import Mapping

from autoscaler.simulation.world import StageState, World

_TARGET_S = 20.0
_LOOKBACK_S = 120
_COOL_DOWN_S = 90
_STEP = 2
_FULL = 0.9
_TARGET_FULLNESS = 0.5


class Numaflow:
    period_s = 30
    pause_s = 0

    def __init__(self) -> None:
        self._last: dict[str, int] = {}

    def decide(self, world: World) -> Mapping[str, int]:
        wanted: dict[str, int] = {}
        for state in world.scaled:
            if state.starting or world.now - self._last.get(state.name, -1000) < _COOL_DOWN_S:
                continue
            size = self._size(state, world)
            if size < state.ready:
                wanted[state.name] = max(size, state.ready - _STEP)
            elif size > state.ready:
                full = [self._is_full(target, world) for target, _, blocks in state.links if blocks]
                if any(full):
                    wanted[state.name] = max(1, state.ready - 1)
                else:
                    wanted[state.name] = min(size, state.ready + _STEP)
            if wanted.get(state.name, state.ready) != state.ready:
                self._last[state.name] = world.now
        return wanted

    @staticmethod
    def _is_full(state: StageState, world: World) -> bool:
        return state.mean(state.waiting, _LOOKBACK_S) >= _FULL * world.layout.queue_messages

    @staticmethod
    def _size(state: StageState, world: World) -> int:
        rate = state.mean(state.handled, _LOOKBACK_S)
        waiting = state.mean(state.waiting, _LOOKBACK_S)
        if rate <= 0 or waiting <= 0:
            return 1
        room = world.layout.queue_messages
        is_first = any(state in (target for target, _, _ in source.links) for source in world.sources)
        if is_first or waiting <= _TARGET_FULLNESS * room:
            return max(1, round(waiting / rate / _TARGET_S * state.ready))
        if waiting >= room:
            return state.ready + _STEP
        return max(1, round(_TARGET_FULLNESS * room / ((room - waiting) / state.ready)))
