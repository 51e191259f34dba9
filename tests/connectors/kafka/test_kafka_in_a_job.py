"""Kafka in real jobs: out of a topic, through an algorithm, into a topic, on a real broker."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from streamer.state.dead_letters import DeadLetters
from tests.cli.command import Desk
from tests.kafka.broker import bootstrap
from tests.kafka.topic import Topic

COUNT = 2_000
DOUBLE = "def start(args, api):\n    return 2 * args['streamInput']['message']\n"
ALGORITHMS = "---\n{name: double, code: {path: double.py}}\n"
FLOWS = "{main: numbers >> double >> save}"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    found = Desk(tmp_path)
    found.write("double.py", DOUBLE)
    return found


def nodes(source: Topic, sink: Topic, *, group: str = "", of_source: str = "", of_sink: str = "") -> str:
    """A bounded source, an algorithm and a sink."""
    group = group or f"group-{uuid.uuid4().hex[:12]}"
    read = f"connector: kafka, bootstrap: '{source.bootstrap}', topics: {source.name}, group: {group}, untilEnd: true"
    written = f"connector: kafka, bootstrap: '{sink.bootstrap}', topic: {sink.name}"
    return (
        f"  - {{nodeName: numbers, kind: source, spec: {{{read}{of_source}}}}}\n"
        "  - {nodeName: double, kind: algorithm, algorithmName: double, stateType: stateless}\n"
        f"  - {{nodeName: save, kind: sink, spec: {{{written}{of_sink}}}}}\n"
    )


@pytest.mark.parametrize(
    "of_sink", [pytest.param("", id="at-least-once"), pytest.param(", exactlyOnce: true", id="exactly-once")]
)
def test_each_record_of_a_topic_comes_out_in_another_and_is_committed(desk: Desk, of_sink: str) -> None:
    numbers, results = Topic(bootstrap(), 3), Topic(bootstrap())
    numbers.fill(b"%d" % n for n in range(COUNT))
    group = f"group-{uuid.uuid4().hex[:12]}"
    desk.pipeline(nodes(numbers, results, group=group, of_sink=of_sink), FLOWS, ALGORITHMS)

    done = desk.run("run", "pipeline.yaml", "--json")

    assert done.code == 0, done.stderr
    assert sorted(int(value) for value in results.values()) == list(range(0, 2 * COUNT, 2))
    assert sum(numbers.committed(group)) == COUNT
    assert [edge["settled"] for edge in done.account["edges"]] == [COUNT, COUNT]


def test_instances_share_partitions_and_a_record_that_cannot_be_read_is_a_dead_letter(desk: Desk) -> None:
    numbers, results = Topic(bootstrap(), 4), Topic(bootstrap())
    numbers.fill(b"{" if n == 777 else b"%d" % n for n in range(COUNT))
    shared = nodes(numbers, results).replace("kind: source,", "kind: source, minReplicas: 2,")
    desk.pipeline(shared, FLOWS, ALGORITHMS)

    done = desk.run("run", "pipeline.yaml", "--json")

    assert done.code == 0, done.stderr
    assert sorted({int(value) for value in results.values()}) == [2 * n for n in range(COUNT) if n != 777]
    letters = {kept.letter.error for kept in DeadLetters(desk.jobs()[0] / "dead-letters.sqlite").find()}
    (error,) = letters
    assert error.startswith(f"topic {numbers.name}, partition 1, offset 194: not json")
