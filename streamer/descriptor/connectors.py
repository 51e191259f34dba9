"""What each connector's `spec` may hold: the one table that validation, the plan and the documents go by.

The connectors themselves live in `streamer.connectors`, above this package; they get a spec that has been read by this
table, with its defaults filled in, and judge only what a descriptor cannot show (does the file exist?). `accepts` says
at which end of a pipeline a connector may stand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from streamer import limits
from streamer.descriptor.document import Value
from streamer.descriptor.fields import Fields
from streamer.descriptor.finding import quote, suggestion
from streamer.descriptor.rules import MismatchError, Rule, anything, choice, flag, number, quantity, text, whole

FORMATS = ("text", "jsonl", "msgpack")


@dataclass(frozen=True, slots=True)
class SpecField:
    """One field of a spec; `default` None leaves an absent field out."""

    rule: Rule[Value]
    default: Value = None
    required: bool = False
    example: str = ""


@dataclass(frozen=True, slots=True)
class ConnectorShape:
    """Fields of a connector at one end of a pipeline; `paths` are those that name files."""

    fields: Mapping[str, SpecField]
    paths: tuple[str, ...] = ()


_FILE = SpecField(text(what="a path"), required=True, example="path: access.log")

SOURCES: Mapping[str, ConnectorShape] = {
    "file": ConnectorShape({"path": _FILE, "format": SpecField(choice(*FORMATS), "text")}, paths=("path",)),
    "stdin": ConnectorShape({"format": SpecField(choice(*FORMATS), "text")}),
    "generator": ConnectorShape(
        {
            "count": SpecField(whole(0)),
            "rate": SpecField(number(0, above=True)),
            "size": SpecField(quantity(0, limits.MESSAGE_BYTES_MAX // 2)),
            "value": SpecField(anything),
        }
    ),
}
SINKS: Mapping[str, ConnectorShape] = {
    "file": ConnectorShape(
        {"path": _FILE, "format": SpecField(choice(*FORMATS), "jsonl"), "append": SpecField(flag, False)},
        paths=("path",),
    ),
    "stdout": ConnectorShape({"format": SpecField(choice(*FORMATS), "jsonl")}),
    "blackhole": ConnectorShape({}),
}
TABLES: Mapping[str, Mapping[str, ConnectorShape]] = {"source": SOURCES, "sink": SINKS}


def read_connector(fields: Fields, end: str) -> Mapping[str, Value]:
    """The spec of a node of kind `end` (source or sink), `connector` included, defaults filled in."""
    table = TABLES[end]
    name = fields.required("connector", _connector(end), None, example=f"connector: {next(iter(table))}")
    if name is None:
        return {}
    spec: dict[str, Value] = {"connector": name, **read_spec(fields, table[name].fields)}
    if "size" in spec and "value" in spec:
        fields.finding("value", "size and value exclude each other", "Keep the one that describes the messages.")
    fields.close(where=f"a {name} {end}")
    return spec


def read_spec(fields: Fields, table: Mapping[str, SpecField]) -> dict[str, Value]:
    """The fields of a table; those that are absent and have no default are left out."""
    spec: dict[str, Value] = {}
    for key, field in table.items():
        if field.required:
            value = fields.required(key, field.rule, None, example=field.example)
        else:
            value = fields.optional(key, field.rule, field.default)
        if value is not None:
            spec[key] = value
    return spec


def _connector(end: str) -> Callable[[Value], str]:
    table = TABLES[end]
    other = "sink" if end == "source" else "source"

    def rule(value: Value) -> str:
        name = text(what="the name of a connector")(value)
        if name in table:
            return name
        if name in TABLES[other]:
            raise MismatchError(
                f"the connector {quote(name)} cannot be a {end}", f"Connectors of a {end}: {', '.join(table)}."
            )
        raise MismatchError(f"{quote(name)} is not a connector", suggestion(name, table, what=f"connectors of a {end}"))

    return rule
