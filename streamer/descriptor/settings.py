"""Changes to a descriptor from the command line: `--set nodes.X.minStatelessCount=3`, `--input key=value`.

A setting changes the document before it is read, not the value that was read, so that it is judged by the same rules
as the text: a wrong one is a finding that names the option. Nodes are addressed by name, since their order means
nothing; because names may contain dots, the longest name that fits is taken at each step.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from streamer import limits
from streamer.descriptor.document import Document, UnreadableError, Value
from streamer.descriptor.finding import Finding, Path, Place, path_text, quote, suggestion
from streamer.descriptor.inputs import FLOW_INPUT
from streamer.descriptor.json_text import is_json, read_json_value
from streamer.descriptor.yaml_text import read_yaml_value

_KEY_VALUE = re.compile(r"([A-Za-z_][-.\w]*)=(.*)", re.DOTALL)
_SET_REMEDY = "Write --set PATH=VALUE, for example --set nodes.parse.minStatelessCount=3."
_INPUT_REMEDY = "Give --input a file, JSON (such as '{\"a\": 1}'), or key=value."

ReadFile = Callable[[str], Value | Finding | None]
"""The value of a file, a finding if it cannot be read, None if there is no such file."""


class _StepError(Exception):
    """A path that cannot be walked: `at` is where."""

    def __init__(self, at: Path, message: str, remedy: str) -> None:
        super().__init__(message)
        self.at = at
        self.message = message
        self.remedy = remedy


def apply_overrides(document: Document, settings: Sequence[str]) -> tuple[Document, tuple[Finding, ...]]:
    """The document with each `PATH=VALUE` in force, later ones over earlier ones; the value is one of YAML."""
    findings: list[Finding] = []
    for setting in settings:
        place = Place(f"--set {setting}", 0)
        path_part, equals, value_part = setting.partition("=")
        if not equals or not path_part:
            message = f"{quote(setting)} has no {'path before' if equals else ''} ="
            findings.append(Finding.at(place, (), " ".join(message.split()), _SET_REMEDY))
            continue
        try:
            path = _walk(document.value, path_part)
            value = read_yaml_value(value_part)
        except _StepError as error:
            findings.append(Finding.at(place, error.at, error.message, error.remedy))
        except UnreadableError as error:
            findings.append(Finding.at(place, (), f"{quote(value_part)} is {error}", "Quote the value."))
        else:
            document = document.with_value(path, value, place)
    return document, tuple(findings)


def apply_inputs(
    document: Document, inputs: Sequence[str], read_file: ReadFile
) -> tuple[Document, tuple[Finding, ...]]:
    """The document with its flowInput replaced (a file or JSON) or changed (`key=value`)."""
    findings: list[Finding] = []
    for text in inputs:
        place = Place(f"--input {text if len(text) < 60 else text[:57] + '...'}", 0)
        try:
            path, value = _input(document, text, read_file)
        except UnreadableError as error:
            findings.append(Finding.at(place, (FLOW_INPUT,), str(error), _INPUT_REMEDY))
        except _StepError as error:
            findings.append(Finding.at(place, error.at, error.message, error.remedy))
        else:
            if isinstance(value, Finding):
                findings.append(value)
            else:
                document = document.with_value(path, value, place)
    return document, tuple(findings)


def _input(document: Document, text: str, read_file: ReadFile) -> tuple[Path, Value | Finding]:
    if is_json(text):
        return (FLOW_INPUT,), read_json_value(text)
    match = _KEY_VALUE.fullmatch(text)
    if match is not None:
        return _walk(document.value, f"{FLOW_INPUT}.{match[1]}"), read_yaml_value(match[2])
    found = read_file(text)
    if found is None:
        raise UnreadableError(0, f"{quote(text)} is neither a file, nor JSON, nor key=value")
    return (FLOW_INPUT,), found


def _walk(value: Value, text: str) -> Path:
    """The path that `text` means in `value`. Raises _StepError."""
    steps = text.split(".")
    if len(steps) > limits.DESCRIPTOR_DEPTH_MAX:
        raise _StepError((), f"the path has {len(steps)} steps", _SET_REMEDY)
    path: Path = ()
    while steps:
        key, used = _step(value, path, steps)
        path, steps = (*path, key), steps[used:]
        if isinstance(value, list) and isinstance(key, int):
            value = value[key]
        else:
            value = value.get(str(key)) if isinstance(value, dict) else None
    return path


def _step(value: Value, path: Path, steps: list[str]) -> tuple[str | int, int]:
    """The next key or index, and how many parts of the text it takes."""
    if isinstance(value, list):
        names = _names(value) if path == ("nodes",) else {}
        for used in range(len(steps), 0, -1):
            found = names.get(".".join(steps[:used]))
            if found is not None:
                return found, used
        if steps[0].isascii() and steps[0].isdigit() and int(steps[0]) < len(value):
            return int(steps[0]), 1
        what = "nodes" if path == ("nodes",) else "indices"
        remedy = suggestion(steps[0], names or (str(index) for index in range(len(value))), what=what)
        raise _StepError(path, f"{quote(steps[0])} is not in {path_text(path)}", remedy)
    if value is not None and not isinstance(value, dict):
        raise _StepError(path, f"{path_text(path)} is {quote(value)} and has no fields", _SET_REMEDY)
    for used in range(len(steps), 0, -1):
        if ".".join(steps[:used]) in (value or {}):
            return ".".join(steps[:used]), used
    if not steps[0]:
        raise _StepError(path, "a step of the path is empty", _SET_REMEDY)
    return steps[0], 1


def _names(nodes: list[Value]) -> Mapping[str, int]:
    return {str(node["nodeName"]): i for i, node in enumerate(nodes) if isinstance(node, dict) and "nodeName" in node}
