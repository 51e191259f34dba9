"""What the spec of a Kafka source or sink may hold, and that no secret is among it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from streamer.descriptor.connectors import BUILT_IN, read_connector
from streamer.descriptor.document import Document
from streamer.descriptor.fields import Report
from streamer.descriptor.load import load

SOURCE = {"connector": "kafka", "bootstrap": "localhost:9092", "topics": "orders", "group": "readers"}
SINK = {"connector": "kafka", "bootstrap": "a:1,b:2", "topic": "results"}


def read(spec: dict[str, Any], end: str = "source") -> tuple[Any, list[str]]:
    report = Report(Document(spec, {}))
    found, _ = read_connector(report.top(), end, BUILT_IN)
    return found, [f"{finding.path}: {finding.message} | {finding.remedy}" for finding in report.findings]


def test_what_is_left_out_has_a_meaning() -> None:
    assert read(SOURCE) == (
        {**SOURCE, "topics": ["orders"], "format": "json", "start": "earliest", "untilEnd": False, "record": False},
        [],
    )
    assert read(SINK, "sink") == (
        {**SINK, "format": "json", "exactlyOnce": False, "marksTopic": "streamer.sink-marks"},
        [],
    )


def test_any_text_may_be_the_name_of_a_variable() -> None:
    security = {"protocol": "SASL_SSL", "username": "${ME}", "password": "${SECRET}", "caFile": "${CA}"}
    spec = {**SOURCE, "bootstrap": "${BROKERS}", "group": "${TEAM}-readers", "security": security}

    found, findings = read(spec)

    assert findings == []
    assert found["security"] == {**security, "mechanism": "PLAIN"}


@pytest.mark.parametrize(
    ("fields", "finding"),
    [
        pytest.param({"bootstrap": "localhost"}, '"localhost" is no address of a Kafka broker', id="no-port"),
        pytest.param({"bootstrap": "a:1,b:99999"}, '"b:99999" is no address', id="no-such-port"),
        pytest.param({"topics": []}, "is not a list of different topics", id="no-topic"),
        pytest.param({"topics": ["a", "a"]}, "is not a list of different topics", id="a-topic-twice"),
        pytest.param({"topics": "a b"}, 'topics: "a b" is not the name of a topic', id="no-name-of-a-topic"),
        pytest.param({"start": "first"}, "is none of earliest, latest", id="no-such-start"),
        pytest.param({"format": "jsonl"}, "is none of json, text, msgpack, raw", id="no-such-format"),
        pytest.param({"security": "SSL"}, '"SSL" is not a mapping with a protocol', id="no-mapping"),
        pytest.param({"security": {"protocol": "TLS"}}, "is none of PLAINTEXT, SSL,", id="no-such-protocol"),
        pytest.param({"security": {"protocol": "SASL_SSL"}}, "password: is missing", id="no-password"),
        pytest.param(
            {"security": {"protocol": "SSL", "username": "me"}},
            "is not a field of a security of protocol SSL",
            id="no-sasl",
        ),
        pytest.param({"topic": "orders"}, "Did you mean topics?", id="a-field-of-the-sink"),
    ],
)
def test_what_is_wrong_is_found_without_a_broker(fields: dict[str, Any], finding: str) -> None:
    _, findings = read({**SOURCE, **fields})

    assert any(finding in one for one in findings), findings


def test_a_secret_that_stands_in_a_descriptor_is_refused_and_not_repeated() -> None:
    security = {"protocol": "SASL_SSL", "username": "me", "password": "hunter2", "keyPassword": "hunter2 ${A}"}

    _, findings = read({**SOURCE, "security": security})

    assert len([one for one in findings if "a secret must not stand in a descriptor | Write ${NAME}" in one]) == 2
    assert "hunter2" not in "".join(findings)


def pipeline(of_source: str = "", of_sink: str = "", source: str = "", sink: str = "") -> str:
    read = f"connector: kafka, bootstrap: 'a:1', topics: in, group: g{of_source}"
    return (
        f"name: copy\nkind: stream\nnodes:\n"
        f"  - {{nodeName: up, kind: source, spec: {{{read}}}{source}}}\n"
        f"  - {{nodeName: down, kind: sink, spec: {{connector: kafka, bootstrap: 'a:1', topic: out{of_sink}}}{sink}}}\n"
        "streaming: {flows: {main: up >> down}}\n"
    )


@pytest.mark.parametrize(
    ("text", "findings"),
    [
        pytest.param(
            pipeline(", settings: k.env", ", settings: k.env", ", minReplicas: 2, maxReplicas: 3"), [], id="replicas"
        ),
        pytest.param(pipeline(sink=", minReplicas: 2"), ["minReplicas without partitionBy"], id="replicas-of-a-sink"),
        pytest.param(
            pipeline(source=", durability: log"),
            ['what source "up" reads is kept where it reads it'],
            id="kept-twice",
        ),
    ],
)
def test_what_goes_together_is_judged_with_the_pipeline(tmp_path: Path, text: str, findings: list[str]) -> None:
    (tmp_path / "pipeline.yaml").write_text(text)

    found = [str(finding) for finding in load((tmp_path / "pipeline.yaml",)).findings]

    assert len(found) == len(findings), found
    assert all(wanted in one for wanted, one in zip(findings, found, strict=True)), found
