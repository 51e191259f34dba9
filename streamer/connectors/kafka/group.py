"""The membership of one instance in a consumer group, in the loop of its client.

Partitions come and go by the group's rebalances, which are eager: all are given back, then dealt again. Before they are
given back, what was read from them may settle for a moment and is committed, so that whoever has them next begins
behind it. Committed is what is settled, from the front, and nothing else: a kill costs what was settled since the last
commit a second reading, and no record is lost. While the pipeline is full nothing is fetched; heartbeats go on by
themselves.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from streamer.connectors.kafka.complaints import Complaints
from streamer.connectors.kafka.shelf import HeldPartition, Shelf
from streamer.connectors.kafka.topics import KAFKA_ERRORS, partitions_of
from streamer.errors import ConnectorError
from streamer.kafka.limits import COMMIT_S, HANDOVER_S, HEARTBEAT_S, RETRY_MAX_S, RETRY_S, SESSION_S
from streamer.kafka.settings import KafkaSettings
from streamer.limits import KAFKA_FAREWELL_S, KAFKA_FETCH_S, KAFKA_REQUEST_S

_MS = 1000
_NO_POLL_LIMIT_MS = 2**31 - 1
"""A full pipeline may wait for hours: that is no reason to leave the group, whose heartbeats go on."""
_LOOK_S = 0.01


class Group(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types
    """Fetches onto the shelf. `finished`: all that was there at the start of this life was fetched.

    `member` is its name there: a life that comes back under it after a kill has its partitions at once, where a
    stranger would wait until the dead one is missed. `said` gives what the client has complained of lately.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        spec: Mapping[str, Any],
        member: str,
        shelf: Shelf,
        said: Callable[[], str],
        complaints: Complaints,
    ) -> None:
        self.finished = False
        self.room = asyncio.Event()
        self._options = settings.client()
        self._topics: list[str] = spec["topics"]
        self._name: str = spec["group"]
        self._member = member
        self._start: str = spec["start"]
        self._until_end: bool = spec["untilEnd"]
        self._shelf = shelf
        self._said = said
        self._complaints = complaints
        self._shares: dict[TopicPartition, HeldPartition] = {}
        self._consumer: AIOKafkaConsumer | None = None
        self._ends: dict[TopicPartition, int] | None = None
        self._dealt = False
        self._commit_at = 0.0
        self.behind: int | None = None
        """Records between what was fetched and the ends of the partitions, of about a second ago; None: unknown."""

    async def keep_reading(self) -> None:
        """Until it is cancelled: a cluster that cannot be used is tried again, less and less often."""
        retry_s = RETRY_S
        while True:
            try:
                consumer = await self._join()
                retry_s = RETRY_S
                await self._read(consumer)
            except (*KAFKA_ERRORS, ConnectorError) as error:
                told = str(error) or type(error).__name__
                self._complaints.tell(f"it cannot be read now: {told} {self._why()}; trying again")
            finally:
                await self._leave()
            await asyncio.sleep(retry_s)
            retry_s = min(2 * retry_s, RETRY_MAX_S)

    async def _join(self) -> AIOKafkaConsumer:
        self._consumer = consumer = AIOKafkaConsumer(
            **self._options,
            group_id=self._name,
            group_instance_id=self._member,
            enable_auto_commit=False,
            auto_offset_reset=self._start,
            isolation_level="read_committed",
            fetch_max_wait_ms=round(KAFKA_FETCH_S * _MS),
            session_timeout_ms=round(SESSION_S * _MS),
            heartbeat_interval_ms=round(HEARTBEAT_S * _MS),
            max_poll_interval_ms=_NO_POLL_LIMIT_MS,
            request_timeout_ms=round(KAFKA_REQUEST_S * _MS),
        )
        await consumer.start()
        counts = await partitions_of(self._options, self._topics)
        if self._until_end and self._ends is None:
            places = [TopicPartition(topic, number) for topic, count in counts.items() for number in range(count)]
            self._ends = await consumer.end_offsets(places)
        self._dealt = False
        consumer.subscribe(self._topics, listener=self)
        return consumer

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            if room := self._shelf.room:
                fetched = await consumer.getmany(timeout_ms=round(KAFKA_FETCH_S * _MS), max_records=room)
                for place, messages in fetched.items():
                    if (share := self._shares.get(place)) is not None and messages:
                        self._shelf.put(share, messages)
                if fetched:
                    self._complaints.over()
                elif why := self._said():
                    self._complaints.hear(why)
                elif self._ends is not None and not self.finished:
                    self.finished = await self._at_end(consumer, self._ends)
            else:
                self.room.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.room.wait(), KAFKA_FETCH_S)
            if time.monotonic() >= self._commit_at:
                await self._measure(consumer)
                await self.commit()

    async def _measure(self, consumer: AIOKafkaConsumer) -> None:
        """By the ends that came with what was fetched: nothing more is asked for it."""
        held = [place for place in self._shares if place in consumer.assignment()]
        ends = [consumer.last_stable_offset(place) for place in held]
        behind = None
        if self._dealt and held and None not in ends:
            with suppress(KafkaError, TimeoutError):  # partitions are being dealt, or nobody answers
                async with asyncio.timeout(KAFKA_REQUEST_S):
                    places = [await consumer.position(place) for place in held]
                    behind = sum(max(0, end - at) for end, at in zip(ends, places, strict=True))
        self.behind = behind

    async def _at_end(self, consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]) -> bool:
        shares = self._shares
        with suppress(KafkaError, TimeoutError):  # partitions are being dealt, or nobody answers: it is asked again
            async with asyncio.timeout(KAFKA_REQUEST_S):
                at_end = all([await consumer.position(place) >= ends.get(place, 0) for place in shares])
                return at_end and self._dealt and self._shares is shares
        return False

    def _why(self) -> str:
        return f"({self._said() or 'the client gives no reason'})"

    # -- partitions ----------------------------------------------------------------------------------------------------

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        self._shares = {place: HeldPartition(place) for place in assigned}
        self._dealt, self.finished = True, False

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:  # noqa: ARG002 -- it is all
        self._dealt = self.finished = False  # before the shelf is emptied: that looks like an end
        held = list(self._shares.values())
        self._shelf.drop(held)
        until = time.monotonic() + HANDOVER_S
        while time.monotonic() < until and not all(share.at_rest for share in held):
            await asyncio.sleep(_LOOK_S)
        with suppress(*KAFKA_ERRORS):  # what could not be told is read again by whoever has them next
            await self.commit()
        self._shares = {}

    async def commit(self) -> None:
        """Tell the group what is settled. What cannot be told now is told the next time, or read again."""
        self._commit_at = time.monotonic() + COMMIT_S
        news = [share for share in self._shares.values() if share.settled_to > share.committed_to]
        if news and self._consumer is not None:
            told = {share.place: share.settled_to for share in news}
            try:
                await asyncio.wait_for(self._consumer.commit(told), KAFKA_REQUEST_S)
            except TimeoutError:
                self._complaints.tell(f"the group does not take what is settled {self._why()}; trying again")
            except (CommitFailedError, IllegalStateError):
                return  # partitions are being dealt
            else:
                for share in news:
                    share.committed_to = told[share.place]

    async def _leave(self) -> None:
        self.finished = False
        self._shelf.drop(list(self._shares.values()))
        self._shares = {}
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            # A member with a name stays until it is missed, unless it has said goodbye, which aiokafka spares it.
            consumer._coordinator._group_instance_id = None
            with suppress(KafkaError, TimeoutError):
                await asyncio.wait_for(consumer.stop(), KAFKA_FAREWELL_S)
