"""The end of a bounded source: what is taken from an instance is to be read by another one, and no end for anybody."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from aiokafka import TopicPartition

from streamer.connectors.kafka.complaints import Complaints
from streamer.connectors.kafka.group import Group
from streamer.connectors.kafka.shelf import Shelf
from streamer.kafka.settings import KafkaSettings

PLACE = TopicPartition("numbers", 0)
ENDS = {PLACE: 500}
SPEC: dict[str, Any] = {"topics": ["numbers"], "group": "readers", "start": "earliest", "untilEnd": True}


class Consumer:
    """Everything was fetched; `meanwhile` happens while it is asked for that."""

    def __init__(self, group: Group, *, meanwhile: bool = False) -> None:
        self._group = group
        self._meanwhile = meanwhile

    async def position(self, place: TopicPartition) -> int:
        if self._meanwhile:
            await self._group.on_partitions_revoked([place])
            await self._group.on_partitions_assigned([TopicPartition("numbers", 1)])
        return ENDS[place]


@pytest.fixture
def group() -> Iterator[Group]:
    shelf = Shelf(lambda: None)
    yield Group(KafkaSettings("127.0.0.1:1"), SPEC, "numbers-0", shelf, str, Complaints("numbers", "127.0.0.1:1"))
    shelf.close()


def test_partitions_that_are_taken_away_are_no_end_though_nothing_is_left_to_read(group: Group) -> None:
    async def story() -> None:
        await group.on_partitions_assigned([PLACE])
        group.finished = await group._at_end(Consumer(group), ENDS)
        assert group.finished
        await group.on_partitions_revoked([PLACE])

    asyncio.run(story())

    assert not group.finished


def test_nor_is_it_an_end_when_others_are_dealt_while_it_is_looked_for(group: Group) -> None:
    async def story() -> bool:
        await group.on_partitions_assigned([PLACE])
        return await group._at_end(Consumer(group, meanwhile=True), ENDS)

    assert not asyncio.run(story())
