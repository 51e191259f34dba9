"""Settings from the command line: what a path means, and what is said about one that means nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.descriptor.document import Document, Value
from streamer.descriptor.finding import Place
from streamer.descriptor.settings import apply_overrides
from tests.strategies import values

PIPELINE: Value = {
    "name": "p",
    "nodes": [{"nodeName": "a"}, {"nodeName": "b.c", "spec": {"path": "x"}}, {"nodeName": "b"}],
    "streaming": {"flows": {"main": "a >> b"}},
    "tags": ["x", "y"],
}


def document(value: Value = PIPELINE) -> Document:
    return Document(value, {(): Place("p.yaml", 1), ("nodes",): Place("p.yaml", 3)})


def changed(setting: str) -> Value:
    after, findings = apply_overrides(document(), [setting])
    assert findings == ()
    return after.value


def at(value: Value, *path: str | int) -> Value:
    for step in path:
        assert isinstance(value, (dict, list))
        value = value[step]  # type: ignore[index]  # str for mappings, int for lists
    return value


@pytest.mark.parametrize(
    ("setting", "path", "value"),
    [
        pytest.param("nodes.a.ttl=3", ("nodes", 0, "ttl"), 3, id="node by name"),
        pytest.param("nodes.b.ttl=3", ("nodes", 2, "ttl"), 3, id="name that begins another"),
        pytest.param("nodes.b.c.spec.path=y", ("nodes", 1, "spec", "path"), "y", id="name with a dot"),
        pytest.param("nodes.0.ttl=3", ("nodes", 0, "ttl"), 3, id="node by index"),
        pytest.param("options.ttl=3", ("options", "ttl"), 3, id="missing mapping is made"),
        pytest.param("tags.1=z", ("tags", 1), "z", id="element of a list"),
        pytest.param("streaming.flows.main=b >> a", ("streaming", "flows", "main"), "b >> a", id="text"),
        pytest.param("options={ttl: 1}", ("options", "ttl"), 1, id="mapping"),
        pytest.param("description=a=b", ("description",), "a=b", id="equals sign in the value"),
        pytest.param("description=", ("description",), None, id="nothing"),
    ],
)
def test_a_setting_changes_one_value(setting: str, path: tuple[str | int, ...], value: Value) -> None:
    assert at(changed(setting), *path) == value


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("priority", '"priority" has no ='),
        ("=3", '"=3" has no path before ='),
        ("nodes.d.ttl=3", '"d" is not in nodes'),
        ("nodes.7.ttl=3", '"7" is not in nodes'),
        ("name.x=3", 'name is "p" and has no fields'),
        ("tags.9=z", '"9" is not in tags'),
        ("options..ttl=3", "a step of the path is empty"),
        ("priority=[1", '"[1" is not YAML'),
    ],
)
def test_a_setting_that_means_nothing_is_a_finding_and_changes_nothing(setting: str, message: str) -> None:
    after, (finding,) = apply_overrides(document(), [setting])

    assert after.value == PIPELINE
    assert finding.file == f"--set {setting}"
    assert message in finding.message
    assert finding.remedy


def test_the_document_that_was_read_is_left_as_it_is() -> None:
    before = document()

    apply_overrides(before, ["nodes.a.ttl=3"])

    assert before.value == PIPELINE == document().value
    assert at(PIPELINE, "nodes", 0) == {"nodeName": "a"}


def test_later_settings_win() -> None:
    after, _ = apply_overrides(document(), ["priority=1", "priority=2"])

    assert at(after.value, "priority") == 2


def test_what_a_setting_gave_stands_in_the_setting() -> None:
    after, _ = apply_overrides(document(), ["nodes.a.spec={path: [x]}"])

    assert after.place(("nodes", 0, "spec", "path", 0)) == Place("--set nodes.a.spec={path: [x]}", 0)
    assert after.place(("nodes", 0, "nodeName")) == Place("p.yaml", 3)


@given(values, st.lists(st.text(max_size=20) | st.text("abnodes.=0[]{}", max_size=20), max_size=4))
def test_any_setting_of_any_value_is_in_force_or_found_wrong(value: Value, settings: list[str]) -> None:
    _, findings = apply_overrides(document(value), settings)

    assert len(findings) <= len(settings)
