"""JSON text to documents with a line for every path.

JSON is nearly YAML, but not where it hurts: indentation by tabs, `1e5`, surrogate pairs. The library's decoder judges
the text and gives the values; a walk over the tokens of the same text, which is known to be JSON by then, gives the
lines and the keys that stand twice. Several documents may follow each other, with or without `---` between them.
"""

from __future__ import annotations

import bisect
import json
import re
from dataclasses import dataclass

from streamer import limits
from streamer.descriptor.document import Document, Text, UnreadableError, Value
from streamer.descriptor.finding import Finding, Path, Place, quote

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
_BETWEEN = re.compile(r"(?:\s|^---[ \t]*$)*", re.MULTILINE)


def is_json(text: str) -> bool:
    return text.lstrip().startswith(("{", "["))


def read_json(text: str, file: str, folder: str) -> Text:
    """All documents of the text. Raises UnreadableError."""
    breaks = [match.start() for match in re.finditer("\n", text)]
    decoder = json.JSONDecoder(parse_constant=_refuse_constant)
    documents: list[Document] = []
    findings: list[Finding] = []
    at = _skip(text, 0)
    while at < len(text):
        try:
            value, end = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            raise UnreadableError(error.lineno, f"not JSON: {error.msg} (column {error.colno})") from error
        except (RecursionError, ValueError) as error:
            line = 1 + bisect.bisect_left(breaks, at)
            message = "nested too deeply" if isinstance(error, RecursionError) else str(error)
            raise UnreadableError(line, f"not JSON: {message}") from error
        walk = _Walk(text, breaks, file)
        walk.document(at, end)
        documents.append(Document(value, walk.places, folder))
        findings.extend(walk.findings)
        at = _skip(text, end)
    return Text(tuple(documents), tuple(findings))


def read_json_value(text: str) -> Value:
    """One JSON value without places. Raises UnreadableError."""
    found = read_json(text, "", ".")
    if len(found.documents) != 1 or found.findings:
        reason = found.findings[0].message if found.findings else "expected one value"
        raise UnreadableError(1, f"not JSON: {reason}")
    return found.documents[0].value


def _skip(text: str, at: int) -> int:
    match = _BETWEEN.match(text, at)
    return match.end() if match else at


def _refuse_constant(name: str) -> Value:
    raise ValueError(f"{name} is no number in JSON")


@dataclass(slots=True)
class _Container:
    path: Path
    keys: dict[str, int] | None
    """Keys seen so far with their lines; None in an array."""
    key: str | None = None
    index: int = 0


class _Walk:
    """Tokens of one valid JSON value."""

    def __init__(self, text: str, breaks: list[int], file: str) -> None:
        self.places: dict[Path, Place] = {}
        self.findings: list[Finding] = []
        self._text = text
        self._breaks = breaks
        self._file = file
        self._stack: list[_Container] = []

    def document(self, start: int, end: int) -> None:
        self.places[()] = Place(self._file, self._line(start))
        for match in _TOKEN.finditer(self._text, start, end):
            token = match.group()
            if token in "}]":
                self._stack.pop()
            elif token == ",":
                self._stack[-1].index += 1
                self._stack[-1].key = None
            elif token != ":":
                self._value(token, self._line(match.start()))

    def _value(self, token: str, line: int) -> None:
        top = self._stack[-1] if self._stack else None
        if top is not None and top.keys is not None and top.key is None:
            self._key(top, json.loads(token), line)
            return
        path = self._path(top)
        if top is not None and top.keys is None:
            self.places[path] = Place(self._file, line)
        if token in "{[":
            self._stack.append(_Container(path, {} if token == "{" else None))
            if len(self._stack) > limits.DESCRIPTOR_DEPTH_MAX:
                raise UnreadableError(line, f"nested more than {limits.DESCRIPTOR_DEPTH_MAX} levels deep")

    def _key(self, top: _Container, key: str, line: int) -> None:
        assert top.keys is not None
        path = (*top.path, key)
        if key in top.keys:
            message = f"the key {quote(key)} stands twice (first in line {top.keys[key]})"
            self.findings.append(Finding.at(Place(self._file, line), path, message, "Keep one of the two."))
        top.keys.setdefault(key, line)
        top.key = key
        self.places[path] = Place(self._file, line)

    def _path(self, top: _Container | None) -> Path:
        if top is None:
            return ()
        if top.keys is None:
            return (*top.path, top.index)
        assert top.key is not None
        return (*top.path, top.key)

    def _line(self, at: int) -> int:
        return 1 + bisect.bisect_left(self._breaks, at)
