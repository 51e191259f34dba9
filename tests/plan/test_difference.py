"""What tells two plans apart: what a new life brings, what is counted, and what is refused, all of it at once."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from streamer.limits import QUEUE_BYTES_DEFAULT
from streamer.plan.assignment import Code, Connector, Delivery, OnError, Role
from streamer.plan.compile import Plan, PlannedNode
from streamer.plan.declared import Policy
from streamer.plan.difference import COUNTED, FIXED, JOINED, RENEWED, Difference, difference, renewed
from tests.control.plans import CYCLE, KEYED, LINE, coded, joined


def other(plan: Plan, node: str, **fields: Any) -> Plan:
    nodes = {**plan.nodes, node: dataclasses.replace(plan.nodes[node], **fields)}
    return dataclasses.replace(plan, nodes=nodes)


def test_a_plan_does_not_differ_from_itself_whatever_its_flows_are() -> None:
    assert difference(LINE, LINE) == Difference()
    assert difference(LINE, joined(LINE, {"main": "lines >> save"}, "main")) == Difference()


def test_every_field_of_a_node_is_said_to_change_in_one_way_or_not_to_change() -> None:
    """Else a field that is new would be lost by an update, in silence."""
    said = [*RENEWED, *COUNTED, *JOINED, *FIXED]
    assert sorted(said) == sorted(field.name for field in dataclasses.fields(PlannedNode))


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"code": Code("parse", "/other.py")}, id="code"),
        pytest.param({"args": {"input": [1]}}, id="input"),
        pytest.param({"concurrency": 4}, id="concurrency"),
        pytest.param({"on_error": OnError(limit=3)}, id="retries"),
        pytest.param({"ttl_s": 5.0}, id="ttl"),
    ],
)
def test_what_an_instance_learns_at_its_start_comes_with_a_new_life(fields: dict[str, Any]) -> None:
    after = other(LINE, "parse", **fields)

    assert difference(LINE, after) == Difference(renewed=("parse",))
    became = renewed(LINE, after.nodes, counted=False)
    assert difference(became, after) == Difference()
    assert became.versions == LINE.versions


def test_arguments_that_follow_from_the_flows_are_no_difference() -> None:
    before = other(LINE, "parse", args={"input": [1], "childs": ["save"], "defaultFlow": "main"})
    after = other(LINE, "parse", args={"input": [1], "childs": [], "defaultFlow": "other"})

    assert difference(before, after) == Difference()


def test_replicas_and_their_bounds_are_counted() -> None:
    after = other(LINE, "parse", replicas=3, min_replicas=3, max_replicas=9)

    assert difference(LINE, after) == Difference(counted=("parse",))
    assert renewed(LINE, after.nodes, counted=True).nodes["parse"].max_replicas == 9
    assert renewed(LINE, after.nodes, counted=False) == LINE


def test_consumers_come_before_their_producers_and_every_node_of_a_cycle_once() -> None:
    names = tuple(CYCLE.nodes)

    assert difference(LINE, coded(LINE, *LINE.nodes)).renewed == ("save", "parse")
    found = difference(CYCLE, coded(CYCLE, *names)).renewed
    assert sorted(found) == ["first", "save", "second"]
    assert found[0] == "save"


def test_what_takes_messages_in_from_outside_is_not_replaced() -> None:
    refused = difference(LINE, other(LINE, "lines", on_error=OnError(limit=3))).refused

    assert refused == ("node lines: onError.limit is 3, and was 0",)


def test_all_that_stays_as_it_is_while_a_job_lives_is_named_at_once() -> None:
    after = other(KEYED, "count", partition_by="letter", policy=Policy(delivery=Delivery.AT_MOST_ONCE, queue_bytes=7))
    after = other(after, "lines", connector=Connector("file", {"path": "/new"}))
    after = other(after, "save", role=Role.STATELESS)
    before = other(KEYED, "lines", connector=Connector("file", {"path": "/old"}))
    nodes = {**after.nodes, "more": dataclasses.replace(after.nodes["save"], name="more")}

    found = difference(before, dataclasses.replace(after, nodes=nodes, pipeline="numbers")).refused

    assert found == (
        "the pipeline's name is numbers, and was words",
        "node more is new",
        "node lines: spec.path is /new, and was /old",
        "node count: delivery is at-most-once, and was at-least-once",
        f"node count: queueBytes is 7, and was {QUEUE_BYTES_DEFAULT}",
        "node count: partitionBy is letter, and was word",
        "node save: it is a stateless node, and was a sink node",
    )
    assert "node more is not there any more" in difference(dataclasses.replace(after, nodes=nodes), after).refused
