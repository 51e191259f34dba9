"""Fields of specs that hold fields of their own, and connectors that a caller brings along."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from streamer.descriptor.connectors import (
    BUILT_IN,
    ConnectorShape,
    ConnectorTables,
    SpecField,
    SpecVariants,
    read_connector,
)
from streamer.descriptor.document import Document, Value
from streamer.descriptor.fields import Report
from streamer.descriptor.rules import whole
from streamer.errors import ConnectorError


def read(
    spec: Mapping[str, Value], end: str = "source", connectors: ConnectorTables = BUILT_IN
) -> tuple[Mapping[str, Value], list[str]]:
    """The spec as it is understood, and the findings."""
    report = Report(Document(dict(spec), {}))
    found, _ = read_connector(report.top(), end, connectors)
    return found, [f"{finding.path}: {finding.message} | {finding.remedy}" for finding in report.findings]


def rate(**fields: Any) -> tuple[Any, list[str]]:
    spec, findings = read({"connector": "generator", "rate": dict(fields)})
    return spec.get("rate"), findings


@pytest.mark.parametrize(
    ("given", "complete"),
    [
        pytest.param(
            {"shape": "steps", "steps": [{"rate": 0, "seconds": "2"}]},
            {"shape": "steps", "steps": [{"rate": 0, "seconds": 2.0}], "repeat": False},
            id="steps",
        ),
        pytest.param(
            {"shape": "ramp", "to": 10, "seconds": 5}, {"shape": "ramp", "from": 0, "to": 10, "seconds": 5}, id="ramp"
        ),
        pytest.param(
            {"shape": "sine", "high": 10, "seconds": 5},
            {"shape": "sine", "low": 0, "high": 10, "seconds": 5},
            id="sine",
        ),
        pytest.param(
            {"shape": "spikes", "base": 1, "peak": 9, "every": 10, "seconds": 1},
            {"shape": "spikes", "base": 1, "peak": 9, "every": 10, "seconds": 1},
            id="spikes",
        ),
    ],
)
def test_a_rate_may_be_a_program_whose_fields_its_shape_decides(given: dict[str, Any], complete: Value) -> None:
    assert rate(**given) == (complete, [])


def test_a_rate_may_still_be_a_number() -> None:
    assert read({"connector": "generator", "rate": "2.5"}) == ({"connector": "generator", "rate": 2.5}, [])


@pytest.mark.parametrize(
    ("given", "finding"),
    [
        pytest.param({}, "rate.shape: is missing | Add it, for example shape: steps", id="no-shape"),
        pytest.param(
            {"shape": "sin"},
            'rate.shape: "sin" is none of steps, ramp, sine, spikes | Did you mean sine?',
            id="unknown-shape",
        ),
        pytest.param(
            {"shape": "ramp", "to": 1, "seconds": 0}, "rate.seconds: 0 is not a number above 0 |", id="no-time"
        ),
        pytest.param(
            {"shape": "ramp", "too": 1, "seconds": 1},
            'rate.too: "too" is not a field of a rate of shape ramp | Did you mean to?',
            id="unknown-field",
        ),
        pytest.param({"shape": "steps"}, "rate.steps: is missing |", id="no-steps"),
        pytest.param({"shape": "steps", "steps": []}, "rate.steps: is empty |", id="empty-steps"),
        pytest.param({"shape": "steps", "steps": 5}, "rate.steps: 5 is not a list |", id="steps-that-are-no-list"),
        pytest.param(
            {"shape": "steps", "steps": [7]}, "rate.steps[0]: 7 is not a mapping |", id="step-that-is-no-mapping"
        ),
        pytest.param(
            {"shape": "steps", "steps": [{"rate": 1, "seconds": 1}, {"rate": -1, "seconds": 1}]},
            "rate.steps[1].rate: -1 is not a number of at least 0 |",
            id="second-step",
        ),
        pytest.param(
            {"shape": "steps", "steps": [{"rate": 1, "seconds": 1, "for": 2}]},
            'rate.steps[0].for: "for" is not a field of one of the steps |',
            id="unknown-field-of-a-step",
        ),
        pytest.param(
            {"shape": "sine", "low": 10, "high": 5, "seconds": 2},
            "rate.low: a wave from 10 up to 5 goes down |",
            id="wave-that-is-upside-down",
        ),
        pytest.param(
            {"shape": "spikes", "peak": 9, "every": 5, "seconds": 5},
            "rate.seconds: a spike of 5 seconds every 5 seconds has no end |",
            id="spike-without-end",
        ),
    ],
)
def test_what_is_wrong_in_a_program_is_found_at_its_place(given: dict[str, Any], finding: str) -> None:
    _, findings = rate(**given)

    assert any(found.startswith(finding) for found in findings), findings


def test_all_that_is_wrong_in_a_program_is_found_at_once() -> None:
    _, findings = rate(shape="steps", steps=[{"rate": "fast", "seconds": 1}, {"rate": 1}], repeat="ja")

    assert len(findings) == 3


def test_neither_a_number_nor_a_mapping_is_no_rate() -> None:
    _, findings = read({"connector": "generator", "rate": "fast"})

    assert findings == ['rate: "fast" is not a number above 0 | Write a number above 0.']


class Broken(Mapping[str, ConnectorShape]):
    """A table that knows a name and cannot load what it names."""

    def __getitem__(self, name: str) -> ConnectorShape:
        raise ConnectorError(f"the connector {name!r} cannot be loaded", remedy="Repair that package.")

    def __contains__(self, name: object) -> bool:
        return name == "broken"

    def __iter__(self) -> Iterator[str]:
        return iter(("broken",))

    def __len__(self) -> int:
        return 1


def test_a_connector_that_cannot_be_loaded_is_one_finding() -> None:
    _, findings = read({"connector": "broken"}, "source", {"source": Broken(), "sink": {}})

    assert findings == ["connector: the connector 'broken' cannot be loaded | Repair that package."]


def test_fields_of_a_caller_are_read_as_ours_are() -> None:
    shape = ConnectorShape(
        {
            "depth": SpecField(whole(1), 3),
            "mode": SpecVariants("kind", whole(0), {"deep": {"levels": SpecField(whole(1), required=True)}}),
        },
        check=lambda fields, spec: fields.finding("depth", "is too much", "Less.") if spec["depth"] == 9 else None,
    )
    connectors: ConnectorTables = {"source": {"well": shape}, "sink": {}}

    spec, findings = read({"connector": "well", "mode": {"kind": "deep", "levels": 2}}, "source", connectors)
    assert (spec, findings) == ({"connector": "well", "depth": 3, "mode": {"kind": "deep", "levels": 2}}, [])
    assert read({"connector": "well", "dept": 1}, "source", connectors)[1] == [
        'dept: "dept" is not a field of a well source | Did you mean depth?'
    ]
    assert read({"connector": "well", "depth": 9}, "source", connectors)[1] == ["depth: is too much | Less."]
    assert read({"connector": "wel"}, "source", connectors)[1] == [
        'connector: "wel" is not a connector | Did you mean well?'
    ]
