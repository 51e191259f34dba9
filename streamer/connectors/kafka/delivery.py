"""Records on their way into a topic: sent as they come, in whole batches, and waited for by a checkpoint.

The producer is idempotent: what it sends again by itself is there once. What has failed for good leaves a gap that it
cannot close, so then there is a new producer, and all since the last checkpoint is sent anew. In an exact sink these
are transactions, under one name for all lives of an instance: whoever takes that name ends what a former one has left
open. Whether a transaction whose answer was lost is in force says the note that was in it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import murmur2

from streamer.connectors.kafka.notes import Note, last_note, partition_of
from streamer.connectors.kafka.rows import Row
from streamer.connectors.kafka.topics import KAFKA_ERRORS, make_marks_topic, message_bytes_of, partitions_of
from streamer.errors import ConnectorError, FencedError
from streamer.kafka.limits import BATCH_BYTES, DELIVERY_S, SINK_ANSWER_S, TRANSACTION_S
from streamer.limits import KAFKA_FAREWELL_S, MESSAGE_BYTES_MAX, MIB

_MS = 1000


@lru_cache(maxsize=65_536)
def _hashed(key: bytes) -> int:
    """As clients in Java do it, so that records of one key are in one partition, whoever writes them."""
    return int(murmur2(key)) & 0x7FFF_FFFF


class Delivery:
    """Of one sink; all in the loop of its client. `exact` is the name of its transactions, '' without them.

    `row_bytes_max` is what the topic takes, once that was asked.
    """

    def __init__(self, options: Mapping[str, Any], topic: str, *, exact: str, marks_topic: str, epoch: int) -> None:
        self.row_bytes_max = MESSAGE_BYTES_MAX
        self._options = options
        self._topic = topic
        self._exact = exact
        self._marks_topic = marks_topic
        self._epoch = epoch
        self._producer: AIOKafkaProducer | None = None
        self._partitions = 0
        self._turn = 0
        self._queue: deque[Sequence[Row]] = deque()
        self._pump: asyncio.Task[None] | None = None
        self._sent: set[asyncio.Future[Any]] = set()
        self._in_transaction = False
        self._broken = True
        self._number = 0
        self._in_doubt = 0

    # -- a new life ----------------------------------------------------------------------------------------------------

    async def restored(self) -> Note | None:
        """Take the name of the transactions, and say what is in force; a former life cannot write from now on.

        Raises FencedError if a later life has the name.
        """
        await self._begin_anew()
        found = await self._note()
        kept = Note(self._epoch, self._number, found.marks if found is not None else b"")
        await self._commit(kept)  # which tells former lives, should they wake up, that there is a later one
        self._broken = False
        return found

    # -- sending -------------------------------------------------------------------------------------------------------

    def offer(self, rows: Sequence[Row]) -> None:
        """Send these soon; what is broken is sent by the next checkpoint."""
        if not self._broken:
            self._queue.append(rows)
            if self._pump is None or self._pump.done():
                self._pump = asyncio.create_task(self._send_all())

    async def checkpoint(self, kept: list[Sequence[Row]], marks: bytes) -> None:
        """Put `kept`, all that was offered since the last one, in force; takes out of it what is found to be so.

        Raises what keeps it from that, and is to be called again.
        """
        if self._broken:
            await self._begin_anew()
            if self._exact and await self._is_in_force():
                del kept[: self._in_doubt]
            self._in_doubt = 0
            self._broken = False
            for rows in kept:
                self.offer(rows)
        whole = False
        try:
            await self._all_sent()
            if self._exact:
                self._number += 1
                self._in_doubt = len(kept)
                await self._commit(Note(self._epoch, self._number, marks))
            whole = True
        except _NotYetError:
            whole = True  # as far as it is known
            raise
        finally:
            self._broken = self._broken or not whole
        self._in_doubt = 0

    async def _all_sent(self) -> None:
        """Until every record is acknowledged. Slow is not broken: the wait goes on with the next call."""
        try:
            async with asyncio.timeout(SINK_ANSWER_S * 0.5):
                if self._pump is not None:
                    await asyncio.shield(self._pump)
                while self._sent:
                    done, _ = await asyncio.wait(self._sent, return_when=asyncio.FIRST_COMPLETED)
                    self._sent -= done
                    for sent in done:
                        sent.result()
        except TimeoutError as error:
            raise _NotYetError from error

    async def _send_all(self) -> None:
        whole = False
        try:
            while self._queue:
                await self._send(self._queue.popleft())
            whole = True
        finally:
            self._broken = self._broken or not whole

    async def _send(self, rows: Sequence[Row]) -> None:
        producer = self._producer
        assert producer is not None
        if self._exact and not self._in_transaction:
            await producer.begin_transaction()
            self._in_transaction = True
        self._turn += 1
        by_partition: dict[int, list[Row]] = {}
        for row in rows:
            chosen = self._turn if row.key is None else _hashed(row.key)
            by_partition.setdefault(chosen % self._partitions, []).append(row)
        for partition, those in by_partition.items():
            await self._send_to(producer, partition, those)

    async def _send_to(self, producer: AIOKafkaProducer, partition: int, rows: Sequence[Row]) -> None:
        batch = producer.create_batch()
        for row in rows:
            if batch.append(timestamp=None, key=row.key, value=row.value, headers=row.headers) is None:
                self._sent.add(await producer.send_batch(batch, self._topic, partition=partition))
                batch = producer.create_batch()
                batch.append(timestamp=None, key=row.key, value=row.value, headers=row.headers)
        batch.close()
        self._sent.add(await producer.send_batch(batch, self._topic, partition=partition))

    # -- transactions --------------------------------------------------------------------------------------------------

    async def _commit(self, note: Note) -> None:
        producer = self._producer
        assert producer is not None
        if not self._in_transaction:
            await producer.begin_transaction()
            self._in_transaction = True
        place = partition_of(self._exact)
        await producer.send(self._marks_topic, note.packed(), self._exact.encode(), place)
        await producer.commit_transaction()
        self._in_transaction = False

    async def _note(self) -> Note | None:
        found = await last_note(self._options, self._marks_topic, self._exact, partition_of(self._exact))
        if found is not None and found.epoch > self._epoch:
            raise FencedError(f"a later life of {self._exact} writes to the topic {self._topic!r}")
        return found

    async def _is_in_force(self) -> bool:
        """Whether the last transaction, which may have been answered or not, was committed."""
        found = await self._note()
        return found is not None and (found.epoch, found.number) == (self._epoch, self._number) and self._in_doubt > 0

    async def _begin_anew(self) -> None:
        """Another producer, in the place of one that may have a gap."""
        await self._end()
        self._partitions = (await partitions_of(self._options, [self._topic]))[self._topic]
        self.row_bytes_max = await message_bytes_of(self._options, self._topic)
        named: dict[str, Any] = {"enable_idempotence": True}
        if self._exact:
            await make_marks_topic(self._options, self._marks_topic)
            named = {
                "transactional_id": self._exact,
                "transaction_timeout_ms": round(TRANSACTION_S * _MS),
            }
        self._producer = AIOKafkaProducer(
            **self._options,
            **named,
            max_batch_size=min(BATCH_BYTES, self.row_bytes_max),
            max_request_size=max(self.row_bytes_max, MIB),
            request_timeout_ms=round(DELIVERY_S * _MS),
        )
        await self._producer.start()

    async def end(self) -> None:
        """The orderly end: nothing is left to send, and nobody needs the note any more."""
        if self._exact and not self._broken and not self._in_transaction and self._producer is not None:
            await self._producer.begin_transaction()
            await self._producer.send(self._marks_topic, None, self._exact.encode(), partition_of(self._exact))
            await self._producer.commit_transaction()
        await self._end()

    async def _end(self) -> None:
        if self._pump is not None:
            self._pump.cancel()
            with suppress(asyncio.CancelledError, *KAFKA_ERRORS):
                await self._pump
        self._pump, self._in_transaction = None, False
        self._queue.clear()
        for sent in self._sent:
            sent.cancel()
        self._sent.clear()
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(*KAFKA_ERRORS):
                await asyncio.wait_for(producer.stop(), KAFKA_FAREWELL_S)


class _NotYetError(ConnectorError):
    """The cluster has not acknowledged everything yet."""

    remedy = "It is waited for. See that the brokers of the topic are there, and enough copies of each partition."

    def __init__(self) -> None:
        super().__init__(f"not all records were acknowledged within {SINK_ANSWER_S / 2:g} s")
