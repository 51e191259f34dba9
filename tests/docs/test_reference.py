"""The reference pages name everything that exists, and nothing that does not.

Fields, connectors, metrics and the words of the command are taken from the code itself, so that a new one that is
documented nowhere is noticed when it is made.
"""

from __future__ import annotations

import re
import tomllib

import pytest
from streamer_algorithm import StreamingApi

from streamer.descriptor.connectors import SINKS, SOURCES, SpecRows, SpecVariants
from streamer.metrics.exposition import Observation, families
from tests.house.source import ROOT

_FIELD = re.compile(r"""\b\w+\.(?:optional|required|named|child|children|entries|many)\(\s*"(\w+)\"""")


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("module", ["pipeline", "node", "algorithm"])
def test_every_field_of_a_descriptor_is_documented(module: str) -> None:
    code = (ROOT / "streamer" / "descriptor" / f"{module}.py").read_text(encoding="utf-8")
    fields = set(_FIELD.findall(code))

    assert len(fields) > 5
    assert [field for field in sorted(fields) if f"`{field}`" not in page("descriptor.md")] == []


@pytest.mark.parametrize("end", ["source", "sink"])
def test_every_connector_is_documented_with_its_fields(end: str) -> None:
    table = SOURCES if end == "source" else SINKS
    rows = {
        found["name"]: found["fields"]
        for found in re.finditer(
            rf"^\| `(?P<name>\w+)` \| {end} \| (?P<fields>[^|]*)\|", page("descriptor.md"), re.MULTILINE
        )
    }

    assert sorted(rows) == sorted(table)
    for name, shape in table.items():
        assert sorted(shape.fields) == sorted(set(re.findall(r"`(\w+)`", rows[name])) & set(shape.fields)), name


def test_every_shape_of_a_rate_is_documented_with_its_fields() -> None:
    rate = SOURCES["generator"].fields["rate"]
    assert isinstance(rate, SpecVariants)
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \| [^|]*\|$", page("descriptor.md"), re.MULTILINE))

    for shape, fields in rate.tables.items():
        inner = [name for field in fields.values() if isinstance(field, SpecRows) for name in field.table]
        assert set(re.findall(r"`([a-z]+)`", rows[shape])) - {"false"} == {*fields, *inner}, shape


def test_every_metric_is_documented() -> None:
    made = {
        family.name + ("_total" if family.type == "counter" else "")
        for family in families(Observation(job="j", pipeline="p"))
    }
    documented = set(re.findall(r"`(streamer_\w+?)(?:\{\w+\})?`", page("operations.md")))

    assert documented == made


def test_every_call_of_the_api_is_documented() -> None:
    calls = {name for name in vars(StreamingApi) if not name.startswith("_")}
    camel_case = {name for name in calls if re.search("[A-Z]", name)}

    assert [name for name in sorted(camel_case) if f"`{name}(" not in page("algorithms.md")] == []


def test_the_layers_are_the_ones_that_are_checked() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    layered = [contract["layers"] for contract in contracts if contract["type"] == "layers"]

    assert len(layered) == 2
    for layers in layered:
        assert "```text\n" + "\n".join(layer.strip("()") for layer in layers) + "\n```" in page("architecture.md")
