"""References inside a node's `input`: `@flowInput.a.b`, `@node`, `#@node`, `*@node`, `#[1,2,5...9]`.

A reference is a text anywhere in the nested input; everything else is passed on as it is. Only texts that begin like a
reference are read as one, so `#hashtag` and `*.txt` stay what they are. In a stream, input is resolved once, when the
plan is made, and only from the job's flowInput; what waits for other nodes belongs to batch pipelines. The elements
of `#[...]` keep their types, and a range is kept as its ends, since a few characters can name a billion numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from streamer.descriptor.document import Value
from streamer.descriptor.finding import Path, quote
from streamer.errors import DescriptorError

FLOW_INPUT = "flowInput"
DATA_SOURCE = "dataSource"
RESERVED = "$$"
EXAMPLES = "@flowInput.a.b, @node.path, #@node, *@node or #[1,2,5...9]"

_REFERENCE = re.compile(r"(\*?)(#?)@(.*)", re.DOTALL)
_NUMBER = re.compile(r"[-+]?[0-9]{1,18}(\.[0-9]{1,18})?")
_RANGE = re.compile(r"([-+]?[0-9]{1,18})\.\.\.([-+]?[0-9]{1,18})")
_CONSTANTS: dict[str, Value] = {"true": True, "false": False, "null": None}


class InputError(DescriptorError):
    """A reference in a node's input cannot be read or resolved."""

    remedy = f"Write {EXAMPLES}."


class Relation(StrEnum):
    """How a node waits for what it refers to."""

    NODE = "waitNode"
    BATCH = "waitBatch"
    ANY = "waitAny"
    ANY_BATCH = "waitAnyBatch"


@dataclass(frozen=True, slots=True)
class Reference:
    """`#@green.a.0` is relation BATCH, target green, path ("a", "0")."""

    relation: Relation
    target: str
    path: tuple[str, ...] = ()

    def __str__(self) -> str:
        sign = {Relation.NODE: "", Relation.BATCH: "#", Relation.ANY: "*", Relation.ANY_BATCH: "*#"}[self.relation]
        separator = "/" if self.target == DATA_SOURCE else "."
        first, rest = self.path[:1], self.path[1:]
        return f"{sign}@{'.'.join((self.target, *first))}{''.join(separator + step for step in rest)}"


@dataclass(frozen=True, slots=True)
class Range:
    """`first...last`, both included."""

    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.first}...{self.last}"


@dataclass(frozen=True, slots=True)
class RawBatch:
    """`#[1,x,5...9]`: one task for each element."""

    elements: tuple[Value | Range, ...]

    def __str__(self) -> str:
        return f"#[{','.join(_element_text(element) for element in self.elements)}]"


@dataclass(frozen=True, slots=True)
class Found:
    """A reference and where in the input it stands; `problem` if it is none but begins like one."""

    path: Path
    text: str
    reference: Reference | RawBatch | None
    problem: InputError | None = None


def parse_reference(text: str) -> Reference | RawBatch | None:
    """None for a text that is no reference. Raises InputError."""
    if text.startswith(RESERVED):
        raise InputError(f"{quote(text)} begins with the reserved {RESERVED}", remedy="Begin the text otherwise.")
    if text.startswith("#["):
        return _raw_batch(text)
    match = _REFERENCE.fullmatch(text)
    if match is None:
        return None
    relation = {
        ("", ""): Relation.NODE,
        ("", "#"): Relation.BATCH,
        ("*", ""): Relation.ANY,
        ("*", "#"): Relation.ANY_BATCH,
    }[match[1], match[2]]
    target, _, rest = match[3].partition(".")
    path = _data_source_path(rest) if target == DATA_SOURCE else tuple(rest.split(".")) if rest else ()
    if not target or "" in path or match[3].endswith("."):
        raise InputError(f"{quote(text)} is not a reference")
    if target == DATA_SOURCE and not path:
        raise InputError(f"{quote(text)} names no data source", remedy="Write @dataSource.<name>/<file>.")
    if target == FLOW_INPUT and relation in (Relation.ANY, Relation.ANY_BATCH):
        raise InputError(f"{quote(text)} waits for flowInput, which is there from the start", remedy="Leave out the *.")
    return Reference(relation, target, path)


