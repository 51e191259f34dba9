"""Routes: a message walks exactly the edges of the text, position by position."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer import limits
from streamer.descriptor.flow import Expression, Flow, parse_flow
from streamer.errors import DescriptorError
from streamer.plan.routing import RouteTable, compile_routes
from tests.strategies import flows


def table(**texts: str) -> RouteTable:
    return compile_routes({name: parse_flow(text, name) for name, text in texts.items()}, next(iter(texts)))


def steps(routes: RouteTable, flow: str = "main") -> dict[str, list[str]]:
    """`{"B0": ["C0"]}`: from each position of a flow to the next ones."""
    names = [f"{route.node}{route.occurrence}" for route in routes.routes]
    return {
        name: [names[index] for index in route.next]
        for name, route in zip(names, routes.routes, strict=True)
        if route.flow == flow
    }


@given(flows())
def test_routes_walk_exactly_the_edges_of_the_text(flow: Flow) -> None:
    routes = compile_routes({"main": flow}, "main").routes

    walked = {(route.node, routes[index].node) for route in routes for index in route.next}

    assert walked == set(flow.edges())


@given(flows())
def test_every_expression_can_be_walked_from_its_first_group_to_its_last(flow: Flow) -> None:
    routes = compile_routes({"main": flow}, "main")
    for expression in flow.expressions:
        at = {routes.entry(node, "main") for node in expression.groups[0]}
        assert None not in at
        for group in expression.groups[1:]:
            following = [set(routes.routes[index or 0].next) for index in at]
            at = {index for index in set.intersection(*following) if routes.routes[index].node in group}
            assert {routes.routes[index or 0].node for index in at} >= set(group)


@given(flows())
def test_positions_of_a_node_are_numbered_without_gaps(flow: Flow) -> None:
    routes = compile_routes({"main": flow}, "main").routes
    for node in flow.nodes():
        assert [route.occurrence for route in routes if route.node == node] == list(
            range(sum(route.node == node for route in routes))
        )


@given(st.lists(flows(), min_size=2, max_size=3))
def test_flows_of_one_table_never_lead_into_each_other(several: list[Flow]) -> None:
    routes = compile_routes({f"f{at}": flow for at, flow in enumerate(several)}, "f0").routes

    assert all(routes[index].flow == route.flow for route in routes for index in route.next)


def test_groups_join_as_a_full_product() -> None:
    assert steps(table(main="A & B >> C & D")) == {"A0": ["C0", "D0"], "B0": ["C0", "D0"], "C0": [], "D0": []}


def test_expressions_of_one_flow_share_a_nodes_position() -> None:
    assert steps(table(main="sort >> A & B | A >> save")) == {
        "sort0": ["A0", "B0"],
        "A0": ["save0"],
        "B0": [],
        "save0": [],
    }


def test_a_node_that_occurs_twice_in_an_expression_has_two_positions() -> None:
    assert steps(table(main="B >> C >> D >> B >> A")) == {
        "B0": ["C0"],
        "C0": ["D0"],
        "D0": ["B1"],
        "B1": ["A0"],
        "A0": [],
    }


def test_another_expression_shares_the_first_position_of_a_node_that_occurs_twice() -> None:
    assert steps(table(main="B >> C >> B >> A | B >> X"))["B0"] == ["C0", "X0"]


def test_a_cycle_in_one_expression_ends_and_one_of_two_expressions_goes_on() -> None:
    assert steps(table(main="A >> B >> A")) == {"A0": ["B0"], "B0": ["A1"], "A1": []}
    assert steps(table(main="A >> B | B >> A")) == {"A0": ["B0"], "B0": ["A0"]}


def test_each_flow_has_positions_of_its_own() -> None:
    routes = table(main="A >> B >> C", alert="B >> D")

    assert steps(routes, "alert") == {"B0": ["D0"], "D0": []}
    assert routes.entry("B", "main") != routes.entry("B", "alert")
    assert routes.entry("A", "alert") is None
    assert routes.flows() == ("main", "alert")
    assert routes.flows_of("B") == ("main", "alert")
    assert routes.flows_of("C") == ()
    assert routes.default_flow == "main"


def test_a_flow_is_entered_at_the_first_occurrence() -> None:
    routes = table(main="X >> B >> C >> B >> A")
    entry = routes.entry("B", "main")

    assert entry is not None
    assert routes.routes[entry].occurrence == 0


def test_no_flow_makes_an_empty_table() -> None:
    assert compile_routes({}, "") == RouteTable((), "")


def test_positions_are_bounded_by_what_a_message_can_number() -> None:
    many = Flow((Expression(tuple((f"n{at}",) for at in range(limits.ROUTES_MAX + 1))),))

    with pytest.raises(DescriptorError, match="4097 positions, more than 4096"):
        compile_routes({"main": many}, "main")
