"""The graph over all flows, and its cycles."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer import limits
from streamer.descriptor.flow import parse_flow
from streamer.plan.graph import Graph, graph_of

edges = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=20, unique=True)


def reachable(graph: Graph, start: str) -> set[str]:
    """Nodes that can be reached by at least one edge."""
    found: set[str] = set()
    todo = list(graph.targets(start))
    while todo:
        node = todo.pop()
        if node not in found:
            found.add(node)
            todo.extend(graph.targets(node))
    return found


@given(edges)
def test_a_node_is_in_a_cycle_if_and_only_if_it_can_reach_itself(pairs: list[tuple[int, int]]) -> None:
    graph = Graph(tuple(map(str, range(8))), tuple((str(source), str(target)) for source, target in pairs))
    components = graph.cycles()

    assert {node for component in components for node in component} == {
        node for node in graph.nodes if node in reachable(graph, node)
    }
    for component in components:
        for node in component:
            assert component == {node} | {other for other in reachable(graph, node) if node in reachable(graph, other)}


@pytest.mark.parametrize(
    ("text", "cycles"),
    [
        ("A >> B >> C", []),
        ("A >> B >> C >> A", [{"A", "B", "C"}]),
        ("S >> A >> B >> A | B >> C", [{"A", "B"}]),
        ("A >> B | B >> A | B >> C | C >> D >> C", [{"A", "B"}, {"C", "D"}]),
    ],
)
def test_cycles_are_strongly_connected_components(text: str, cycles: list[set[str]]) -> None:
    flow = parse_flow(text)

    assert sorted(map(sorted, graph_of(flow.nodes(), {"main": flow}).cycles())) == sorted(map(sorted, cycles))


def test_a_cycle_may_lie_across_flows() -> None:
    flows = {"there": parse_flow("A >> B"), "back": parse_flow("B >> A")}

    assert graph_of("AB", flows).cycles() == (frozenset("AB"),)


def test_an_edge_of_several_flows_is_one_edge() -> None:
    graph = graph_of("ABCD", {"one": parse_flow("A >> B >> C"), "two": parse_flow("A >> B")})

    assert graph.edges == (("A", "B"), ("B", "C"))
    assert graph.sources("B") == ("A",)
    assert graph.targets("B") == ("C",)
    assert graph.targets("D") == ()


def test_a_chain_and_a_ring_as_long_as_a_pipeline_may_be_are_searched() -> None:
    names = tuple(f"n{at}" for at in range(limits.NODES_MAX))
    chain = tuple(pairwise(names))

    assert Graph(names, chain).cycles() == ()
    assert Graph(names, (*chain, (names[-1], names[0]))).cycles() == (frozenset(names),)


@given(edges, st.sets(st.integers(0, 7)))
def test_what_leads_to_a_node_can_reach_it(pairs: list[tuple[int, int]], chosen: set[int]) -> None:
    graph = Graph(tuple(map(str, range(8))), tuple((str(source), str(target)) for source, target in pairs))
    targets = set(map(str, chosen))
    assert graph.leading_to(targets) == {node for node in graph.nodes if targets & reachable(graph, node)}
