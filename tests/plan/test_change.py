"""A change of flows on a plan: relative to what is in force, and judged by the rules of descriptors."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streamer.errors import FlowsError
from streamer.limits import ROUTES_MAX
from streamer.plan.assignment import Delivery, Input, Output, Role
from streamer.plan.change import FlowsChange, changed, new_edges, with_version, without_versions
from streamer.plan.compile import Plan
from streamer.plan.declared import Policy
from streamer.plan.plain import plain, typed
from tests.control.plans import plan

PLAN = plan(
    ("lines", "parse"),
    ("parse", "save"),
    roles={"lines": Role.SOURCE, "save": Role.SINK, "mail": Role.SINK, "keep": Role.STATEFUL},
    alone=("mail", "keep"),
)


def after(*changes: FlowsChange) -> Plan:
    """The plan in which all of these have come into force, and all versions are alive."""
    result = PLAN
    for change in changes:
        version = changed(result, change)
        assert version is not None
        result = with_version(result, version)
    return result


def test_what_a_change_does_not_name_stays() -> None:
    version = changed(PLAN, FlowsChange({"alert": "lines >> mail"}))
    assert version is not None
    assert version.flows == {"main": "lines >> parse | parse >> save", "alert": "lines >> mail"}
    assert (version.number, version.table.default_flow) == (2, "main")


def test_a_flow_is_replaced_and_one_is_removed_and_the_default_is_another() -> None:
    two = after(FlowsChange({"alert": "lines >> mail"}))
    version = changed(two, FlowsChange({"main": None, "alert": "lines >> parse >> mail"}, "alert"))
    assert version is not None
    assert version.flows == {"alert": "lines >> parse >> mail"}
    assert version.table.default_flow == "alert"


def test_another_default_alone_is_a_change() -> None:
    two = after(FlowsChange({"alert": "lines >> mail"}))
    version = changed(two, FlowsChange({}, "alert"))
    assert version is not None
    assert version.table.default_flow == "alert"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(FlowsChange({"main": "lines>>parse|parse>>save"}), id="the same text"),
        pytest.param(FlowsChange({}, "main"), id="the same default"),
        pytest.param(FlowsChange({}), id="nothing"),
    ],
)
def test_what_is_like_that_already_is_no_change(change: FlowsChange) -> None:
    assert changed(PLAN, change) is None


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        pytest.param(FlowsChange({"x": "lines >> nobody"}), 'invalid node "nobody" in stream flow "x"', id="no node"),
        pytest.param(FlowsChange({"x": "lines >> "}), 'invalid node name after "lines"', id="no flow"),
        pytest.param(FlowsChange({"x": "lines >> save | lines >> save"}), "duplicate relation", id="an edge twice"),
        pytest.param(FlowsChange({"": "lines >> save"}), "the name of a flow is empty", id="no name"),
        pytest.param(FlowsChange({"x": None}), '"x" is not a flow', id="removed and not there"),
        pytest.param(FlowsChange({"main": None}), "please specify a stream flow", id="none left"),
        pytest.param(FlowsChange({}, "mian"), "Did you mean main?", id="no such default"),
        pytest.param(
            FlowsChange({"main": None, "x": "lines >> save"}), '"main" is not a flow', id="the default is removed"
        ),
        pytest.param(FlowsChange({"x": "parse >> lines"}), 'source node "lines" cannot receive', id="into a source"),
        pytest.param(FlowsChange({"x": "save >> mail"}), 'sink node "save" cannot send', id="out of a sink"),
        pytest.param(
            FlowsChange({"main": "parse >> save"}), 'entry node "parse" cannot be stateless', id="stateless entry"
        ),
        pytest.param(
            FlowsChange({f"f{n}": "lines >> parse >> save" for n in range(ROUTES_MAX // 3)}),
            "4098 positions",
            id="long",
        ),
    ],
)
def test_what_a_descriptor_may_not_say_a_change_may_not_say_either(change: FlowsChange, problem: str) -> None:
    with pytest.raises(FlowsError) as raised:
        changed(PLAN, change)
    assert problem in str(raised.value)


def test_all_that_is_wrong_is_told_at_once_with_what_to_do() -> None:
    with pytest.raises(FlowsError) as raised:
        changed(PLAN, FlowsChange({"x": "lines >> prase", "y": "save >> mail", "z": None}))
    told = str(raised.value)
    assert all(part in told for part in ('"prase"', "Did you mean parse?", "Take save >> mail out", '"z"'))


# -- the plan ----------------------------------------------------------------------------------------------------------


def test_edges_are_those_of_all_versions_that_are_alive_and_cycles_are_those_of_their_union() -> None:
    both = after(FlowsChange({"main": "lines >> keep >> parse >> keep >> save"}))
    assert both.edges() == (
        ("lines", "parse"),
        ("lines", "keep"),
        ("parse", "save"),
        ("parse", "keep"),
        ("keep", "parse"),
        ("keep", "save"),
    )
    assert both.components == (frozenset({"parse", "keep"}),)
    assert both.nodes["keep"].inputs == (Input("lines", inside=False), Input("parse", inside=True))
    assert new_edges(PLAN, both) == (("lines", "keep"), ("parse", "keep"), ("keep", "parse"), ("keep", "save"))


def test_an_edge_that_comes_new_has_the_policies_of_its_target() -> None:
    mail = replace(PLAN.nodes["mail"], policy=Policy(Delivery.AT_MOST_ONCE, 1_000, 3))
    strict = replace(PLAN, nodes={**PLAN.nodes, "mail": mail})
    version = changed(strict, FlowsChange({"main": "lines >> mail"}))
    assert version is not None
    outputs = with_version(strict, version).nodes["lines"].outputs
    assert outputs[1] == Output("mail", False, Delivery.AT_MOST_ONCE, 1_000, 3, floors=False)


def test_a_version_that_is_over_takes_its_edges_along_and_they_are_remembered() -> None:
    both = after(FlowsChange({"main": "lines >> save"}), FlowsChange({"main": "lines >> mail"}))

    newest = without_versions(both, 3)

    assert newest.edges() == (("lines", "mail"),)
    assert newest.edges_ever() == (("lines", "mail"), ("lines", "parse"), ("lines", "save"), ("parse", "save"))
    assert newest.nodes["save"].inputs == ()
    again = changed(newest, FlowsChange({"main": "lines >> save"}))
    assert again is not None
    assert without_versions(with_version(newest, again), 4).past == (
        ("lines", "mail"),
        ("lines", "parse"),
        ("parse", "save"),
    )


def test_what_a_node_is_to_know_has_all_tables_and_says_which_one_is_in_force() -> None:
    both = after(FlowsChange({"main": "lines >> save"}))
    wiring = both.wiring("lines", 7, 1)
    assert [table.version for table in wiring.tables] == [1, 2]
    assert (wiring.number, wiring.current) == (7, 1)
    assert [output.target for output in wiring.outputs] == ["parse", "save"]
    assert typed(type(wiring), plain(wiring)) == wiring


def test_a_plan_with_several_versions_is_the_same_when_it_is_read_back() -> None:
    both = without_versions(after(FlowsChange({"x": "lines >> save"}), FlowsChange({"x": None})), 2)
    assert typed(Plan, plain(both)) == both
