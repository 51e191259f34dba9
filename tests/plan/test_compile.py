"""From a descriptor to what each instance runs: roles, replicas, edges with their policies, args, paths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from streamer.descriptor.algorithm import Algorithm, AlgorithmCode, Placement, Resources
from streamer.descriptor.document import Document
from streamer.descriptor.fields import Report
from streamer.descriptor.node import StateType
from streamer.descriptor.pipeline import Pipeline, read_pipeline
from streamer.descriptor.validate import validate
from streamer.errors import DescriptorError
from streamer.plan.assignment import (
    Assignment,
    Code,
    Connector,
    Delivery,
    Durability,
    Gateway,
    Input,
    OnError,
    Output,
    Role,
    Then,
)
from streamer.plan.compile import Plan, compile_plan

HERE = Path("here").absolute()
SOURCE = {"nodeName": "in", "kind": "source", "spec": {"connector": "file", "path": "a.log"}}
SINK = {"nodeName": "out", "kind": "sink", "spec": {"connector": "file", "path": "o.jsonl", "append": True}}


@pytest.fixture
def algorithms(tmp_path: Path) -> dict[str, Algorithm]:
    (tmp_path / "folder").mkdir()
    return {
        "work": Algorithm("work", str(tmp_path), AlgorithmCode("work.py")),
        "state": Algorithm("state", str(tmp_path), AlgorithmCode("folder"), state_type=StateType.STATEFUL),
        "image": Algorithm("image", algorithm_image="host/image"),
        "script": Algorithm("script", str(tmp_path), AlgorithmCode("main.js"), env="nodejs"),
        "archive": Algorithm("archive", str(tmp_path), AlgorithmCode("code.zip")),
    }


def pipeline(flow: str, *nodes: Mapping[str, Any], **fields: Any) -> Pipeline:
    """Valid but for its algorithms, which only a plan needs."""
    value: dict[str, Any] = {
        "name": "p",
        "kind": "stream",
        "nodes": [SOURCE, SINK, *nodes],
        "streaming": {"flows": {"main": flow}},
        **fields,
    }
    report = Report(Document(value, {}))
    found = validate(read_pipeline(report), {name: Algorithm(name) for name in ("work", "state")}, report)
    assert [finding.headline for finding in report.findings if "none of the documents" not in finding.message] == []
    return found


def compiled(algorithms: Mapping[str, Algorithm], flow: str, *nodes: Mapping[str, Any], **fields: Any) -> Plan:
    return compile_plan(pipeline(flow, *nodes, **fields), algorithms, folder=HERE)


def work(name: str = "work", **fields: Any) -> dict[str, Any]:
    return {"nodeName": name, "algorithmName": "work", **fields}


def test_the_state_of_an_algorithm_decides_the_role_of_its_node(algorithms: dict[str, Algorithm]) -> None:
    plan = compiled(
        algorithms,
        "in >> work >> keep >> own >> out",
        work(),
        work("keep", stateType="stateful"),
        {"nodeName": "own", "algorithmName": "state"},
    )

    assert {name: node.role for name, node in plan.nodes.items()} == {
        "in": Role.SOURCE,
        "out": Role.SINK,
        "work": Role.STATELESS,
        "keep": Role.STATEFUL,
        "own": Role.STATEFUL,
    }


@pytest.mark.parametrize(
    ("fields", "replicas"),
    [
        ({}, (1, 0, None)),
        ({"minStatelessCount": 3}, (3, 3, None)),
        ({"minStatelessCount": 0, "maxStatelessCount": 4}, (1, 0, 4)),
        ({"stateType": "stateful"}, (1, 1, 1)),
        ({"stateType": "stateful", "partitionBy": "id"}, (1, 1, 1)),
        ({"stateType": "stateful", "partitionBy": "id", "minReplicas": 3}, (3, 3, 3)),
        ({"stateType": "stateful", "partitionBy": "id", "maxReplicas": 4}, (1, 1, 4)),
    ],
)
def test_a_stateless_node_starts_with_its_minimum_and_at_least_one(
    algorithms: dict[str, Algorithm], fields: dict[str, Any], replicas: tuple[int, int, int | None]
) -> None:
    node = compiled(algorithms, "in >> work >> out", work(**fields)).nodes["work"]

    assert (node.replicas, node.min_replicas, node.max_replicas) == replicas


def test_a_source_and_a_sink_have_one_instance_and_their_connector(algorithms: dict[str, Algorithm]) -> None:
    plan = compiled(algorithms, "in >> out")

    assert plan.nodes["in"].connector == Connector(
        "file", {"path": str(HERE / "a.log"), "format": "text", "follow": False}
    )
    assert plan.nodes["out"].connector == Connector(
        "file", {"path": str(HERE / "o.jsonl"), "format": "jsonl", "append": True}
    )
    for node in plan.nodes.values():
        assert (node.replicas, node.min_replicas, node.max_replicas, node.code, node.args) == (1, 1, 1, None, {})


def test_a_path_that_is_absolute_stays_as_it_is(algorithms: dict[str, Algorithm]) -> None:
    path = str(Path("elsewhere").absolute())
    source = {**SOURCE, "nodeName": "again", "spec": {"connector": "file", "path": path}}

    plan = compiled(algorithms, "again >> out", source)

    assert plan.nodes["again"].connector == Connector("file", {"path": path, "format": "text", "follow": False})


def test_code_is_an_absolute_file(algorithms: dict[str, Algorithm], tmp_path: Path) -> None:
    plan = compiled(algorithms, "in >> work >> own", work(), {"nodeName": "own", "algorithmName": "state"})

    assert plan.nodes["work"].code == Code("work", str(tmp_path / "work.py"))
    assert plan.nodes["own"].code == Code("state", str(tmp_path / "folder" / "main.py"))


def test_the_policies_of_an_edge_are_those_that_its_target_declares(algorithms: dict[str, Algorithm]) -> None:
    plan = compiled(
        algorithms,
        "in >> work >> out",
        work(delivery="at-most-once", queueBytes="1Mi", hopLimit=3, concurrency=4),
    )

    assert plan.nodes["in"].outputs == (Output("work", False, Delivery.AT_MOST_ONCE, 2**20, 3, floors=False),)
    assert plan.nodes["work"].outputs == (Output("out", False, Delivery.AT_LEAST_ONCE, 64 * 2**20, 64, floors=False),)
    assert plan.nodes["work"].concurrency == 4


def test_an_edge_knows_whether_one_behind_it_drops(algorithms: dict[str, Algorithm]) -> None:
    plan = compiled(algorithms, "in >> work >> out & slow", work(), work("slow", overload="drop-oldest"))
    below = {(name, out.target): out.drops_below for name, node in plan.nodes.items() for out in node.outputs}
    assert below == {("in", "work"): True, ("work", "out"): False, ("work", "slow"): False}


def test_edges_inside_a_cycle_are_marked_at_both_ends(algorithms: dict[str, Algorithm]) -> None:
    plan = compiled(algorithms, "in >> a >> b >> a | b >> out", work("a"), work("b"))

    assert plan.components == (frozenset({"a", "b"}),)
    assert plan.nodes["a"].inputs == (Input("in", inside=False), Input("b", inside=True))
    assert plan.nodes["b"].inputs == (Input("a", inside=True),)
    assert [(output.target, output.inside) for output in plan.nodes["b"].outputs] == [("a", True), ("out", False)]


def test_edges_of_all_flows_are_the_edges_of_the_plan(algorithms: dict[str, Algorithm]) -> None:
    plan = compiled(
        algorithms,
        "",
        work(),
        streaming={"flows": {"main": "in >> work >> out", "fast": "in >> out"}, "defaultFlow": "main"},
    )

    assert sorted(plan.edges()) == [("in", "out"), ("in", "work"), ("work", "out")]
    assert plan.routes.flows() == ("main", "fast")
    assert plan.routes.default_flow == "main"


def test_a_node_outside_every_flow_is_planned_without_edges(algorithms: dict[str, Algorithm]) -> None:
    node = compiled(algorithms, "in >> out", work("alone")).nodes["alone"]

    assert (node.replicas, node.inputs, node.outputs) == (1, (), ())


@pytest.mark.parametrize("ttl", [0, 0.5, 20])
def test_a_call_may_take_a_part_of_a_second(algorithms: dict[str, Algorithm], ttl: float) -> None:
    node = compiled(algorithms, "in >> work >> out", work(ttl=ttl)).nodes["work"]

    assert (node.ttl_s, node.args["ttl"]) == (ttl, ttl)


def test_a_node_needs_the_accelerators_of_its_algorithm_of_the_kind_that_it_selects(
    algorithms: dict[str, Algorithm],
) -> None:
    chosen = Placement(node_selector={"nvidia.com/gpu.product": "NVIDIA-L4"})
    fast = replace(algorithms["work"], resources=Resources(gpu=2), placement=chosen)
    plain = replace(algorithms["work"], placement=chosen)

    assert compiled({"work": fast}, "in >> work >> out", work()).nodes["work"].needs.kinds == {"NVIDIA-L4": 2}
    assert compiled({"work": plain}, "in >> work >> out", work()).nodes["work"].needs.kinds == {}


def test_args_are_those_that_algorithms_know(algorithms: dict[str, Algorithm]) -> None:
    plan = compiled(
        algorithms,
        "in >> work >> out",
        work(input=["@flowInput.files.0", {"n": 1}], extraData={"x": 1}, ttl=7, spec={"free": True}),
        flowInput={"files": ["a", "b"]},
        priority=4,
        rootJobId="root",
    )

    assert plan.nodes["work"].args == {
        "input": ["a", {"n": 1}],
        "flatInput": {"0": "a", "1.n": 1},
        "storage": {},
        "batchIndex": None,
        "parentNodeName": None,
        "spanId": None,
        "nodeName": "work",
        "algorithmName": "work",
        "pipelineName": "p",
        "kind": "stream",
        "stateType": "stateless",
        "parents": ["in"],
        "childs": ["out"],
        "parsedFlow": {"main": [{"source": "in", "next": ["work"]}, {"source": "work", "next": ["out"]}]},
        "defaultFlow": "main",
        "priority": 4,
        "metrics": {},
        "ttl": 7,
        "retry": {"policy": "Never", "limit": 0},
        "spec": {"free": True},
        "info": {"extraData": {"x": 1}, "savePaths": [], "lastRunResult": None, "rootJobId": "root"},
    }


def test_who_sends_to_a_partitioned_node_and_its_instances_know_where_keys_lie(
    algorithms: dict[str, Algorithm],
) -> None:
    plan = compiled(algorithms, "in >> work >> out", work(stateType="stateful", partitionBy="user.id"))

    assert [output.partition_by for output in plan.nodes["in"].outputs] == ["user.id"]
    assert [output.partition_by for output in plan.nodes["work"].outputs] == [""]
    assignment = plan.assignment("work", 0, job="j", token="t", epoch=1, folder="f", dead_letters="d", control="c")
    assert assignment.partition_by == "user.id"
    assert Assignment.from_json(assignment.to_json()) == assignment


def test_a_stateful_node_is_always_retried(algorithms: dict[str, Algorithm]) -> None:
    args = compiled(algorithms, "in >> work >> out", work(stateType="stateful")).nodes["work"].args

    assert (args["stateType"], args["retry"]) == ("stateful", {"policy": "Always", "limit": 10_000})


@pytest.mark.parametrize(
    ("fields", "policy"),
    [
        pytest.param({}, OnError(), id="nothing said"),
        pytest.param({"onError": {"then": "drop"}}, OnError(then=Then.DROP), id="only what then"),
        pytest.param(
            {"onError": {"retry": {"limit": 5, "delay": 0.5, "factor": 3, "maxDelay": 20}, "then": "stop"}},
            OnError(5, 0.5, 3.0, 20.0, Then.STOP),
            id="all",
        ),
        pytest.param({"retry": {"policy": "Never", "limit": 7}}, OnError(), id="HKube's Never"),
        pytest.param({"retry": {"limit": 7}}, OnError(), id="HKube's default, OnCrash"),
        pytest.param({"retry": {"policy": "OnError", "limit": 7}}, OnError(limit=7), id="HKube's OnError"),
        pytest.param({"retry": {"policy": "Always"}}, OnError(limit=3), id="HKube's Always"),
    ],
)
def test_what_becomes_of_errors_is_what_the_node_declares(
    algorithms: dict[str, Algorithm], fields: dict[str, Any], policy: OnError
) -> None:
    plan = compiled(algorithms, "in >> work >> out", work(**fields))

    assert plan.nodes["work"].on_error == policy
    assignment = plan.assignment("work", 0, job="j", token="t", epoch=1, folder="f", dead_letters="d", control="c")
    assert Assignment.from_json(assignment.to_json()).on_error == policy


def test_delays_grow_up_to_their_limit_however_often_it_is() -> None:
    policy = OnError(limit=9, delay_s=0.5, factor=3.0, max_delay_s=10.0)

    assert [policy.delay_s_after(attempts) for attempts in (1, 2, 3, 4, 1_000_000)] == [0.5, 1.5, 4.5, 10.0, 10.0]


def test_an_assignment_holds_what_one_instance_runs(algorithms: dict[str, Algorithm]) -> None:
    plan = compiled(algorithms, "in >> work >> out", work(minStatelessCount=2))

    def assignment(index: int, epoch: int = 1) -> Assignment:
        return plan.assignment(
            "work", index, job="j", token="t", epoch=epoch, folder="f", dead_letters=Path("d"), control="tcp://c"
        )

    first, second = assignment(0), assignment(1)

    assert (first.instance, second.instance, first.pipeline, first.node) == ("work-0", "work-1", "p", "work")
    assert (first.folder, first.dead_letters, first.control) == ("f", "d", "tcp://c")
    assert first.args["jobId"] == "j"
    assert first.args["taskId"] != second.args["taskId"]
    assert assignment(0, epoch=2).args == first.args
    assert Assignment.from_json(first.to_json()) == first


def test_a_batch_pipeline_is_refused_with_a_reason(algorithms: dict[str, Algorithm]) -> None:
    with pytest.raises(DescriptorError, match="batch pipelines do not run yet in this version"):
        compile_plan(Pipeline("p"), algorithms, folder=HERE)


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"algorithmName": "image"}, "node x: algorithm image needs code.path to run on this machine"),
        ({"algorithmName": "unknown"}, "node x: algorithm unknown needs code.path to run on this machine"),
        ({"algorithmName": "script"}, "env nodejs, and only python runs in this version"),
        ({"algorithmName": "archive"}, "of algorithm archive is not a Python file"),
        ({"kind": "debug", "algorithmName": "work"}, "node x: nodes of kind debug do not run yet in this version"),
        ({"algorithmName": "work", "input": ["@flowInput.a"]}, "node x: unable to find flowInput.a"),
        ({"algorithmName": "work", "input": ["#@flowInput"]}, "makes one task for each element"),
    ],
)
def test_what_cannot_run_yet_is_refused(algorithms: dict[str, Algorithm], node: dict[str, Any], message: str) -> None:
    with pytest.raises(DescriptorError) as refused:
        compiled(algorithms, "in >> out", {"nodeName": "x", **node})

    assert message in str(refused.value)
    assert refused.value.advice != DescriptorError.remedy


@pytest.mark.parametrize(
    ("spec", "gateway"),
    [
        pytest.param({}, Gateway("door", 0), id="named after its node, at a port that is free"),
        pytest.param({"name": "tweets", "port": 8080}, Gateway("tweets", 8080), id="as its spec says"),
    ],
)
def test_a_gateway_is_one_instance_with_a_name_and_a_port(
    algorithms: dict[str, Algorithm], spec: dict[str, Any], gateway: Gateway
) -> None:
    plan = compiled(algorithms, "door >> out", {"nodeName": "door", "kind": "gateway", "spec": spec})

    planned = plan.nodes["door"]
    assert (planned.role, planned.replicas, planned.max_replicas) == (Role.GATEWAY, 1, 1)
    assert planned.gateway == gateway
    assignment = plan.assignment(
        "door", 0, job="j", token="t", epoch=1, folder="f", dead_letters="d", control="tcp://127.0.0.1:1"
    )
    assert Assignment.from_json(assignment.to_json()) == assignment
    assert assignment.gateway == gateway


def test_everything_refused_is_named_at_once(algorithms: dict[str, Algorithm]) -> None:
    with pytest.raises(DescriptorError) as refused:
        compiled(
            algorithms,
            "in >> out",
            {"nodeName": "x", "algorithmName": "image"},
            {"nodeName": "y", "kind": "dataSource", "spec": {"name": "images"}},
            work("z", input=["@flowInput.a", "@flowInput.b"]),
        )

    assert [line.split(":")[0] for line in str(refused.value).splitlines()] == ["node x", "node y", "node z", "node z"]


def test_what_a_node_must_not_forget_travels_to_its_instances(algorithms: Mapping[str, Algorithm]) -> None:
    keep = {"nodeName": "keep", "algorithmName": "state", "stateType": "stateful", "durability": "log"}
    plan = compiled(algorithms, "keep >> out", keep)

    for node, durability in (("keep", Durability.LOG), ("out", Durability.NONE)):
        assignment = plan.assignment(node, 0, job="j", token="t", epoch=1, folder="f", dead_letters="d", control="c")
        assert assignment.durability is durability
        assert Assignment.from_json(assignment.to_json()) == assignment
