"""A topic as a sink: what a checkpoint has put in force is there, once, and of a life that was replaced nothing is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest

from streamer.connectors.base import CheckpointedSink, Owner, RefusedRecordsError
from streamer.connectors.kafka.delivery import Delivery
from streamer.connectors.kafka.sink import KafkaSink
from streamer.errors import ConnectorError, FencedError
from tests.kafka.broker import bootstrap
from tests.kafka.topic import Topic


class Begin(Protocol):
    def __call__(self, epoch: int = 1, **fields: Any) -> tuple[KafkaSink, bytes]:
        """A life of the sink, and the note that it begins with."""


@pytest.fixture
def topic() -> Topic:
    return Topic(bootstrap())


@pytest.fixture
def begin(topic: Topic, tmp_path: Path) -> Iterator[Begin]:
    with ExitStack() as opened:

        def life(epoch: int = 1, **fields: Any) -> tuple[KafkaSink, bytes]:
            sink = KafkaSink(spec(topic, **fields), Owner(topic.name, "save", "save-0", epoch, tmp_path))
            assert isinstance(sink, CheckpointedSink)
            opened.callback(sink.close)
            sink.open(restarted=epoch > 1)
            return sink, sink.restore()

        yield life


def spec(made: Topic, **fields: Any) -> dict[str, Any]:
    defaults = {"format": "json", "exactlyOnce": True, "marksTopic": "streamer.sink-marks"}
    return {"bootstrap": made.bootstrap, "topic": made.name, **defaults, **fields}


def numbers(topic: Topic) -> Sequence[int]:
    return sorted(int(value) for value in topic.values())


def test_a_life_after_a_kill_begins_at_the_last_checkpoint(topic: Topic, begin: Begin) -> None:
    killed, note = begin()
    assert note == b""
    killed.write([1, 2])
    killed.checkpoint(b"first")
    killed.write([3])

    sink, note = begin(2)

    assert note == b"first"
    assert numbers(topic) == [1, 2]
    sink.write([3, 4])
    sink.checkpoint(b"second")
    assert numbers(topic) == [1, 2, 3, 4]


def test_a_life_that_was_replaced_while_it_was_paused_writes_nothing_any_more(topic: Topic, begin: Begin) -> None:
    paused, _ = begin()
    paused.write([1])
    later, _ = begin(2)

    with pytest.raises(ConnectorError):
        paused.checkpoint(b"too late")
    with pytest.raises(FencedError):
        paused.checkpoint(b"too late")

    later.write([2])
    try:
        later.checkpoint(b"later")
    except ConnectorError:  # the one that woke up has taken the name of its transactions for a moment
        later.checkpoint(b"later")
    assert numbers(topic) == [2]


def test_a_record_that_the_topic_does_not_take_is_refused_by_its_number(topic: Topic, begin: Begin) -> None:
    sink, _ = begin()
    sink.write([1, "x" * 2_000_000, 2])
    sink.write(["y" * 2_000_000])

    with pytest.raises(RefusedRecordsError) as refused:
        sink.checkpoint(b"")
    sink.checkpoint(b"")

    assert sorted(refused.value.reasons) == [1, 3]
    assert numbers(topic) == [1, 2]


def test_without_transactions_records_are_there_when_a_checkpoint_says_so(topic: Topic, begin: Begin) -> None:
    sink, note = begin(2, exactlyOnce=False, key="id", value="v")
    sink.write([{"id": f"key {n % 3}", "v": n} for n in range(50)])
    sink.checkpoint(b"ignored")
    sink.write([{"id": "key 0", "v": 50}])
    sink.checkpoint(b"ignored")

    assert note == b""
    found = topic.messages()
    assert sorted(int(message.value) for message in found) == list(range(51))
    homes = {(message.key, message.partition) for message in found}
    assert len(homes) == 3, "a key is in one partition"
    of_first = [int(message.value) for message in found if message.key == b"key 0"]
    assert of_first == sorted(of_first)


def test_a_topic_that_is_gone_is_told_and_keeps_what_was_written(begin: Begin) -> None:
    sink, _ = begin(exactlyOnce=False, topic="not-there")
    sink.write([1])

    for _ in range(2):
        with pytest.raises(ConnectorError, match="no topic 'not-there'"):
            sink.checkpoint(b"")


def test_a_topic_that_forgets_cannot_keep_marks(topic: Topic) -> None:
    options = {"bootstrap_servers": topic.bootstrap}

    async def begin_there() -> None:
        await Delivery(options, topic.name, exact="x", marks_topic=topic.name, epoch=1).restored()

    with pytest.raises(ConnectorError, match=r"has cleanup\.policy=delete, and would forget repeat marks"):
        asyncio.run(begin_there())
