"""The comparison on Kafka works, for a moment: ours, and the others where they are installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from benchmarks.peers import kafka
from benchmarks.peers.environment import HOME
from benchmarks.scenario.side import measure
from tests.kafka.broker import bootstrap

BACKLOG = 50_000
NO_PEERS = not (HOME / "bin" / "python").exists()


@pytest.fixture(scope="module")
def desk() -> Iterator[kafka.Desk]:
    with closing(kafka.Desk(bootstrap(), BACKLOG)) as found:
        yield found


def test_our_side_carries_messages_from_topic_to_topic_and_none_twice(desk: kafka.Desk, tmp_path: Path) -> None:
    make = partial(kafka.ours, lambda: desk, kafka.EXACTLY_ONCE, tmp_path)

    figures = measure(make, warm_up_s=0.0, window_s=0.2)

    assert figures.rate > 0
    assert len(figures.cpu_us) >= 4, "the supervisor and three instances"


@pytest.mark.skipif(NO_PEERS, reason="the peers are not installed: make peers")
@pytest.mark.parametrize(
    "code", [pytest.param("quix_map.py", id="Quix Streams"), pytest.param("faust_map.py", id="Faust")]
)
def test_another_engine_carries_messages_too(code: str, desk: kafka.Desk, tmp_path: Path) -> None:
    make = partial(kafka.peer, lambda: desk, code, kafka.AT_LEAST_ONCE, tmp_path)

    assert measure(make, warm_up_s=0.0, window_s=0.5).rate > 0
