"""The log in memory keeps the contract, and is as weak as the contract allows."""

from __future__ import annotations

import pytest

from streamer.log.base import newest
from streamer.log.memory import MemoryLog, MemoryStore
from streamer.log.topics import Topic
from streamer.testing.claim_contract import ClaimContract
from streamer.testing.log_contract import LogContract, OpenLog


class TestMemoryLog(LogContract, ClaimContract):
    @pytest.fixture
    def open_log(self) -> OpenLog:
        store = MemoryStore()
        return lambda: MemoryLog(store)


def test_scopes_lie_in_several_partitions_so_that_nobody_relies_on_their_order() -> None:
    log = MemoryLog(MemoryStore())
    for n in range(30):
        log.append(Topic.COMMANDS, f"job{n}", b"%d" % n)

    records = log.read(Topic.COMMANDS).records

    assert len({record.partition for record in records}) > 1
    assert [record.value for record in records] != [b"%d" % n for n in range(30)]


def test_a_lost_claim_is_not_told_at_an_append() -> None:
    """As on a broker: whoever must know follows its topics."""
    log = MemoryLog(MemoryStore())
    lost = log.claim("job", "paused")
    log.claim("job", "successor")

    log.append(Topic.JOBS, "job", b"too late", claim=lost)

    assert newest(log, Topic.JOBS) == {}
