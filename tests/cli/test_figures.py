"""Figures come from differences between two snapshots, summed over instances, and survive restarts."""

from __future__ import annotations

import pytest

from streamer.cli.figures import History, figures, node_of
from streamer.metrics.samples import EdgeSample
from tests.cli.watched import sample, snapshot


def test_an_edges_rate_is_the_growth_of_what_all_its_instances_sent() -> None:
    before = snapshot(
        10, sample("parse-0", edge=EdgeSample("save", sent=100)), sample("parse-1", edge=EdgeSample("save", sent=50))
    )
    after = snapshot(
        12, sample("parse-0", edge=EdgeSample("save", sent=300)), sample("parse-1", edge=EdgeSample("save", sent=150))
    )

    (_, edge) = figures(before, after).edges

    assert (edge.source, edge.target, edge.sent_per_s) == ("parse", "save", 150)


def test_without_an_earlier_snapshot_rates_and_latencies_are_those_of_the_whole_job() -> None:
    end = snapshot(10, sample("lines-0", edge=EdgeSample("parse", sent=50), latencies={1: 10}))

    whole = figures(None, end)

    assert whole.edges[0].sent_per_s == 5
    assert whole.flows[0].p50_s == pytest.approx(0.00075)


def test_an_instance_that_counts_from_zero_again_does_not_make_a_rate_negative() -> None:
    before = snapshot(10, sample("parse-0", received=1000))
    after = snapshot(11, sample("parse-0", received=40))

    assert figures(before, after).nodes[1].received_per_s == 40


def test_gauges_and_totals_are_sums_of_the_newest_samples() -> None:
    edge = EdgeSample(
        "save", dead_lettered=1, dropped={"reset": 2, "error": 1}, redelivered=4, in_flight=5, backlog_messages=6,
        backlog_bytes=7,
    )  # fmt: skip
    now = snapshot(1, sample("parse-0", edge=edge), sample("parse-1", edge=edge))

    found = figures(now, now).edges[1]

    assert (found.dead_lettered, found.dropped, found.redelivered) == (2, 6, 8)
    assert (found.in_flight, found.backlog_messages, found.backlog_bytes) == (10, 12, 14)


def test_every_edge_and_node_of_the_plan_is_there_before_anyone_has_reported() -> None:
    empty = snapshot(0)

    found = figures(empty, empty)

    assert [(edge.source, edge.target, edge.sent_per_s) for edge in found.edges] == [
        ("lines", "parse", 0),
        ("parse", "save", 0),
    ]
    assert [node.node for node in found.nodes] == ["lines", "parse", "save"]


def test_busy_is_the_share_of_the_time_of_all_instances() -> None:
    before = snapshot(10, sample("parse-0"), sample("parse-1"))
    after = snapshot(12, sample("parse-0", busy_s=2.0), sample("parse-1", busy_s=1.0))

    assert figures(before, after).nodes[1].busy == pytest.approx(0.75)


def test_states_and_restarts_are_counted_by_node() -> None:
    now = snapshot(
        1, phases={"parse-0": "running", "parse-1": "restarting", "save-0": "running"}, restarts={"parse": 3}
    )

    node = figures(now, now).nodes[1]

    assert (dict(node.states), node.restarts) == ({"running": 1, "restarting": 1}, 3)


def test_intake_is_what_leaves_the_sources_and_outcome_what_reaches_the_sinks() -> None:
    before = snapshot(0)
    after = snapshot(
        2, sample("lines-0", edge=EdgeSample("parse", sent=200)), sample("parse-0", edge=EdgeSample("save", sent=20))
    )

    found = figures(before, after)

    assert (found.intake_per_s, found.outcome_per_s) == (100, 10)


def test_latencies_are_those_of_the_span() -> None:
    before = snapshot(0, sample("save-0", latencies={10: 1000}))
    after = snapshot(1, sample("save-0", latencies={10: 1000, 1: 100}))

    (flow,) = figures(before, after).flows

    assert flow.p50_s == pytest.approx(0.00075)
    assert flow.p99_s is not None
    assert flow.p99_s < 0.001


def test_latencies_are_those_of_the_job_where_nothing_ended_in_the_span() -> None:
    quiet = snapshot(0, sample("save-0", latencies={1: 100}))

    (flow,) = figures(quiet, quiet).flows

    assert flow.p50_s == pytest.approx(0.00075)


def test_a_flow_without_any_end_has_no_latency() -> None:
    (flow,) = figures(snapshot(0), snapshot(1)).flows

    assert (flow.p50_s, flow.p99_s) == (None, None)


def test_a_history_keeps_just_enough_to_span_its_time() -> None:
    history = History(span_s=2)
    for second in range(10):
        history.add(snapshot(second, sample("parse-0", received=second * second)))

    assert history.figures().nodes[1].received_per_s == (81 - 49) / 2


def test_the_node_of_an_instance_may_have_a_dash_in_its_name() -> None:
    assert node_of("parse-lines-12") == "parse-lines"
