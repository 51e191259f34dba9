"""References inside inputs: which texts are references, and what `@flowInput` becomes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.descriptor.document import Value
from streamer.descriptor.inputs import (
    InputError,
    Range,
    RawBatch,
    Reference,
    Relation,
    find_references,
    flatten,
    parse_reference,
    resolve,
)
from tests.strategies import values


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        pytest.param("@flowInput", Reference(Relation.NODE, "flowInput"), id="whole flowInput"),
        pytest.param("@flowInput.a.b.0", Reference(Relation.NODE, "flowInput", ("a", "b", "0")), id="path"),
        pytest.param("@green", Reference(Relation.NODE, "green"), id="node"),
        pytest.param("#@green.path", Reference(Relation.BATCH, "green", ("path",)), id="batch"),
        pytest.param("*@green", Reference(Relation.ANY, "green"), id="any"),
        pytest.param("*#@green", Reference(Relation.ANY_BATCH, "green"), id="any batch"),
        pytest.param(
            "@dataSource.images/a.b/c", Reference(Relation.NODE, "dataSource", ("images", "a.b/c")), id="data"
        ),
        pytest.param("#[1,2,5]", RawBatch((1, 2, 5)), id="list keeps its numbers"),
        pytest.param("#[0...9]", RawBatch((Range(0, 9),)), id="range"),
        pytest.param("#[x, 1.5, 3...4, true]", RawBatch(("x", 1.5, Range(3, 4), True)), id="mixed"),
        pytest.param('#["1", null]', RawBatch(("1", None)), id="quoted"),
        pytest.param("#[]", RawBatch(()), id="empty list"),
    ],
)
def test_a_reference_is_read_and_written(text: str, reference: Reference | RawBatch) -> None:
    assert parse_reference(text) == reference
    assert parse_reference(str(reference)) == reference


@pytest.mark.parametrize("text", ["", "plain", "#hashtag", "*.txt", "a@b.example", "$5", "##"])
def test_other_texts_are_no_references(text: str) -> None:
    assert parse_reference(text) is None


@pytest.mark.parametrize(
    "text",
    ["@", "@.a", "@green.", "@green..a", "*@flowInput", "@dataSource", "#[1", "#[1,,2]", "#[9...0]", "$$storage"],
)
def test_a_broken_reference_is_refused_with_its_text_and_a_remedy(text: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_reference(text)

    assert text in str(refused.value) or "9...0" in str(refused.value)
    assert refused.value.advice


def test_references_are_found_anywhere_in_a_nested_input() -> None:
    found = list(find_references([{"a": ["@green"]}, "@flowInput.x", "plain", "@"]))

    assert [(at.path, at.text) for at in found] == [((0, "a", 0), "@green"), ((1,), "@flowInput.x"), ((3,), "@")]
    assert found[2].problem is not None


def test_flow_input_is_resolved_by_its_path_where_it_stands() -> None:
    flow_input: Value = {"files": [{"link": "a"}, {"link": "b"}], "n": 3}

    assert resolve([{"deep": "@flowInput.files.1.link"}, "@flowInput.n", "text", 7], flow_input) == [
        {"deep": "b"},
        3,
        "text",
        7,
    ]


def test_the_whole_flow_input_can_be_passed_on() -> None:
    assert resolve("@flowInput", {"a": 1}) == {"a": 1}


@pytest.mark.parametrize(
    ("text", "flow_input"),
    [("@flowInput.b", {"a": 1}), ("@flowInput.a.0", {"a": []}), ("@flowInput.a.x", {"a": 1}), ("@flowInput", None)],
)
def test_what_flow_input_does_not_hold_is_named(text: str, flow_input: Value) -> None:
    with pytest.raises(InputError, match=f"unable to find {text[1:]}"):
        resolve(text, flow_input)


@pytest.mark.parametrize("text", ["#@flowInput.list", "#[1,2]", "@dataSource.images/a", "@green"])
def test_what_a_stream_cannot_resolve_yet_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="in this version"):
        resolve(text, {"list": [1]})


@given(values, st.none() | values)
def test_resolving_any_value_gives_a_value_or_an_input_error(value: Value, flow_input: Value) -> None:
    try:
        resolve(value, flow_input)
    except InputError as error:
        assert error.advice


def test_a_flat_input_has_one_dotted_key_for_each_leaf() -> None:
    assert flatten([{"a": [1, 2]}, "x", {}]) == {"0.a.0": 1, "0.a.1": 2, "1": "x", "2": {}}