def find_references(value: Value, path: Path = ()) -> Iterator[Found]:
    """Every reference of a nested input, also those that cannot be read."""
    if isinstance(value, str):
        try:
            reference = parse_reference(value)
        except InputError as problem:
            yield Found(path, value, None, problem)
        else:
            if reference is not None:
                yield Found(path, value, reference)
    elif isinstance(value, list):
        for index, element in enumerate(value):
            yield from find_references(element, (*path, index))
    elif isinstance(value, dict):
        for key, element in value.items():
            yield from find_references(element, (*path, key))


def resolve(value: Value, flow_input: Value) -> Value:
    """The input with every `@flowInput` reference replaced. Raises InputError for any other reference."""
    if isinstance(value, list):
        return [resolve(element, flow_input) for element in value]
    if isinstance(value, dict):
        return {key: resolve(element, flow_input) for key, element in value.items()}
    reference = parse_reference(value) if isinstance(value, str) else None
    if reference is None:
        return value
    if not isinstance(reference, Reference) or reference.relation is not Relation.NODE:
        raise InputError(
            f"{quote(value)} makes one task for each element, which a stream does not do in this version",
            remedy="Pass the whole value (@flowInput.path), and loop over it in the algorithm.",
        )
    if reference.target != FLOW_INPUT:
        raise InputError(
            f"{quote(value)} cannot be resolved in a stream in this version", remedy="Refer to @flowInput."
        )
    return _look_up(reference, flow_input)


def flatten(value: Value, prefix: str = "") -> dict[str, Value]:
    """`[{"a": 1}]` as `{"0.a": 1}`."""
    children: Iterator[tuple[object, Value]]
    if isinstance(value, list) and value:
        children = iter(enumerate(value))
    elif isinstance(value, dict) and value:
        children = iter(value.items())
    else:
        return {prefix: value} if prefix else {}
    flat: dict[str, Value] = {}
    for key, element in children:
        flat.update(flatten(element, f"{prefix}.{key}" if prefix else str(key)))
    return flat


def _look_up(reference: Reference, flow_input: Value) -> Value:
    at = flow_input
    # A job without flowInput has nothing that `@flowInput` itself could mean.
    missing = at is None
    for step in reference.path:
        if isinstance(at, dict) and step in at:
            at = at[step]
        elif isinstance(at, list) and step.isascii() and step.isdigit() and int(step) < len(at):
            at = at[int(step)]
        else:
            missing = True
            break
    if missing:
        name = ".".join((FLOW_INPUT, *reference.path))
        raise InputError(
            f"unable to find {name}", remedy="Add it to flowInput of the pipeline, or give it with --input."
        )
    return at


def _raw_batch(text: str) -> RawBatch:
    if not text.endswith("]"):
        raise InputError(f"{quote(text)} has no closing ]")
    inside = text[2:-1].strip()
    if not inside:
        return RawBatch(())
    return RawBatch(tuple(_element(part.strip(), text) for part in inside.split(",")))


def _element(part: str, text: str) -> Value | Range:
    if not part:
        raise InputError(f"{quote(text)} has an empty element")
    match = _RANGE.fullmatch(part)
    if match is not None:
        first, last = int(match[1]), int(match[2])
        if first > last:
            raise InputError(f"the range {quote(part)} ends before it begins", remedy="Write the lower end first.")
        return Range(first, last)
    if _NUMBER.fullmatch(part):
        return float(part) if "." in part else int(part)
    if part in _CONSTANTS:
        return _CONSTANTS[part]
    if len(part) > 1 and part[0] == part[-1] and part[0] in "\"'":
        return part[1:-1]
    return part


def _element_text(element: Value | Range) -> str:
    if isinstance(element, str):
        return f'"{element}"' if _element(element or " ", "") != element else element
    if element is None or isinstance(element, bool):
        return {None: "null", True: "true", False: "false"}[element]
    return str(element)


def _data_source_path(rest: str) -> tuple[str, ...]:
    name, _, file = rest.partition("/")
    return (name, file) if file else (name,) if name else ()
