"""JSON and YAML to documents: the same values and the line of everything, however it is written."""

from __future__ import annotations

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer import limits
from streamer.descriptor.document import Document, UnreadableError, Value
from streamer.descriptor.finding import Path
from streamer.descriptor.json_text import read_json, read_json_value
from streamer.descriptor.yaml_text import read_yaml, read_yaml_value
from tests.strategies import values


def yaml_document(text: str) -> Document:
    return read_yaml(text, "a.yaml", ".").documents[0]


def json_document(text: str) -> Document:
    return read_json(text, "a.json", ".").documents[0]


BLOCK = """\
# a comment
name: words

nodes:
  - nodeName: a
    spec:
      path: x
  - {nodeName: b,
     kind: sink}
text: |
  two
  lines
after: 1
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ((), 2),
        (("name",), 2),
        (("nodes",), 4),
        (("nodes", 0), 5),
        (("nodes", 0, "nodeName"), 5),
        (("nodes", 0, "spec", "path"), 7),
        (("nodes", 1), 8),
        (("nodes", 1, "kind"), 9),
        (("text",), 10),
        (("after",), 13),
    ],
)
def test_yaml_gives_every_path_its_line(path: Path, line: int) -> None:
    assert yaml_document(BLOCK).place(path).line == line


@pytest.mark.parametrize("indent", [2, "\t"], ids=["spaces", "tabs"])
def test_json_gives_every_path_its_line(indent: int | str) -> None:
    value: Value = {"name": "x", "nodes": [{"a": [1, 2]}, {"b, {": "c: }"}], "last": None}
    document = json_document("\n" + json.dumps(value, indent=indent))

    assert document.value == value
    lines = {path: place.line for path, place in document.places.items()}
    assert lines == {
        (): 2,
        ("name",): 3,
        ("nodes",): 4,
        ("nodes", 0): 5,
        ("nodes", 0, "a"): 6,
        ("nodes", 0, "a", 0): 7,
        ("nodes", 0, "a", 1): 8,
        ("nodes", 1): 11,
        ("nodes", 1, "b, {"): 12,
        ("last",): 15,
    }


def test_what_is_missing_stands_where_its_nearest_ancestor_does() -> None:
    assert yaml_document(BLOCK).place(("nodes", 1, "spec", "path")).line == 8


@given(values)
def test_json_is_read_as_it_was_meant(value: Value) -> None:
    assert read_json_value(json.dumps(value)) == value


printable = st.text(string.ascii_letters + string.digits + string.punctuation + " äß", max_size=12)
printable_values: st.SearchStrategy[Value] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | printable,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(printable, inner, max_size=3),
    max_leaves=12,
)
"""YAML has no control characters and no surrogate pairs, which JSON has."""


@given(printable_values.filter(lambda value: value is not None))
def test_json_read_as_yaml_means_the_same(value: Value) -> None:
    assert read_yaml(json.dumps(value, ensure_ascii=False), "a", ".").documents[0].value == value


@given(st.text(max_size=60) | st.text("{}[]:,-#&*!|>'\"% \n\tab", max_size=40))
def test_any_text_is_read_or_refused_with_a_line(text: str) -> None:
    for read in (read_yaml, read_json):
        try:
            read(text, "a", ".")
        except UnreadableError as error:
            assert error.line >= 1
            assert error.advice


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("true", True),
        ("~", None),
        ("0123", 123),
        ("0x1F", 31),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("1_000", "1_000"),
        ("12:30:45", "12:30:45"),
        ("2020-01-02", "2020-01-02"),
        ("'3'", "3"),
        ("!!str 3", "3"),
        (".inf", ".inf"),
        ("[1, a]", [1, "a"]),
        ("{a: {b: 1}}", {"a": {"b": 1}}),
    ],
)
def test_scalars_follow_the_core_schema(text: str, value: Value) -> None:
    assert read_yaml_value(text) == value


def test_keys_are_always_text() -> None:
    assert read_yaml_value("{1: a, true: b, null: c}") == {"1": "a", "true": "b", "null": "c"}


def test_aliases_and_merges_are_followed() -> None:
    assert read_yaml_value("a: &x {p: 1, q: 2}\nb: {<<: *x, q: 3}\nc: [*x]") == {
        "a": {"p": 1, "q": 2},
        "b": {"q": 3, "p": 1},
        "c": [{"p": 1, "q": 2}],
    }


def test_several_documents_of_a_file_have_their_own_lines() -> None:
    first, second = read_yaml("a: 1\n---\n---\nb: 2\n", "a.yaml", ".").documents

    assert (first.value, first.place(()).line) == ({"a": 1}, 1)
    assert (second.value, second.place(("b",)).line) == ({"b": 2}, 4)


def test_json_documents_may_follow_each_other() -> None:
    found = read_json('{"a": 1}\n---\n{"b": 2} {"c": 3}', "a.json", ".")

    assert [document.value for document in found.documents] == [{"a": 1}, {"b": 2}, {"c": 3}]
    assert found.documents[2].place(("c",)).line == 3


@pytest.mark.parametrize(
    ("text", "line"), [("a: 1\nb: 2\na: 3\n", 3), ('{"a": 1,\n "b": 2,\n "a": 3}', 3)], ids=["yaml", "json"]
)
def test_a_key_that_stands_twice_is_a_finding(text: str, line: int) -> None:
    read = read_json if text.startswith("{") else read_yaml
    (finding,) = read(text, "f", ".").findings

    assert (finding.line, finding.path) == (line, "a")
    assert finding.message == 'the key "a" stands twice (first in line 1)'


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        pytest.param("a: 1\n b: 2\n", 2, "mapping values are not allowed", id="indentation"),
        pytest.param("a:\n\t- b\n", 2, "not YAML", id="tab"),
        pytest.param("a: [1, 2\nb: 3\n", 2, "not YAML", id="open list"),
        pytest.param("a: *x\n", 1, "the alias *x names nothing before it", id="alias of nothing"),
        pytest.param("a: &x [*x]\n", 1, "the alias *x names nothing before it", id="alias of itself"),
        pytest.param("a: !!python/name:os.system x\n", 1, "is not allowed", id="foreign tag"),
        pytest.param("a: 1\nb: !point {x: 1}\n", 2, 'the tag "!point" is not allowed', id="tagged mapping"),
        pytest.param("{{x}}: 1\n", 1, "a key must be text", id="template"),
        pytest.param("a: 1\nb: \x07\n", 2, "not YAML", id="control character"),
    ],
)
def test_text_that_is_not_yaml_is_refused_with_its_line(text: str, line: int, message: str) -> None:
    with pytest.raises(UnreadableError, match=r".") as refused:
        read_yaml(text, "a", ".")

    assert refused.value.line == line
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("text", "line"), [('{"a": 1,\n "b": }', 2), ('{"a": NaN}', 1), ('{"a": 1}\n\n{"b"', 3), ('{"a": 1} x', 1)]
)
def test_text_that_is_not_json_is_refused_with_its_line(text: str, line: int) -> None:
    with pytest.raises(UnreadableError, match="not JSON") as refused:
        read_json(text, "a", ".")

    assert refused.value.line == line


@pytest.mark.parametrize("depth", [limits.DESCRIPTOR_DEPTH_MAX + 1, 100_000])
def test_text_that_is_nested_without_end_is_refused(depth: int) -> None:
    for read in (read_yaml, read_json):
        with pytest.raises(UnreadableError):
            read("[" * depth + "]" * depth, "a", ".")


def test_aliases_that_multiply_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]

    with pytest.raises(UnreadableError, match="values"):
        read_yaml("\n".join(lines), "a", ".")
