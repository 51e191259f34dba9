"""YAML text to documents with a line for every path.

Values are built from the parser's events, without recursion: the composer of the library has no bound on depth or on
what aliases multiply into, and drops the keys that stand twice. Scalars follow the core schema of YAML 1.2, as the
YAML readers of JavaScript do: `no` and `on` are text, `1e5` is a number, a date stays text, and every key is text.
Tags beyond the core schema are refused: they would name types that JSON cannot hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import yaml

from streamer import limits
from streamer.descriptor.document import Document, Text, UnreadableError, Value
from streamer.descriptor.finding import Finding, Path, Place, quote

_NULL = {"", "~", "null", "Null", "NULL"}
_FLAGS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_WHOLE = re.compile(r"[-+]?[0-9]{1,300}|0o[0-7]{1,300}|0x[0-9a-fA-F]{1,300}")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,4})?")
_TAG = "tag:yaml.org,2002:"
_SCALAR_TAGS = {_TAG + name for name in ("null", "bool", "int", "float")}
_CONTAINER_TAGS = {None, "!", _TAG + "map", _TAG + "seq"}
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(text: str, file: str, folder: str) -> Text:
    """All documents of the text, empty ones left out. Raises UnreadableError."""
    builder = _Builder(file, folder)
    try:
        builder.feed(yaml.parse(text, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else 1
        reason = ", ".join(part for part in (error.context, error.problem) if part)
        raise UnreadableError(line, f"not YAML: {reason}", remedy=_advice(reason)) from error
    except yaml.YAMLError as error:
        position = getattr(error, "position", 0)
        line = 1 + text.count("\n", 0, position if isinstance(position, int) else 0)
        raise UnreadableError(line, f"not YAML: {getattr(error, 'reason', error)}") from error
    return Text(tuple(builder.documents), tuple(builder.findings))


def read_yaml_value(text: str) -> Value:
    """One YAML value without places, such as the right side of an option. Raises UnreadableError."""
    found = read_yaml(text, "", ".")
    if found.findings:
        raise UnreadableError(found.findings[0].line, found.findings[0].message)
    if len(found.documents) > 1:
        raise UnreadableError(1, "expected one value")
    return found.documents[0].value if found.documents else None


def _advice(reason: str) -> str | None:
    if "\\t" in reason:
        return "Indent with spaces: YAML does not allow tabs there."
    if "mapping values are not allowed" in reason:
        return "Quote a text that contains a colon, and see that the lines of one mapping have the same indentation."
    return None


@dataclass(slots=True)
class _Open:
    """A mapping or sequence whose end has not come yet."""

    value: list[Value] | dict[str, Value]
    path: Path
    anchor: str | None
    values_before: int
    key: str | None = None
    merging: bool = False
    merged: dict[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Anchored:
    value: Value
    count: int


class _Builder:
    """Values and places from events; `_stack` holds the containers that are open."""

    def __init__(self, file: str, folder: str) -> None:
        self.documents: list[Document] = []
        self.findings: list[Finding] = []
        self._file = file
        self._folder = folder
        self._count = 0
        self._reset(1)

    def _reset(self, line: int) -> None:
        self._stack: list[_Open] = []
        self._anchors: dict[str, _Anchored] = {}
        self._places: dict[Path, Place] = {(): Place(self._file, line)}
        self._root: Value = None

    def feed(self, events: Iterable[yaml.Event]) -> None:
        for event in events:
            line = event.start_mark.line + 1 if event.start_mark is not None else 1
            if isinstance(event, yaml.DocumentStartEvent):
                self._reset(line)
            elif isinstance(event, yaml.DocumentEndEvent):
                if self._root is not None:
                    self.documents.append(Document(self._root, self._places, self._folder))
            elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
                self._begin(event, line)
            elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
                self._end(line)
            elif isinstance(event, yaml.ScalarEvent):
                self._scalar(event, line)
            elif isinstance(event, yaml.AliasEvent):
                self._alias(event.anchor, line)

    def _begin(self, event: yaml.MappingStartEvent | yaml.SequenceStartEvent, line: int) -> None:
        if event.tag not in _CONTAINER_TAGS:
            raise UnreadableError(line, f"the tag {quote(event.tag)} is not allowed", remedy="Remove the tag.")
        if len(self._stack) >= limits.DESCRIPTOR_DEPTH_MAX:
            raise UnreadableError(line, f"nested more than {limits.DESCRIPTOR_DEPTH_MAX} levels deep")
        if self._expects_key():
            raise UnreadableError(
                line, "a key must be text, not a list or mapping", remedy="Quote a text that begins with { or [."
            )
        path = self._path()
        if not self._stack:
            # The place of the whole is its first line, not the `---` above it.
            self._places[()] = Place(self._file, line)
        elif isinstance(path[-1], int):
            self._places[path] = Place(self._file, line)
        mapping = isinstance(event, yaml.MappingStartEvent)
        self._stack.append(_Open({} if mapping else [], path, event.anchor, self._count))

    def _end(self, line: int) -> None:
        top = self._stack.pop()
        if isinstance(top.value, dict):
            for key, value in top.merged.items():
                top.value.setdefault(key, value)
        self._add(top.value, line, top.anchor, self._count - top.values_before + 1)
        self._counted(1, line)

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> None:
        text: str = event.value
        if self._expects_key():
            self._key(text, line, merge=text == "<<" and event.implicit[0])
            return
        if event.tag in _SCALAR_TAGS or (event.tag is None and event.implicit[0]):
            value = _plain(text)
        elif event.tag in (None, "!", _TAG + "str"):
            value = text
        else:
            raise UnreadableError(line, f"the tag {quote(event.tag)} is not allowed", remedy="Remove the tag.")
        if not self._stack:
            self._places[()] = Place(self._file, line)
        elif isinstance(self._stack[-1].value, list):
            self._places[self._path()] = Place(self._file, line)
        self._counted(1, line)
        self._add(value, line, event.anchor, 1)

    def _alias(self, name: str | None, line: int) -> None:
        if self._expects_key():
            raise UnreadableError(line, f"a key must be text, not the alias {quote(name)}")
        anchored = self._anchors.get(name or "")
        if anchored is None:
            raise UnreadableError(
                line, f"the alias *{name} names nothing before it", remedy=f"Mark a value above with &{name}."
            )
        self._counted(anchored.count, line)
        if self._stack and isinstance(self._stack[-1].value, list):
            self._places[self._path()] = Place(self._file, line)
        self._add(anchored.value, line, None, anchored.count)

    def _key(self, key: str, line: int, *, merge: bool) -> None:
        top = self._stack[-1]
        assert isinstance(top.value, dict)
        path = (*top.path, key)
        if key in top.value and not merge:
            message = f"the key {quote(key)} stands twice (first in line {self._places[path].line})"
            self.findings.append(Finding.at(Place(self._file, line), path, message, "Keep one of the two."))
        top.key, top.merging = key, merge
        self._places.setdefault(path, Place(self._file, line))

    def _add(self, value: Value, line: int, anchor: str | None, count: int) -> None:
        if anchor is not None:
            self._anchors[anchor] = _Anchored(value, count)
        if not self._stack:
            self._root = value
            return
        top = self._stack[-1]
        if isinstance(top.value, list):
            top.value.append(value)
            return
        assert top.key is not None
        if top.merging:
            self._merge(top, value, line)
        else:
            top.value[top.key] = value
        top.key = None

    def _merge(self, top: _Open, value: Value, line: int) -> None:
        for part in value if isinstance(value, list) else [value]:
            if not isinstance(part, dict):
                raise UnreadableError(line, f"<< must be given mappings, not {quote(part)}")
            for key, merged in part.items():
                top.merged.setdefault(key, merged)

    def _counted(self, count: int, line: int) -> None:
        self._count += count
        if self._count > limits.DESCRIPTOR_VALUES_MAX:
            raise UnreadableError(
                line,
                f"more than {limits.DESCRIPTOR_VALUES_MAX} values",
                remedy="Aliases multiply what they name; write less, or move data out of the descriptor.",
            )

    def _expects_key(self) -> bool:
        return bool(self._stack) and isinstance(self._stack[-1].value, dict) and self._stack[-1].key is None

    def _path(self) -> Path:
        if not self._stack:
            return ()
        top = self._stack[-1]
        return (*top.path, len(top.value) if isinstance(top.value, list) else top.key or "")


def _plain(text: str) -> Value:
    """An unquoted scalar by the core schema; infinities are left as text, since JSON has none."""
    if text in _NULL:
        return None
    if text in _FLAGS:
        return _FLAGS[text]
    if _WHOLE.fullmatch(text):
        # Base 0 would refuse a leading zero, which the core schema reads as decimal.
        return int(text, 0) if text[:2] in ("0x", "0o") else int(text)
    if _NUMBER.fullmatch(text):
        number = float(text)
        return text if number in (float("inf"), float("-inf")) else number
    return text
