"""What validation finds: single fields, names that must exist, rules of flows and of the ends of a pipeline.

Every case changes one thing in a descriptor that is right, and expects one finding, at its place.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer import limits
from streamer.descriptor.algorithm import Algorithm, AlgorithmCode, read_algorithm
from streamer.descriptor.document import Document, Value
from streamer.descriptor.fields import Report
from streamer.descriptor.finding import Finding
from streamer.descriptor.node import EdgePolicy, NodeKind, Partitioning, Retry, StateType
from streamer.descriptor.pipeline import (
    ConcurrentPipelines,
    Cron,
    DeclaredEdge,
    Options,
    Pipeline,
    PipelineKind,
    Triggers,
    Webhooks,
    read_pipeline,
)
from streamer.descriptor.validate import state_type, validate
from tests.strategies import values

STREAM: dict[str, Any] = {
    "name": "p",
    "kind": "stream",
    "nodes": [
        {"nodeName": "in", "kind": "source", "spec": {"connector": "stdin"}},
        {"nodeName": "work", "algorithmName": "work"},
        {"nodeName": "keep", "algorithmName": "work", "stateType": "stateful"},
        {"nodeName": "out", "kind": "sink", "spec": {"connector": "stdout"}},
    ],
    "streaming": {"flows": {"main": "in >> work >> out"}},
}
BATCH: dict[str, Any] = {
    "name": "p",
    "nodes": [
        {"nodeName": "green", "algorithmName": "work", "input": ["@flowInput.x", "#[1,2]"]},
        {"nodeName": "yellow", "algorithmName": "work", "input": ["#@green.a", {"b": "*@green"}]},
    ],
}
ALGORITHMS = {"work": Algorithm("work", code=AlgorithmCode("work.py"))}


def judge(value: Value, algorithms: Mapping[str, Algorithm] = ALGORITHMS) -> tuple[Pipeline, list[Finding]]:
    report = Report(Document(value, {}))
    pipeline = validate(read_pipeline(report), algorithms, report)
    return pipeline, report.findings


def changed(base: dict[str, Any], path: str, value: Value) -> dict[str, Any]:
    """`path` is dotted; numbers index lists."""
    after: Any = copy.deepcopy(base)
    at = after
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    for step in steps:
        at = at.setdefault(step, {}) if isinstance(step, str) else at[step]
    if last == len(at):
        at.append(value)
    else:
        at[last] = value
    assert isinstance(after, dict)
    return after


def accepted(base: dict[str, Any], path: str, value: Value) -> Pipeline:
    pipeline, findings = judge(changed(base, path, value))
    assert findings == []
    return pipeline


@pytest.mark.parametrize("base", [STREAM, BATCH], ids=["stream", "batch"])
def test_a_descriptor_that_is_right_has_no_findings(base: dict[str, Any]) -> None:
    assert judge(base)[1] == []


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("name", None, "is missing"),
        ("name", "a/b", "must contain only alphanumeric, dash, dot, colon or underscore"),
        ("name", "..", '".." could be read as a path'),
        ("name", "x" * 201, "has 201 characters"),
        ("kind", "strem", '"strem" is none of batch, stream'),
        ("experimentName", "e" * 33, "has 33 characters"),
        ("priority", 6, "6 is not a whole number from 1 to 5"),
        ("priority", "high", '"high" is not a whole number from 1 to 5'),
        ("tags", ["t" * 33], "has 33 characters"),
        ("types", ["odd"], '"odd" is none of'),
        ("webhooks.progress", "ftp//x", "is not an address"),
        ("webhooks.done", "http://x", '"done" is not a field of webhooks'),
        ("triggers.cron", {"enabled": True}, "is missing"),
        ("triggers.cron.pattern", "* * *", "is not a cron pattern"),
        ("triggers.cron.pattern", "0 25 * * *", "not * or a number from 0 to 23"),
        ("triggers.pipelines", ["a", "a"], "a pipeline stands twice"),
        ("options.ttl", -1, "-1 is not a whole number of at least 0"),
        ("options.activeTtl", 0, "0 is not a whole number of at least 1"),
        ("options.batchTolerance", 101, "101 is not a whole number from 0 to 100"),
        ("options.concurrentPipelines", 0, "0 is not a whole number from 1 to 10000"),
        ("options.concurrentPipelines", {"amount": 1, "amont": 1}, '"amont" is not a field of concurrentPipelines'),
        ("options.progressVerbosityLevel", "loud", '"loud" is none of'),
        ("options.debugOverride", ["nobody"], 'debugOverride node not in nodes list: "nobody"'),
        ("options.ttlSeconds", 3, '"ttlSeconds" is not a field of options'),
        ("flowInput", [1], "[1] is not a mapping"),
        ("nodess", [], '"nodess" is not a field of a pipeline'),
        ("edges", [{"source": "in", "target": "nobody"}], '"nobody" is not a node'),
        ("streaming", None, "please specify a stream flow"),
        ("streaming.flows", {}, "please specify a stream flow"),
        ("streaming.flows.main", 3, "3 is not a flow"),
        ("streaming.flows.main", "in >> work >> otu", 'invalid node "otu" in stream flow "main"'),
        ("streaming.flows.other", "keep >> out", "please specify a default stream flow"),
        ("streaming.defaultFlow", "mian", '"mian" is not a flow'),
        ("streaming.flow", {}, '"flow" is not a field of streaming'),
        ("nodes.4", "text", '"text" is not a mapping'),
        ("nodes.4", {"algorithmName": "work"}, "is missing"),
        ("nodes.4", {"nodeName": "work", "algorithmName": "work"}, 'the node "work" stands twice (first as nodes[1])'),
        ("nodes.2.nodeName", "flowInput", '"flowInput" is reserved'),
        ("nodes.1.nodename", "x", '"nodename" is not a field of a node'),
        ("nodes.1.kind", "algoritm", '"algoritm" is none of'),
        ("nodes.1.algorithmName", None, "is missing"),
        ("nodes.1.algorithmName", "Work", '"Work" is not a name of an algorithm'),
        ("nodes.1.algorithmName", "wrok", 'algorithm "wrok" is in none of the documents'),
        ("nodes.1.stateType", "stateles", '"stateles" is none of stateless, stateful'),
        ("nodes.1.minStatelessCount", 1001, "1001 is not a whole number from 0 to 1000"),
        ("nodes.2.partitionBy", "a..b", '"a..b" is not a path of names with dots between'),
        ("nodes.2.partitionBy", ["id"], "is not a path of names with dots between"),
        ("nodes.1.partitionBy", "id", 'node "work" is not a stateful algorithm, and only those are partitioned'),
        ("nodes.3.partitionBy", "id", 'node "out" is not a stateful algorithm, and only those are partitioned'),
        ("nodes.2.minReplicas", 2, "minReplicas without partitionBy"),
        ("nodes.1.maxReplicas", 2, "maxReplicas without partitionBy"),
        ("nodes.2.maxReplicas", 257, "257 is not a whole number from 1 to 256"),
        ("nodes.2.minStatelessCount", 1, "nodes which are not stateType=stateless cannot have minStatelessCount"),
        ("nodes.0.maxStatelessCount", 1, "nodes which are not stateType=stateless cannot have maxStatelessCount"),
        ("nodes.1.batchOperation", "zip", '"zip" is none of indexed, cartesian'),
        ("nodes.1.retry", {"policy": "Sometimes"}, '"Sometimes" is none of'),
        ("nodes.1.retry", {"limit": 0}, "0 is not a whole number of at least 1"),
        ("nodes.1.onError", "drop", '"drop" is not a mapping'),
        ("nodes.1.onError", {"then": "ignore"}, '"ignore" is none of dead-letter, drop, stop'),
        ("nodes.1.onError", {"retries": 3}, '"retries" is not a field of onError'),
        ("nodes.1.onError", {"retry": {"delay": 1}}, "is missing"),
        ("nodes.1.onError", {"retry": {"limit": -1}}, "-1 is not a whole number from 0 to 1000000"),
        ("nodes.1.onError", {"retry": {"limit": 1, "delay": -0.5}}, "-0.5 is not a number from 0 to 86400"),
        ("nodes.1.onError", {"retry": {"limit": 1, "delay": "1s"}}, '"1s" is not a number from 0 to 86400'),
        ("nodes.1.onError", {"retry": {"limit": 1, "factor": 0.5}}, "0.5 is not a number from 1 to 100"),
        ("nodes.1.onError", {"retry": {"limit": 1, "delay": 9, "maxDelay": 3}}, "a delay of 9 s is longer than"),
        ("nodes.1.onError", {"retry": {"limit": 1, "policy": "Always"}}, '"policy" is not a field of onError.retry'),
        ("nodes.0.onError", {"then": "drop"}, "a node of kind source has no handler that could fail"),
        ("nodes.3.onError", {"then": "drop"}, "a node of kind sink has no handler that could fail"),
        ("nodes.0.ttl", 5, "a node of kind source has no handler whose calls could take too long"),
        ("nodes.3.ttl", 5, "a node of kind sink has no handler whose calls could take too long"),
        ("nodes.1.ttl", -0.5, "-0.5 is not a number of at least 0"),
        ("nodes.1.includeInResults", "maybe", '"maybe" is not true or false'),
        ("nodes.1.metrics", {"tensorbord": True}, '"tensorbord" is not a field of metrics'),
        ("nodes.1.extraData", 3, "3 is not a mapping"),
        ("nodes.1.input", "@flowInput", '"@flowInput" is not a list'),
        ("nodes.1.input", ["@in"], 'the "@" sign is not allowed in "stream" pipeline, use streaming.flows: "@in"'),
        ("nodes.1.input", [{"a": "@"}], '"@" is not a reference'),
        ("nodes.1.delivery", "exactly-once", '"exactly-once" is none of at-least-once, at-most-once'),
        ("nodes.1.overload", "drop-all", '"drop-all" is none of block, drop-oldest, drop-newest, error'),
        ("nodes.1.queueBytes", "64 MB", '"64 MB" is not an amount of bytes'),
        ("nodes.1.queueBytes", "1Gi", '"1Gi" is out of bounds'),
        ("nodes.0.durability", "disk", '"disk" is none of none, log'),
        ("nodes.1.concurrency", 0, "0 is not a whole number from 1 to 1024"),
        ("nodes.1.hopLimit", 256, "256 is not a whole number from 1 to 255"),
        ("nodes.0.spec", None, "is missing"),
        ("nodes.0.spec", {}, "is missing"),
        ("nodes.0.spec.connector", "stdni", '"stdni" is not a connector'),
        ("nodes.0.spec.connector", "stdout", 'the connector "stdout" cannot be a source'),
        ("nodes.3.spec.connector", "generator", 'the connector "generator" cannot be a sink'),
        ("nodes.0.spec.format", "csv", '"csv" is none of text, jsonl, msgpack'),
        ("nodes.0.spec.fromat", "text", '"fromat" is not a field of a stdin source'),
        ("nodes.0.spec", {"connector": "file"}, "is missing"),
        ("nodes.0.spec", {"connector": "generator", "rate": 0}, "0 is not a number above 0"),
        ("nodes.0.spec", {"connector": "generator", "count": -1}, "-1 is not a whole number of at least 0"),
        ("nodes.0.spec", {"connector": "generator", "size": 1, "value": 1}, "size and value exclude each other"),
        ("nodes.3.spec", {"connector": "file", "path": "x", "append": "ja"}, '"ja" is not true or false'),
        ("nodes.0.stateType", "stateless", 'Source node "in" stateType must be "stateful"'),
        ("nodes.4", {"nodeName": "o", "kind": "output"}, "an output node is not allowed in a stream pipeline"),
        ("nodes.4", {"nodeName": "s", "kind": "pipeline"}, "is missing"),
        ("nodes.4", {"nodeName": "d", "kind": "dataSource", "spec": {}}, "is missing"),
        ("streaming.flows.main", "work >> out", 'entry node "work" cannot be stateless on stream pipeline'),
        ("streaming.flows.main", "keep >> in >> out", 'source node "in" cannot receive messages, but "keep" sends'),
        (
            "nodes.4",
            {"nodeName": "g", "kind": "gateway", "spec": {"port": 70000}},
            "70000 is not a whole number from 1 to",
        ),
        (
            "nodes.4",
            {"nodeName": "g", "kind": "gateway", "spec": {"prot": 80}},
            '"prot" is not a field of the spec of a',
        ),
        ("streaming.flows.main", "in >> out >> work", 'sink node "out" cannot send messages, but sends to "work"'),
    ],
)
def test_one_mistake_in_a_stream_makes_one_finding(path: str, value: Value, message: str) -> None:
    _, findings = judge(changed(STREAM, path, value))

    assert [message in finding.message for finding in findings] == [True], [f.headline for f in findings]
    assert findings[0].remedy
    assert "\n" not in findings[0].headline


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("streaming", {"flows": {"main": "a >> b"}}, "streaming flow is only allowed in stream pipeline"),
        ("nodes", None, "is missing"),
        ("nodes.0.input", ["@grene"], 'node "green" depends on node "grene", which does not exist'),
        ("nodes.0.input", ["@yellow"], "the inputs of green, yellow refer to each other in a cycle"),
        ("nodes.0.input", ["@green"], "the inputs of green refer to each other in a cycle"),
        ("nodes.0.input", ["#[3...1]"], 'the range "3...1" ends before it begins'),
        ("nodes.2", {"nodeName": "o", "kind": "output"}, 'output node "o" has no parents'),
        ("nodes.1.algorithmName", "wrok", 'algorithm "wrok" is in none of the documents'),
    ],
)
def test_one_mistake_in_a_batch_makes_one_finding(path: str, value: Value, message: str) -> None:
    _, findings = judge(changed(BATCH, path, value))

    assert [message in finding.message for finding in findings] == [True], [f.headline for f in findings]


def test_a_batch_pipeline_that_comes_alone_is_valid_without_its_algorithms() -> None:
    assert judge(BATCH, {})[1] == []


def test_a_stream_needs_the_documents_of_its_algorithms() -> None:
    _, findings = judge(STREAM, {})

    assert [finding.path for finding in findings] == ["nodes[1].algorithmName", "nodes[2].algorithmName"]
    assert findings[0].remedy == ("Add a document with name: work and code: {path: FILE.py}, or name its file too.")


def test_the_entry_rule_waits_for_an_algorithm_that_is_not_known() -> None:
    _, findings = judge(changed(STREAM, "streaming.flows.main", "work >> out"), {})

    assert {finding.path for finding in findings} == {"nodes[1].algorithmName", "nodes[2].algorithmName"}


def test_a_batch_has_one_output_without_children() -> None:
    outputs: list[Any] = [
        {"nodeName": "o", "kind": "output", "input": ["@green"]},
        {"nodeName": "p", "kind": "output", "input": ["@o"]},
    ]
    _, findings = judge({**BATCH, "nodes": [*BATCH["nodes"], *outputs]})

    assert [finding.message for finding in findings] == [
        'output node "o" cannot have children',
        "there is more than one output node",
    ]


def test_unknown_names_come_with_the_nearest_known_one() -> None:
    mistakes = {
        "nodes.1.maxStatelesCount": "maxStatelessCount",
        "nodes.0.spec.frmat": "format",
        "streaming.defaultflow": "defaultFlow",
        "prioritty": "priority",
    }
    for path, meant in mistakes.items():
        _, findings = judge(changed(STREAM, path, 1))
        assert [finding.remedy for finding in findings] == [f"Did you mean {meant}?"]


def test_all_findings_come_at_once() -> None:
    value = changed(STREAM, "nodes.1.ttl", "x")
    value = changed(value, "nodes.3.spec.connector", "stdot")
    value = changed(value, "streaming.flows.main", "in >> work >> nowhere")

    _, findings = judge(value)

    assert [finding.path for finding in findings] == [
        "nodes[1].ttl",
        "nodes[3].spec.connector",
        "streaming.flows.main",
    ]


def test_a_log_is_for_nodes_at_which_messages_come_in() -> None:
    gateway = changed(STREAM, "nodes.0", {"nodeName": "in", "kind": "gateway", "durability": "log"})
    for entry in (changed(STREAM, "nodes.0.durability", "log"), changed(STREAM, "nodes.2.durability", "log"), gateway):
        pipeline, findings = judge(entry)
        assert findings == []
        assert "log" in {node.durability for node in pipeline.nodes}


@pytest.mark.parametrize(
    ("node", "what"),
    [
        pytest.param(
            1, "stateless node 'work' sends only what comes of its input, which is sent again", id="stateless"
        ),
        pytest.param(3, "sink 'out' sends nothing", id="sink"),
    ],
)
def test_a_log_elsewhere_has_no_effect(node: int, what: str) -> None:
    _, (finding,) = judge(changed(STREAM, f"nodes.{node}.durability", "log"))

    assert finding.message == f"durability: log has no effect here: {what}".replace("'", '"')
    assert finding.path == f"nodes[{node}].durability"


def test_counts_must_be_in_order() -> None:
    value = changed(changed(STREAM, "nodes.1.minStatelessCount", 5), "nodes.1.maxStatelessCount", 4)

    assert [finding.message for finding in judge(value)[1]] == [
        "minStatelessCount 5 is greater than maxStatelessCount 4"
    ]


@pytest.mark.parametrize("path", [".", "id", "user.id", "items.0.id", 0])
def test_a_stateful_node_may_be_partitioned(path: Value) -> None:
    value = changed(changed(STREAM, "nodes.2.partitionBy", path), "nodes.2.maxReplicas", 4)

    assert accepted(value, "nodes.2.minReplicas", 2).node("keep").partitioning == Partitioning(str(path), 2, 4)


def test_replicas_of_a_partitioned_node_must_be_in_order() -> None:
    value = changed(STREAM, "nodes.2.partitionBy", "id")
    value = changed(changed(value, "nodes.2.minReplicas", 5), "nodes.2.maxReplicas", 4)

    assert [finding.message for finding in judge(value)[1]] == ["minReplicas 5 is greater than maxReplicas 4"]


def test_a_partitioned_node_handles_one_message_after_the_other() -> None:
    value = changed(changed(STREAM, "nodes.2.partitionBy", "id"), "nodes.2.concurrency", 2)

    (finding,) = judge(value)[1]
    assert finding.path == "nodes[2].concurrency"
    assert "one message after the other" in finding.message


def test_a_node_whose_algorithm_is_not_known_may_be_partitioned() -> None:
    value = changed(STREAM, "nodes.1.partitionBy", "id")

    assert [f.path for f in judge(value, {})[1] if "partition" in f.path] == []


def test_a_sink_has_a_file_of_its_own() -> None:
    value = changed(STREAM, "nodes.0.spec", {"connector": "file", "path": "./a"})
    value = changed(value, "nodes.3.spec", {"connector": "file", "path": "x/../a"})

    assert [finding.message for finding in judge(value)[1]] == ['"x/../a" is used by node "in" too']


def test_two_sources_may_read_one_file() -> None:
    value = changed(STREAM, "nodes.0.spec", {"connector": "file", "path": "a"})
    more: dict[str, Any] = {"nodeName": "again", "kind": "source", "spec": {"connector": "file", "path": "a"}}

    assert judge(changed(value, "nodes.4", more))[1] == []


def test_the_entry_rule_looks_at_all_flows_together() -> None:
    value = changed(STREAM, "streaming", {"flows": {"main": "in >> work >> out", "b": "work >> keep"}})

    assert judge(changed(value, "streaming.defaultFlow", "main"))[1] == []


@pytest.mark.parametrize("entry", [{"kind": "gateway"}, {"algorithmName": "work", "stateType": "stateful"}])
def test_a_gateway_or_a_stateful_node_may_be_an_entry(entry: dict[str, Any]) -> None:
    value = changed(STREAM, "nodes.4", {"nodeName": "entry", **entry})

    assert judge(changed(value, "streaming.flows.main", "entry >> work"))[1] == []


def test_a_gateway_receives_nothing_from_a_flow() -> None:
    value = changed(STREAM, "nodes.4", {"nodeName": "door", "kind": "gateway"})

    [finding] = judge(changed(value, "streaming.flows.main", "in >> work >> door"))[1]

    assert finding.message == 'gateway node "door" cannot receive messages, but "work" sends to it'


@pytest.mark.parametrize(
    ("first", "second", "place", "message"),
    [
        pytest.param({"port": 80}, {"port": 80}, "nodes[5].spec.port", "the port 80 is that of", id="port"),
        pytest.param({"name": "b"}, {}, "nodes[5].nodeName", 'the name "b" is that of', id="name of a node"),
        pytest.param({"name": "c"}, {"name": "c"}, "nodes[5].spec.name", 'the name "c" is that of', id="name"),
    ],
)
def test_two_gateways_share_neither_name_nor_port(
    first: dict[str, Any], second: dict[str, Any], place: str, message: str
) -> None:
    value = changed(STREAM, "nodes.4", {"nodeName": "a", "kind": "gateway", "spec": first})

    [finding] = judge(changed(value, "nodes.5", {"nodeName": "b", "kind": "gateway", "spec": second}))[1]

    assert (finding.path, finding.message) == (place, f'{message} gateway node "a" too')


@pytest.mark.parametrize(
    "node", [{"algorithmName": "work"}, {"kind": "sink", "spec": {"connector": "blackhole"}}, {"kind": "gateway"}]
)
def test_nodes_outside_every_flow_are_allowed(node: dict[str, Any]) -> None:
    assert judge(changed(STREAM, "nodes.4", {"nodeName": "alone", **node}))[1] == []


def test_a_stream_may_refer_to_a_data_source() -> None:
    value = changed(STREAM, "nodes.4", {"nodeName": "data", "kind": "dataSource", "spec": {"name": "images"}})

    assert judge(changed(value, "nodes.1.input", ["@data", "@dataSource.images/a", "@flowInput.x"]))[1] == []


def test_what_a_stored_job_carries_is_accepted_and_ignored() -> None:
    record: dict[str, Any] = {
        "jobId": "x",
        "startTime": 1,
        "lastRunResult": {},
        "auditTrail": [],
        "next": 1,
        "userPipeline": {},
    }
    derived = {**STREAM["streaming"], "parsedFlow": {}, "gateways": []}

    assert judge({**STREAM, **record, "streaming": derived}) == judge(STREAM)


def test_null_means_that_a_field_is_not_given() -> None:
    fields: dict[str, Any] = dict.fromkeys(
        ["priority", "description", "options", "flowInput", "webhooks", "triggers", "edges"]
    )

    assert judge({**STREAM, **fields}) == judge(STREAM)
    assert accepted(STREAM, "nodes.1.maxStatelessCount", None).node("work").max_stateless_count is None


def test_numbers_and_truths_in_quotes_count_as_such() -> None:
    assert accepted(STREAM, "priority", "5").priority == 5
    assert accepted(STREAM, "nodes.1.includeInResult", "true").node("work").include_in_results
    assert accepted(STREAM, "name", 7).name == "7"


def test_bytes_may_have_a_unit() -> None:
    sizes: dict[Any, int] = {"64Mi": 64 * 2**20, "1.5Ki": 1536, "2k": 2000, 77: 77, "77": 77}

    for written, size in sizes.items():
        assert accepted(STREAM, "nodes.1.queueBytes", written).node("work").edges.queue_bytes == size


def test_every_field_of_a_pipeline_is_kept() -> None:
    pipeline, findings = judge(
        {
            **STREAM,
            "description": "d",
            "experimentName": "e",
            "flowInput": {"a": [1]},
            "priority": 1,
            "tags": ["t"],
            "types": ["stored"],
            "edges": [{"source": "in", "target": "work", "types": ["customStream"]}],
            "webhooks": {"progress": "http://p", "result": "https://r"},
            "triggers": {"pipelines": ["q"], "cron": {"pattern": "0 */5 * * * *", "enabled": True}},
            "options": {
                "ttl": 1,
                "activeTtl": 2,
                "batchTolerance": 3,
                "concurrentPipelines": {"amount": 4, "rejectOnFailure": False},
                "progressVerbosityLevel": "error",
                "debugOverride": ["work"],
            },
            "rootJobId": "r",
            "version": "v",
        }
    )

    assert findings == []
    assert (pipeline.name, pipeline.kind) == ("p", PipelineKind.STREAM)
    assert (pipeline.description, pipeline.experiment_name, pipeline.flow_input) == ("d", "e", {"a": [1]})
    assert (pipeline.priority, pipeline.tags, pipeline.types) == (1, ("t",), ("stored",))
    assert pipeline.edges == (DeclaredEdge("in", "work", ("customStream",)),)
    assert pipeline.webhooks == Webhooks("http://p", "https://r")
    assert pipeline.triggers == Triggers(("q",), Cron("0 */5 * * * *", enabled=True))
    assert pipeline.options == Options(1, 2, 3, ConcurrentPipelines(4, reject_on_failure=False), "error", ("work",))
    assert (pipeline.root_job_id, pipeline.version) == ("r", "v")


def test_a_bare_number_limits_concurrent_pipelines() -> None:
    assert accepted(STREAM, "options.concurrentPipelines", 4).options.concurrent_pipelines == ConcurrentPipelines(4)


def test_every_field_of_a_node_is_kept() -> None:
    node = accepted(
        STREAM,
        "nodes.1",
        {
            "nodeName": "work",
            "kind": "algorithm",
            "algorithmName": "work",
            "input": [1, "@flowInput.a"],
            "stateType": "stateless",
            "minStatelessCount": 1,
            "maxStatelessCount": 2,
            "delivery": "at-most-once",
            "overload": "block",
            "queueBytes": "1Mi",
            "hopLimit": 3,
            "concurrency": 4,
            "batchOperation": "cartesian",
            "retry": {"policy": "Always", "limit": 5},
            "ttl": 6,
            "includeInResults": True,
            "metrics": {"tensorboard": False},
            "extraData": {"code": "x"},
            "cacheJobId": "c",
            "origName": "o",
        },
    ).node("work")

    assert (node.kind, node.algorithm, node.input) == (NodeKind.ALGORITHM, "work", (1, "@flowInput.a"))
    assert (node.state_type, node.min_stateless_count, node.max_stateless_count) == (StateType.STATELESS, 1, 2)
    assert node.edges == EdgePolicy("at-most-once", "block", 2**20, 3)
    assert (node.concurrency, node.batch_operation, node.retry, node.ttl) == (4, "cartesian", Retry("Always", 5), 6)
    assert (node.include_in_results, node.metrics, node.extra_data) == (True, {"tensorboard": False}, {"code": "x"})
    assert (node.cache_job_id, node.orig_name) == ("c", "o")


def test_the_policies_of_edges_have_defaults() -> None:
    policy = judge(STREAM)[0].node("work").edges

    assert policy == EdgePolicy("at-least-once", "block", 64 * 2**20, 64)


@pytest.mark.parametrize(
    ("index", "spec", "complete"),
    [
        (
            0,
            {"connector": "file", "path": "a"},
            {"connector": "file", "path": "a", "format": "text", "follow": False},
        ),
        (0, {"connector": "stdin", "format": "jsonl"}, {"connector": "stdin", "format": "jsonl"}),
        (0, {"connector": "generator"}, {"connector": "generator"}),
        (
            0,
            {"connector": "generator", "count": 5, "rate": 2.5, "size": "1Ki"},
            {"connector": "generator", "count": 5, "rate": 2.5, "size": 1024},
        ),
        (
            0,
            {"connector": "generator", "value": {"a": ["{n}"]}},
            {"connector": "generator", "value": {"a": ["{n}"]}},
        ),
        (
            3,
            {"connector": "file", "path": "a"},
            {"connector": "file", "path": "a", "format": "jsonl", "append": False},
        ),
        (3, {"connector": "stdout"}, {"connector": "stdout", "format": "jsonl"}),
        (3, {"connector": "blackhole"}, {"connector": "blackhole"}),
    ],
)
def test_the_spec_of_a_connector_is_completed(index: int, spec: Value, complete: dict[str, Value]) -> None:
    assert accepted(STREAM, f"nodes.{index}.spec", spec).nodes[index].spec == complete


def test_the_state_of_a_node_is_its_own_else_its_algorithms_else_stateless() -> None:
    pipeline, _ = judge(STREAM)
    stateful = {"work": Algorithm("work", state_type=StateType.STATEFUL)}

    assert state_type(pipeline.node("in"), ALGORITHMS) is StateType.STATEFUL
    assert state_type(pipeline.node("work"), ALGORITHMS) is StateType.STATELESS
    assert state_type(pipeline.node("work"), stateful) is StateType.STATEFUL
    assert state_type(pipeline.node("keep"), ALGORITHMS) is StateType.STATEFUL


def test_a_pipeline_has_a_bounded_number_of_nodes() -> None:
    nodes: list[Value] = [{"nodeName": f"n{at}", "algorithmName": "work"} for at in range(limits.NODES_MAX + 1)]

    assert [finding.message for finding in judge({**BATCH, "nodes": nodes})[1]] == ["1001 elements"]


def test_findings_are_bounded() -> None:
    _, findings = judge(changed(STREAM, "tags", [[]] * 2000))

    assert len(findings) == limits.FINDINGS_MAX
    assert findings[-1].message == "more than 999 findings"


def test_a_chain_as_long_as_a_pipeline_may_be_is_valid() -> None:
    nodes: list[Value] = [
        {"nodeName": f"n{at}", "algorithmName": "work", "input": [f"@n{at + 1}"] if at < 999 else []}
        for at in range(limits.NODES_MAX)
    ]

    assert judge({**BATCH, "nodes": nodes})[1] == []


@given(values)
def test_validation_judges_any_value(value: Value) -> None:
    _, findings = judge(value)

    assert all(finding.remedy and "\n" not in finding.headline for finding in findings)


@given(values)
def test_an_algorithm_is_judged_whatever_it_is(value: Value) -> None:
    report = Report(Document(value, {}))
    read_algorithm(Document(value, {}), report)

    assert report.findings


_FIELDS = st.sampled_from(
    ["name", "kind", "nodes", "streaming", "flowInput", "options", "webhooks", "triggers", "edges", "tags"]
    + [f"nodes.{at}.{field}" for at in range(4) for field in ("nodeName", "kind", "spec", "input", "stateType")]
    + ["nodes.4", "streaming.flows", "streaming.flows.main", "streaming.defaultFlow", "nodes.1.queueBytes"]
)
_MEANT = st.sampled_from(["stream", "gateway", "output", "pipeline", "hyperparamsTuner", "@work", "in >> in", "stdin"])


@given(_FIELDS, values | _MEANT | st.lists(_MEANT, max_size=2))
def test_validation_judges_any_field(path: str, value: Any) -> None:
    _, findings = judge(changed(STREAM, path, value))

    assert all(finding.remedy for finding in findings)


def test_retries_are_said_in_the_words_of_hkube_or_in_ours_and_not_in_both() -> None:
    value = changed(STREAM, "nodes.1.retry", {"policy": "OnError", "limit": 2})
    value = changed(value, "nodes.1.onError", {"then": "drop"})

    _, findings = judge(value)

    assert [finding.message for finding in findings] == ["retry says the same in HKube's words"]
