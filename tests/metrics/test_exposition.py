"""What Prometheus reads: the promised names and labels, zeros, and nothing of instances that are gone.

The text is read back with prometheus_client's own parser, so that what is tested is what a server understands.
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from prometheus_client.parser import text_string_to_metric_families

from streamer.metrics.exposition import Observation, exposition
from streamer.metrics.samples import EdgeSample, HistogramSample, InstanceSample, InstanceState

SAMPLE = InstanceSample(
    instance="parse-1",
    node="parse",
    epoch=1,
    state=InstanceState.RUNNING,
    received=10,
    unread=60,
    busy_s=2.5,
    oldest_unsettled_s=0.25,
    edges=(
        EdgeSample(
            target="save",
            sent=9,
            settled=5,
            dead_lettered=1,
            dropped={"reset": 2},
            in_flight=1,
            redelivered=3,
            backlog_messages=4,
            backlog_bytes=400,
            credit_messages=100,
        ),
    ),
    handler=HistogramSample((0.001, 1.0), (3, 4, 1), 2.5),
    queue_wait=HistogramSample((0.5,), (7, 1), 1.0),
    end_to_end={"main": HistogramSample((0.5,), (7, 1), 3.0)},
)
OBSERVATION = Observation(
    job="abc",
    pipeline="words",
    samples=(SAMPLE,),
    replicas={"parse": {"running": 2, "dead": 0}},
    desired={"parse": 2},
)
INSTANCE = {"job": "abc", "pipeline": "words", "node": "parse", "instance": "parse-1"}
EDGE = {**INSTANCE, "source": "parse", "target": "save"}


def series(observation: Observation) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(exposition(observation))
        for sample in family.samples
    }


def key(name: str, labels: Mapping[str, str]) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("streamer_messages_received_total", INSTANCE, 10),
        ("streamer_handler_busy_seconds_total", INSTANCE, 2.5),
        ("streamer_oldest_unsettled_seconds", INSTANCE, 0.25),
        ("streamer_source_unread_messages", INSTANCE, 60),
        ("streamer_messages_sent_total", EDGE, 9),
        ("streamer_messages_settled_total", EDGE, 5),
        ("streamer_messages_dead_lettered_total", EDGE, 1),
        ("streamer_messages_dropped_total", {**EDGE, "reason": "reset"}, 2),
        ("streamer_redeliveries_total", EDGE, 3),
        ("streamer_edge_backlog_messages", EDGE, 4),
        ("streamer_edge_backlog_bytes", EDGE, 400),
        ("streamer_edge_in_flight_messages", EDGE, 1),
        ("streamer_edge_credit_messages", EDGE, 100),
        ("streamer_handler_seconds_count", INSTANCE, 8),
        ("streamer_handler_seconds_sum", INSTANCE, 2.5),
        ("streamer_handler_seconds_bucket", {**INSTANCE, "le": "1.0"}, 7),
        ("streamer_handler_seconds_bucket", {**INSTANCE, "le": "+Inf"}, 8),
        ("streamer_queue_wait_seconds_count", INSTANCE, 8),
        ("streamer_end_to_end_seconds_bucket", {**INSTANCE, "flow": "main", "le": "0.5"}, 7),
        ("streamer_replicas", {"job": "abc", "pipeline": "words", "node": "parse", "state": "running"}, 2),
        ("streamer_replicas", {"job": "abc", "pipeline": "words", "node": "parse", "state": "dead"}, 0),
        ("streamer_replicas_desired", {"job": "abc", "pipeline": "words", "node": "parse"}, 2),
    ],
)
def test_a_sample_has_the_promised_series(name: str, labels: Mapping[str, str], value: float) -> None:
    assert series(OBSERVATION)[key(name, labels)] == value


def test_zeros_are_written() -> None:
    untouched = InstanceSample("parse-0", "parse", 1, InstanceState.RUNNING, edges=(EdgeSample("save"),))
    found = series(Observation("abc", "words", (untouched,)))

    labels = {**EDGE, "instance": "parse-0"}
    assert found[key("streamer_messages_sent_total", labels)] == 0
    assert found[key("streamer_messages_dropped_total", {**labels, "reason": "drop-oldest"})] == 0


def test_a_series_ends_with_its_instance() -> None:
    found = series(Observation("abc", "words", (), replicas={"parse": {"completed": 1}}, desired={"parse": 1}))

    assert not [name for name, labels in found if "instance" in dict(labels)]
    assert found[key("streamer_replicas", {"job": "abc", "pipeline": "words", "node": "parse", "state": "completed"})]


def test_counters_have_the_type_of_counters() -> None:
    types = {family.name: family.type for family in text_string_to_metric_families(exposition(OBSERVATION))}

    assert types["streamer_messages_sent"] == "counter"
    assert types["streamer_edge_backlog_messages"] == "gauge"
    assert types["streamer_end_to_end_seconds"] == "histogram"


def test_nothing_is_exposed_before_the_first_observation() -> None:
    assert exposition(None) == ""
