"""From files to a validated pipeline: the only part of this package that reads files.

All documents of all files and folders given are one descriptor: the document with `nodes` is the pipeline, the others
are its algorithms, in whatever order they come. Everything is read and judged before anything is said, and a pipeline
is only handed out when nothing is wrong, so that no caller can go on with half of one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Final

from streamer import limits
from streamer.descriptor.algorithm import Algorithm, code_file, read_algorithm
from streamer.descriptor.connectors import BUILT_IN, ConnectorTables
from streamer.descriptor.document import Document, Text, UnreadableError, Value
from streamer.descriptor.fields import Report
from streamer.descriptor.finding import Finding, Place, quote
from streamer.descriptor.inputs import FLOW_INPUT
from streamer.descriptor.json_text import is_json, read_json
from streamer.descriptor.pipeline import Pipeline, read_pipeline
from streamer.descriptor.settings import apply_inputs, apply_overrides
from streamer.descriptor.validate import validate
from streamer.descriptor.yaml_text import read_yaml

SUFFIXES = (".yaml", ".yml", ".json")
"""Files of a folder that are read."""

_PIPELINE_MARKS = ("nodes", "streaming", FLOW_INPUT)
"""Any of them makes a document the pipeline: one that forgot its nodes shall hear so."""


class Unset(Enum):
    """No value, where None is one."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET


@dataclass(frozen=True, slots=True)
class Loaded:
    """`pipeline` is None if there is any finding."""

    pipeline: Pipeline | None
    algorithms: Mapping[str, Algorithm] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


def load(
    paths: Sequence[Path],
    *,
    settings: Sequence[str] = (),
    inputs: Sequence[str] = (),
    flow_input: object = UNSET,
    connectors: ConnectorTables = BUILT_IN,
) -> Loaded:
    """Read, parse and validate. `settings` and `inputs` are the texts of --set and --input; `flow_input` is a value."""
    findings: list[Finding] = []
    documents: list[Document] = []
    for path in paths:
        for file in _files(path, findings):
            text = read_text(file)
            documents.extend(text.documents)
            findings.extend(text.findings)
    readable = not findings
    chosen, rest = _choose(documents, findings, readable=readable, where=str(paths[0]) if paths else "document")
    if chosen is None:
        # A document that shows nothing of an algorithm either would only be called a bad one.
        rest = [document for document in rest if isinstance(document.value, dict) and "name" in document.value]
    algorithms = _algorithms(rest, findings)
    all_algorithms = readable and len(algorithms) == len(rest)
    if chosen is None:
        return Loaded(None, algorithms, tuple(findings))
    changed, wrong = apply_overrides(chosen, settings)
    findings.extend(wrong)
    if flow_input is not UNSET:
        changed = changed.with_value((FLOW_INPUT,), _plain(flow_input), Place("flowInput", 0))
    changed, wrong = apply_inputs(changed, inputs, _read_value)
    findings.extend(wrong)
    report = Report(changed)
    pipeline = validate(read_pipeline(report, connectors), algorithms, report, all_algorithms=all_algorithms)
    findings.extend(report.findings)
    return Loaded(None if findings else pipeline, algorithms, _ordered(findings))


