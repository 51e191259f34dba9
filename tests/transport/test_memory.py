"""The wire inside one process keeps the contract."""

from __future__ import annotations

import pytest

from streamer.testing.transport_contract import OpenTransport, TransportContract
from streamer.transport.memory import MemoryHub, MemoryTransport


class TestMemoryTransport(TransportContract):
    @pytest.fixture
    def open_transport(self) -> OpenTransport:
        hub = MemoryHub()
        return lambda: MemoryTransport(hub)
