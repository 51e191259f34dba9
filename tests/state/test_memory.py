"""The state store in memory keeps the contract."""

from __future__ import annotations

import pytest

from streamer.state.base import StateStore
from streamer.state.memory import MemoryStateDisk, MemoryStateStore
from streamer.testing.clock import VirtualClock
from streamer.testing.state_contract import OpenStore, StateContract


class TestMemoryStateStore(StateContract):
    @pytest.fixture
    def clock(self) -> VirtualClock:
        return VirtualClock()

    @pytest.fixture
    def open_store(self, clock: VirtualClock) -> OpenStore:
        disk = MemoryStateDisk("count")

        def begin(instance: str = "count-0", epoch: int = 1, partition_epoch: int = 0) -> StateStore:
            return MemoryStateStore(disk, instance, epoch, partition_epoch=partition_epoch, wall=clock.wall)

        return begin
