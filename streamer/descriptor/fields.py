"""Reading the fields of a mapping, one by one, while everything that is wrong with them is collected.

The fields that are asked for are the fields that exist: what is left over at `close` is unknown, and its nearest known
name is a guess at the typing error. A second list of allowed names, or a schema beside the code, would be a second
truth. A field that is `null` counts as not given, and one that is wrong reads as its default, so that reading always
ends with a value and one mistake makes one finding.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TypeVar

from streamer import limits
from streamer.descriptor.document import Document, Value
from streamer.descriptor.finding import Finding, Path, quote, suggestion
from streamer.descriptor.rules import MismatchError, Rule, free_mapping, sequence

T = TypeVar("T")
D = TypeVar("D")


class Report:
    """Findings of one document."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.findings: list[Finding] = []
        self._paths: set[Path] = set()

    def add(self, path: Path, message: str, remedy: str) -> None:
        self._paths.update(path[:end] for end in range(len(path) + 1))
        if self.full:
            return
        if len(self.findings) == limits.FINDINGS_MAX - 1:
            path, message = (), f"more than {limits.FINDINGS_MAX - 1} findings"
            remedy = "Correct those above; the others are shown when there are fewer."
        self.findings.append(Finding.at(self.document.place(path), path, message, remedy))

    @property
    def full(self) -> bool:
        return len(self.findings) >= limits.FINDINGS_MAX

    def refused(self, path: Path) -> bool:
        """Whether something is wrong there or below: what builds on it would only say so again."""
        return path in self._paths

    def top(self) -> Fields:
        """The fields of the whole document."""
        return _mapping(self, (), self.document.value)


class Fields:
    """One mapping being read. What is wrong with a `muted` one has been said already."""

    def __init__(self, report: Report, path: Path, raw: Mapping[str, Value], *, muted: bool = False) -> None:
        self.path = path
        self._report = report
        self._raw = raw
        self._muted = muted
        self._known: dict[str, None] = {}

    def has(self, key: str) -> bool:
        """Whether the field is given; asking makes it a known one."""
        return self._get(key) is not None

    def optional(self, key: str, rule: Rule[T], default: D) -> T | D:
        value = self._get(key)
        return default if value is None else self._read(key, rule, value, default)

    def required(self, key: str, rule: Rule[T], default: D, *, example: str) -> T | D:
        value = self._get(key)
        if value is None:
            self.finding(key, "is missing", f"Add it, for example {example}")
            return default
        return self._read(key, rule, value, default)

    def named(self, key: str, rule: Rule[str], *, example: str) -> str:
        """A required name. A wrong one keeps its text, so that what refers to it is not found missing as well."""
        value = self._get(key)
        return self.required(key, rule, value if isinstance(value, str) else "", example=example)

    def many(self, key: str, rule: Rule[T]) -> tuple[T, ...]:
        """A list; each element that is wrong makes a finding and is left out."""
        missing = object()
        read = [
            self._read_at((*self.path, key, index), rule, element, missing)
            for index, element in enumerate(self.optional(key, sequence, ()))
        ]
        return tuple(element for element in read if element is not missing)  # type: ignore[misc]  # sentinel taken out

    def child(self, key: str) -> Fields | None:
        value = self._get(key)
        return None if value is None else _mapping(self._report, (*self.path, key), value, muted=self._muted)

    def children(self, key: str, count_max: int) -> Iterator[Fields]:
        """A list of mappings; an element that is none reads as an empty, muted one, so that indices stay."""
        elements = self.optional(key, sequence, ())
        if len(elements) > count_max:
            self.finding(key, f"{len(elements)} elements", f"Write at most {count_max}.")
        for index, element in enumerate(elements[:count_max]):
            yield _mapping(self._report, (*self.path, key, index), element, muted=self._muted)

    def entries(self, key: str, rule: Rule[T]) -> Mapping[str, T]:
        """A mapping of free keys to values of one rule."""
        missing = object()
        read = {
            entry: self._read_at((*self.path, key, entry), rule, value, missing)
            for entry, value in self.optional(key, free_mapping, {}).items()
        }
        return {entry: value for entry, value in read.items() if value is not missing}  # type: ignore[misc]  # as above

    def ignore(self, keys: Collection[str]) -> None:
        """Fields that are accepted and not looked at."""
        self._known.update(dict.fromkeys(keys))

    def finding(self, key: str, message: str, remedy: str) -> None:
        if not self._muted:
            self._report.add((*self.path, key), message, remedy)

    def close(self, *, where: str) -> None:
        """Report what was not asked for; `where` names the mapping (`a node`)."""
        unknown = [] if self._report.full else [key for key in self._raw if key not in self._known]
        for key in unknown[: limits.FINDINGS_ALIKE_MAX]:
            self.finding(key, f"{quote(key)} is not a field of {where}", suggestion(key, self._known, what="fields"))

    def _get(self, key: str) -> Value:
        self._known[key] = None
        return self._raw.get(key)

    def _read(self, key: str, rule: Rule[T], value: Value, default: D) -> T | D:
        return self._read_at((*self.path, key), rule, value, default)

    def _read_at(self, path: Path, rule: Rule[T], value: Value, default: D) -> T | D:
        try:
            return rule(value)
        except MismatchError as mismatch:
            if not self._muted:
                self._report.add(path, mismatch.message, mismatch.remedy)
            return default


def _mapping(report: Report, path: Path, value: Value, *, muted: bool = False) -> Fields:
    if isinstance(value, dict):
        return Fields(report, path, value, muted=muted)
    if not muted:
        report.add(path, f"{quote(value)} is not a mapping", "Write fields with their values here.")
    return Fields(report, path, {}, muted=True)
