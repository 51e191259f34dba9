"""Reading partitions of a Kafka log up to what is their end now, without waiting for what comes later.

aiokafka's consumer asks for more as soon as something was taken. A broker keeps a request for what is not there yet,
and looks at no other request of that connection meanwhile: a reader that goes on to another partition, or asks for an
end, would wait each time for news that it does not want. So all partitions are assigned here once, and all are paused
but the one that is read, up to its end. Assigning each when it is read was rejected: where the topic is another one
than before, the client asks first who leads it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from streamer.limits import CONTROL_LOG_READ_RECORDS_MAX, KAFKA_FETCH_S

_FETCH_WAIT_MS = round(KAFKA_FETCH_S * 1000)


class KafkaReader:
    """`consumer` becomes its own, and can read these `places`: one at a time."""

    def __init__(self, consumer: AIOKafkaConsumer, places: Collection[TopicPartition]) -> None:
        self._consumer = consumer
        consumer.assign(list(places))
        for place in places:
            self._rest(place)

    async def ends(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Of each the offset that the next message will have."""
        found: Mapping[TopicPartition, int] = await self._consumer.end_offsets(list(places))
        return found

    async def messages(self, place: TopicPartition, first: int, end: int) -> AsyncGenerator[Any, None]:
        """From this offset on, and none from `end` on, which must be there already. Whoever leaves early closes it."""
        if first >= end:
            return
        consumer = self._consumer
        consumer.seek(place, first)
        consumer.resume(place)
        try:
            while await consumer.position(place) < end:
                fetched = await consumer.getmany(
                    place, timeout_ms=_FETCH_WAIT_MS, max_records=CONTROL_LOG_READ_RECORDS_MAX
                )
                for message in fetched.get(place, ()):
                    if message.offset >= end:
                        return
                    yield message
        finally:
            self._rest(place)

    def _rest(self, place: TopicPartition) -> None:
        """It asks for nothing. What it has fetched and nobody wants goes: it would keep others from being fetched."""
        self._consumer.pause(place)
        self._consumer.seek(place, 0)
