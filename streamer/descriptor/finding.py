"""One thing wrong with a descriptor: where it stands, what it is, and what to do about it.

A user who gets the first error only has to come back for each of the others, so nothing in this package stops at the
first: everything is collected as findings. A finding quotes the offending value, because the value that was read is
often not the one that was meant (an unquoted `no`, a file from another folder).
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

Path = tuple[str | int, ...]
"""Keys and indices from the top of a document down to a value."""

_PLAIN_KEY = re.compile(r"[A-Za-z_$][-A-Za-z0-9_$]*")
_QUOTE_CHARS_MAX = 80
_LISTED_NAMES_MAX = 12


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file, counted from 1; line 0 means that the source has no lines (an option of a command)."""

    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Finding:
    """`path` is the dotted path in the document (`nodes[2].stateType`), or `document` for the whole of it."""

    file: str
    line: int
    path: str
    message: str
    remedy: str

    @classmethod
    def at(cls, place: Place, path: Path, message: str, remedy: str) -> Finding:
        return cls(_printable(place.file), place.line, path_text(path), _printable(message), _printable(remedy))

    @property
    def headline(self) -> str:
        """`FILE, line N, PATH: message`."""
        line = f", line {self.line}" if self.line else ""
        return f"{self.file}{line}, {self.path}: {self.message}"

    def __str__(self) -> str:
        return f"{self.headline}\n    {self.remedy}"


def path_text(path: Path) -> str:
    """`("nodes", 2, "stateType")` as `nodes[2].stateType`."""
    text = ""
    for step in path:
        if isinstance(step, str) and _PLAIN_KEY.fullmatch(step):
            text += f".{step}" if text else step
        else:
            text += f"[{step if isinstance(step, int) else quote(step)}]"
    return text or "document"


def quote(value: object) -> str:
    """The value as JSON, shortened: what a message shows of what it was given."""
    text = json.dumps(_head(value, 0), ensure_ascii=False, default=str)
    text = _printable(text)
    return text if len(text) <= _QUOTE_CHARS_MAX else text[: _QUOTE_CHARS_MAX - 3] + "..."


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name that `word` was probably meant to be."""
    names = {name.lower(): name for name in known}
    matches = difflib.get_close_matches(word[:_QUOTE_CHARS_MAX].lower(), names, n=1)
    return names[matches[0]] if matches else None


def suggestion(word: str, known: Iterable[str], *, what: str) -> str:
    """A remedy for an unknown name: the nearest known one, or the list of them."""
    names = list(known)
    match = nearest(word, names)
    if match is not None:
        return f"Did you mean {match}?"
    if not names:
        return f"There are no {what}."
    more = f" and {len(names) - _LISTED_NAMES_MAX} more" if len(names) > _LISTED_NAMES_MAX else ""
    return f"Known {what}: {', '.join(names[:_LISTED_NAMES_MAX])}{more}."


def _head(value: object, depth: int) -> object:
    """The beginning of a value: a message about 4 MB of text must not cost 4 MB."""
    if isinstance(value, str):
        return value[:_QUOTE_CHARS_MAX]
    if isinstance(value, dict):
        return {
            str(k)[:_QUOTE_CHARS_MAX]: _head(v, depth + 1) if depth < 4 else "..." for k, v in list(value.items())[:20]
        }
    if isinstance(value, list):
        return [_head(element, depth + 1) if depth < 4 else "..." for element in value[:20]]
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 256:
        return "a very large number"
    return value


def _printable(text: str) -> str:
    """Half of a surrogate pair is legal in JSON and cannot be printed."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