def read_text(file: Path) -> Text:
    """The documents of one file; what cannot be read is a finding."""
    name = str(file)
    try:
        with file.open("rb") as stream:
            raw = stream.read(limits.DESCRIPTOR_BYTES_MAX + 1)
    except OSError as error:
        return _refused(name, 0, f"cannot be read: {error.strerror or error}", "Name a file that exists and is yours.")
    if len(raw) > limits.DESCRIPTOR_BYTES_MAX:
        return _refused(
            name,
            1,
            f"the file is larger than {limits.DESCRIPTOR_BYTES_MAX} bytes",
            "Keep data out of descriptors; name its place in flowInput.",
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = 1 + raw.count(b"\n", 0, error.start)
        return _refused(name, line, f"the byte {raw[error.start]:#04x} is not UTF-8", "Save the file as UTF-8 text.")
    try:
        found = _parse(text, file)
    except UnreadableError as error:
        return _refused(name, error.line, str(error), error.advice)
    if not found.documents and not found.findings:
        return _refused(name, 1, "the file is empty", "Write a pipeline; docs/descriptor.md begins with an example.")
    return found


def _parse(text: str, file: Path) -> Text:
    """JSON is tried where it looks like it; flow-style YAML begins with the same characters."""
    folder = str(file.parent)
    if not text.strip():
        return Text()
    if file.suffix == ".json":
        return read_json(text, str(file), folder)
    if is_json(text):
        try:
            return read_json(text, str(file), folder)
        except UnreadableError:
            return read_yaml(text, str(file), folder)
    return read_yaml(text, str(file), folder)


def _files(path: Path, findings: list[Finding]) -> list[Path]:
    if not path.is_dir():
        return [path]
    try:
        names = sorted(entry.name for entry in os.scandir(path) if not entry.name.startswith("."))
    except OSError as error:
        findings.extend(_refused(str(path), 0, f"cannot be read: {error.strerror}", "Name a folder of yours.").findings)
        return []
    files = [path / name for name in names if name.endswith(SUFFIXES) and (path / name).is_file()]
    if not files:
        message = f"the folder holds no file ending in {', '.join(SUFFIXES)}"
        findings.extend(_refused(str(path), 0, message, "Name the folder of the descriptors.").findings)
    return files


def _choose(
    documents: Sequence[Document], findings: list[Finding], *, readable: bool, where: str
) -> tuple[Document | None, list[Document]]:
    """The pipeline's document and the others."""
    chosen: Document | None = None
    rest: list[Document] = []
    for document in documents:
        value = document.value
        if not isinstance(value, dict):
            message = f"expected fields such as name and nodes, found {quote(value)}"
            findings.append(Finding.at(document.place(()), (), message, "Write a mapping: name: words, nodes: [...]."))
        elif not any(mark in value for mark in _PIPELINE_MARKS):
            rest.append(document)
        elif chosen is None:
            chosen = document
        else:
            first = chosen.place(())
            message = f"a second pipeline; the first stands in {first.file}, line {first.line}"
            findings.append(Finding.at(document.place(()), (), message, "Name the files of one pipeline only."))
    if chosen is None and readable and not findings:
        place = rest[0].place(()) if rest else Place(where, 0)
        findings.append(Finding.at(place, (), "no document has nodes", "Name the file of the pipeline too."))
    return chosen, rest


def _algorithms(documents: Sequence[Document], findings: list[Finding]) -> dict[str, Algorithm]:
    algorithms: dict[str, Algorithm] = {}
    for document in documents:
        report = Report(document)
        algorithm = read_algorithm(document, report)
        if algorithm.name in algorithms:
            report.add(("name",), f"the algorithm {quote(algorithm.name)} stands twice", "Keep one of the two.")
        elif algorithm.name:
            algorithms[algorithm.name] = algorithm
        file = code_file(algorithm)
        if algorithm.code is not None and file is not None and not file.is_file():
            report.add(
                ("code", "path"),
                f"{quote(algorithm.code.path)} leads to {file}, which is not a file",
                "Correct path or entryPoint; path is relative to the folder of this document.",
            )
        findings.extend(report.findings)
    return algorithms


def _read_value(name: str) -> Value | Finding | None:
    """A file of one value, for --input."""
    path = Path(name)
    if not path.is_file():
        return None
    text = read_text(path)
    if text.findings:
        return text.findings[0]
    if len(text.documents) > 1:
        return _refused(name, text.documents[1].place(()).line, "a second document", "Write one value.").findings[0]
    return text.documents[0].value


def _plain(value: object) -> Value:
    """A caller's value as one of a document; what JSON cannot hold becomes its text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(element) for key, element in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(element) for element in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def _refused(file: str, line: int, message: str, remedy: str) -> Text:
    return Text(findings=(Finding.at(Place(file, line), (), message, remedy),))


def _ordered(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """By file as they came, then by line."""
    files = {file: at for at, file in enumerate(dict.fromkeys(finding.file for finding in findings))}
    return tuple(sorted(findings, key=lambda finding: (files[finding.file], finding.line)))
