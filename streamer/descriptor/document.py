"""A document: one value of a descriptor file, and the line of everything in it.

Parsers that give only values cannot say where something stands, and parsers that give decorated values (strings with
attributes) leak them into the program. So a document keeps plain JSON values and, beside them, a place for each path;
what has no place of its own (a field that is missing, a value reached through an alias) stands where its nearest
ancestor does. `yaml_text` and `json_text` make documents from text, `settings` changes them from the command line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias, Union

from streamer.descriptor.finding import Finding, Path, Place
from streamer.errors import DescriptorError

Value: TypeAlias = Union[bool, int, float, str, list["Value"], dict[str, "Value"], None]  # noqa: UP007  # `|` fails on the names
"""What JSON can hold. Values of documents are shared and never changed in place."""


@dataclass(frozen=True, slots=True)
class Document:
    """`folder` is where relative paths of the document begin."""

    value: Value
    places: Mapping[Path, Place]
    folder: str = "."

    def place(self, path: Path) -> Place:
        for end in range(len(path), -1, -1):
            found = self.places.get(path[:end])
            if found is not None:
                return found
        return Place("document", 0)

    def with_value(self, path: Path, value: Value, place: Place) -> Document:
        """The document with another value at `path`; mappings that are missing on the way are made.

        The caller has seen to it that the path can be walked.
        """
        places = {known: at for known, at in self.places.items() if known[: len(path)] != path}
        return replace(self, value=_replaced(self.value, path, value), places={**places, path: place})


@dataclass(frozen=True, slots=True)
class Text:
    """What one file holds: its documents, and what could not be read or stands twice."""

    documents: tuple[Document, ...] = ()
    findings: tuple[Finding, ...] = field(default=())


class UnreadableError(DescriptorError):
    """Text of a descriptor that neither YAML nor JSON can make sense of; `line` says where it went wrong."""

    remedy = "Correct the text at the line named; a YAML or JSON checker of an editor shows the same place."

    def __init__(self, line: int, message: str, *, remedy: str | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.line = line


def _replaced(value: Value, path: Path, new: Value) -> Value:
    if not path:
        return new
    step, rest = path[0], path[1:]
    if isinstance(value, list) and isinstance(step, int):
        return [_replaced(element, rest, new) if at == step else element for at, element in enumerate(value)]
    known = value if isinstance(value, dict) else {}
    return {**known, str(step): _replaced(known.get(str(step)), rest, new)}
