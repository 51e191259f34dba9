"""The language of flows: what it means, what it refuses, and that it writes what it reads.

The messages for what is refused are those that users of HKube know, with the offending text quoted.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer import limits
from streamer.descriptor.flow import Flow, Visit, parse_flow, read_flow
from streamer.errors import FlowSyntaxError
from tests.strategies import flows, spaces


@given(flows())
def test_a_flow_that_is_written_reads_as_the_same_flow(flow: Flow) -> None:
    assert parse_flow(str(flow)) == flow


@given(flows(), spaces)
def test_spaces_do_not_count(flow: Flow, space: str) -> None:
    text = str(flow).replace(" ", space)

    assert parse_flow(space + text + space) == flow


@given(flows())
def test_reading_and_writing_settles_after_one_round(flow: Flow) -> None:
    text = str(flow)

    assert str(parse_flow(text)) == text


@given(st.text("AB&>| ", max_size=30) | st.text(max_size=30))
def test_any_text_is_a_flow_or_has_problems(text: str) -> None:
    flow, problems = read_flow(text, "main")

    assert (flow is None) == bool(problems)


def test_groups_join_as_a_full_product() -> None:
    assert parse_flow("A & B >> C & D").edges() == (("A", "C"), ("A", "D"), ("B", "C"), ("B", "D"))


def test_expressions_of_one_flow_add_their_edges() -> None:
    flow = parse_flow("sort >> A & B | A >> save")

    assert flow.edges() == (("sort", "A"), ("sort", "B"), ("A", "save"))
    assert flow.nodes() == ("sort", "A", "B", "save")


def test_a_node_that_occurs_again_is_visited_at_another_position() -> None:
    assert parse_flow("B >> C >> D >> B >> A").visits() == (
        Visit("B", 0),
        Visit("C", 0),
        Visit("D", 0),
        Visit("B", 1),
        Visit("A", 0),
    )


@pytest.mark.parametrize("text", ["A >> B >> C >> A", "A >> B | B >> A"])
def test_cycles_are_legal(text: str) -> None:
    assert parse_flow(text).nodes()[:2] == ("A", "B")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", 'invalid stream flow "main": an expression is empty', id="nothing"),
        pytest.param("A >> B |", 'invalid stream flow "main": an expression is empty', id="empty expression"),
        pytest.param("A", 'stream flow "main" should have valid flow, example: A >> B; "A" has no >>', id="one node"),
        pytest.param("A & B", '"A&B" has no >>', id="one group"),
        pytest.param("A >> B >>", 'invalid node name after "B" in flow "main"', id="dangling arrow"),
        pytest.param("A >> >> B", 'invalid node name after "A" in flow "main"', id="doubled arrow"),
        pytest.param(">> B", 'invalid node name before ">> B" in flow "main"', id="leading arrow"),
        pytest.param("A & >> B", 'a node name is missing in "A&" in flow "main"', id="dangling ampersand"),
        pytest.param("A, B >> C", 'invalid node name "A,B" in flow "main"', id="comma"),
        pytest.param("A > B >> C", 'invalid node name "A>B" in flow "main"', id="half an arrow"),
        pytest.param("A >> A", 'invalid relation found "A >> A" in flow "main"', id="self"),
        pytest.param("A >> B & A", 'invalid relation found "A >> A" in flow "main"', id="self in a group"),
        pytest.param("A >> B | A >> B", 'duplicate relation found "A >> B" in flow "main"', id="twice"),
        pytest.param("A >> B >> A >> B", 'duplicate relation found "A >> B" in flow "main"', id="twice in a chain"),
        pytest.param("A & A >> B", 'node "A" stands twice in the group "A&A" of flow "main"', id="twice in a group"),
    ],
)
def test_what_is_refused_is_named(text: str, message: str) -> None:
    with pytest.raises(FlowSyntaxError) as refused:
        parse_flow(text)

    assert message in str(refused.value)
    assert refused.value.advice


def test_an_unknown_node_is_named_with_the_nearest_known_one() -> None:
    flow, problems = read_flow("lines >> prase", "main", ["lines", "parse"])

    assert flow is None
    assert [problem.message for problem in problems] == ['invalid node "prase" in stream flow "main"']
    assert problems[0].remedy == "Did you mean parse?"


def test_all_problems_of_a_flow_are_found_at_once() -> None:
    _, problems = read_flow("A >> | B | C >> X", "main", ["A", "B", "C"])

    assert len(problems) == 3


def test_a_flow_that_repeats_a_million_edges_is_refused_soon() -> None:
    group = " & ".join(f"n{number}" for number in range(900))
    other = " & ".join(f"m{number}" for number in range(90))

    _, problems = read_flow(" >> ".join([group, other] * 50), "main")

    assert len(problems) == limits.FINDINGS_ALIKE_MAX


def test_a_flow_names_at_most_as_many_nodes_as_a_pipeline_has() -> None:
    _, problems = read_flow(" >> ".join(f"n{number}" for number in range(limits.NODES_MAX + 1)), "main")

    assert problems[0].message == 'flow "main" names 1001 nodes'
