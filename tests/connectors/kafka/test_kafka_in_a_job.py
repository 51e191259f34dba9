"""Kafka in real jobs: out of a topic, through an algorithm, into a topic, on a real broker."""

from __future__ import annotations

import time
import uuid
from contextlib import closing
from pathlib import Path

import pytest

from streamer.control.hosts.embedded import EmbeddedHost
from streamer.descriptor.load import load
from streamer.plan.compile import compile_plan
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


def nodes(source: Topic, sink: Topic, group: str) -> str:
    """A bounded source, an algorithm and a sink."""
    read = f"connector: kafka, bootstrap: '{source.bootstrap}', topics: {source.name}, group: {group}, untilEnd: true"
    written = f"connector: kafka, bootstrap: '{sink.bootstrap}', topic: {sink.name}"
    return (
        f"  - {{nodeName: numbers, kind: source, spec: {{{read}}}}}\n"
        "  - {nodeName: double, kind: algorithm, algorithmName: double, stateType: stateless}\n"
        f"  - {{nodeName: save, kind: sink, spec: {{{written}}}}}\n"
    )


def test_instances_share_a_topic_and_commit_what_is_settled(desk: Desk) -> None:
    numbers, results = Topic(bootstrap(), 4), Topic(bootstrap())
    numbers.fill(b"{" if n == 777 else b"%d" % n for n in range(COUNT))
    group = f"group-{uuid.uuid4().hex[:12]}"
    shared = nodes(numbers, results, group).replace("kind: source,", "kind: source, minReplicas: 2,")
    desk.pipeline(shared, FLOWS, ALGORITHMS)

    done = desk.run("run", "pipeline.yaml", "--json")

    assert done.code == 0, done.stderr
    assert sorted({int(value) for value in results.values()}) == [2 * n for n in range(COUNT) if n != 777]
    assert sum(numbers.committed(group)) == COUNT, "also what is a dead letter is done with"
    (error,) = {kept.letter.error for kept in DeadLetters(desk.jobs()[0] / "dead-letters.sqlite").find()}
    assert error.startswith(f"topic {numbers.name}, partition 1, offset 194: not json")


def test_a_source_tells_what_it_has_still_to_read(desk: Desk) -> None:
    """While a slow node behind it holds it up: what it has read and what it has not are all that there is."""
    numbers, results = Topic(bootstrap(), 2), Topic(bootstrap())
    many = 20 * COUNT
    numbers.fill(b"%d" % n for n in range(many))
    desk.write("double.py", "import time\ndef start(args, api):\n    time.sleep(0.01)\n    return 1\n")
    loaded = load([desk.pipeline(nodes(numbers, results, f"group-{uuid.uuid4().hex[:12]}"), FLOWS, ALGORITHMS)])
    assert loaded.pipeline is not None
    plan = compile_plan(loaded.pipeline, loaded.algorithms, folder=desk.folder)
    host = EmbeddedHost(plan, desk.home, on_output=lambda *_: None)

    with closing(host):
        host.start()
        deadline = time.monotonic() + 60
        while True:
            sample = host.poll(0.1).samples.get("numbers-0")
            if sample is not None and sample.unread and sample.received + sample.unread == many:
                break
            assert time.monotonic() < deadline, sample
        host.kill()
        while not host.poll(0.1).status.ended:
            pass
