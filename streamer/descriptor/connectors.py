"""What each connector's `spec` may hold: the one table that validation, the plan and the documents go by.

The connectors themselves live in `streamer.connectors`, above this package; they get a spec that has been read by this
table, with its defaults filled in, and judge only what a descriptor cannot show (does the file exist?). Connectors of
other packages declare their fields in the same form, and whoever reads a descriptor brings them along in the table: to
look for them is I/O, and no matter of this package. A table may find a shape when it is asked for it, and then raises
ConnectorError where the package is broken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from streamer import limits
from streamer.descriptor import kafka
from streamer.descriptor.document import Value
from streamer.descriptor.fields import Fields
from streamer.descriptor.finding import quote, suggestion
from streamer.descriptor.rules import (
    MismatchError,
    Rule,
    anything,
    choice,
    flag,
    number,
    quantity,
    sequence,
    text,
    whole,
)
from streamer.errors import ConnectorError
from streamer.kafka.names import MECHANISMS, PROTOCOLS

FORMATS = ("text", "jsonl", "msgpack")


@dataclass(frozen=True, slots=True)
class SpecField:
    """One field of a spec; `default` None leaves an absent field out."""

    rule: Rule[Value]
    default: Value = None
    required: bool = False
    example: str = ""


@dataclass(frozen=True, slots=True)
class SpecRows:
    """A field that is a list of mappings, each with the fields of `table`; it is required, with one row at least."""

    table: Mapping[str, SpecField]
    example: str
    count_max: int


@dataclass(frozen=True, slots=True)
class SpecVariants:
    """A field with fields of its own, which its field `key` chooses; what is no mapping is read by `plain`."""

    key: str
    plain: Rule[Value]
    tables: Mapping[str, Mapping[str, SpecField | SpecRows]]


SpecTable: TypeAlias = Mapping[str, SpecField | SpecRows | SpecVariants]


def _nothing_more(_fields: Fields, _spec: Mapping[str, Value]) -> None:
    """The fields one by one say it all."""


@dataclass(frozen=True, slots=True)
class ConnectorShape:
    """Fields of a connector at one end of a pipeline.

    `paths` are those that name files, which a node has to itself if one writes there; `shared` those that name files
    that are only looked into. `check` adds findings about fields that do not go together. `replicated`: instances of
    its node can share the work.
    """

    fields: SpecTable
    paths: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    replicated: bool = False
    check: Callable[[Fields, Mapping[str, Value]], None] = _nothing_more


NO_CONNECTOR = ConnectorShape({})
ConnectorTables: TypeAlias = Mapping[str, Mapping[str, ConnectorShape]]
"""By end of the pipeline (source, sink), then by name."""

_RATE = number(0, above=True)
_RATE_OR_NONE = number(0)
_SECONDS = number(0, above=True)
_SHAPES: Mapping[str, Mapping[str, SpecField | SpecRows]] = {
    "steps": {
        "steps": SpecRows(
            {
                "rate": SpecField(_RATE_OR_NONE, required=True, example="rate: 100"),
                "seconds": SpecField(_SECONDS, required=True, example="seconds: 60"),
            },
            example="steps: [{rate: 100, seconds: 60}, {rate: 500, seconds: 10}]",
            count_max=limits.RATE_STEPS_MAX,
        ),
        "repeat": SpecField(flag, False),
    },
    "ramp": {
        "from": SpecField(_RATE_OR_NONE, 0),
        "to": SpecField(_RATE_OR_NONE, required=True, example="to: 1000"),
        "seconds": SpecField(_SECONDS, required=True, example="seconds: 60"),
    },
    "sine": {
        "low": SpecField(_RATE_OR_NONE, 0),
        "high": SpecField(_RATE_OR_NONE, required=True, example="high: 1000"),
        "seconds": SpecField(_SECONDS, required=True, example="seconds: 60"),
    },
    "spikes": {
        "base": SpecField(_RATE_OR_NONE, 0),
        "peak": SpecField(_RATE_OR_NONE, required=True, example="peak: 1000"),
        "every": SpecField(_SECONDS, required=True, example="every: 60"),
        "seconds": SpecField(_SECONDS, required=True, example="seconds: 5"),
    },
}


def _check_generator(fields: Fields, spec: Mapping[str, Value]) -> None:
    if "size" in spec and "value" in spec:
        fields.finding("value", "size and value exclude each other", "Keep the one that describes the messages.")
    rate = spec.get("rate")
    nested = fields.child("rate") if isinstance(rate, dict) else None
    if nested is None or not isinstance(rate, dict):
        return
    if rate["shape"] == "spikes":
        length, every = rate.get("seconds"), rate.get("every")
        if isinstance(length, int | float) and isinstance(every, int | float) and length >= every:
            nested.finding(
                "seconds",
                f"a spike of {length:g} seconds every {every:g} seconds has no end",
                "Make every the longer one.",
            )
    if rate["shape"] == "sine":
        low, high = rate.get("low"), rate.get("high")
        if isinstance(low, int | float) and isinstance(high, int | float) and low > high:
            nested.finding("low", f"a wave from {low:g} up to {high:g} goes down", "Make high the higher one.")


def _columns(value: Value) -> Value:
    """Names of columns, each once."""
    names: list[Value] = [text(what="the name of a column")(name) for name in sequence(value)]
    if not names or len({str(name).casefold() for name in names}) != len(names):
        raise MismatchError(f"{quote(value)} are not columns of a table", "Write a list of different names.")
    return names


_FILE = SpecField(text(what="a path"), required=True, example="path: access.log")

_KAFKA_SASL: Mapping[str, SpecField] = {
    "mechanism": SpecField(choice(*MECHANISMS), "PLAIN"),
    "username": SpecField(text(what="a name, or ${NAME}"), required=True, example="username: ${KAFKA_USER}"),
    "password": SpecField(kafka.secret, required=True, example="password: ${KAFKA_PASSWORD}"),
}
_KAFKA_TLS: Mapping[str, SpecField] = {
    **{name: SpecField(text(what="a path, or ${NAME}")) for name in ("caFile", "certFile", "keyFile")},
    "keyPassword": SpecField(kafka.secret),
}
_KAFKA_SECURITY = SpecVariants(
    "protocol",
    kafka.no_mapping,
    dict(zip(PROTOCOLS, ({}, _KAFKA_TLS, _KAFKA_SASL, {**_KAFKA_SASL, **_KAFKA_TLS}), strict=True)),
)
_KAFKA: SpecTable = {
    "bootstrap": SpecField(kafka.addresses, required=True, example="bootstrap: localhost:9092"),
    "settings": SpecField(text(what="a path")),
    "security": _KAFKA_SECURITY,
    "format": SpecField(choice(*kafka.FORMATS), "json"),
}
_KAFKA_SOURCE: SpecTable = {
    **_KAFKA,
    "topics": SpecField(kafka.topics, required=True, example="topics: [orders]"),
    "group": SpecField(text(what="the name of a group"), required=True, example="group: orders-readers"),
    "start": SpecField(choice(*kafka.STARTS), "earliest"),
    "untilEnd": SpecField(flag, False),
    "record": SpecField(flag, False),
}
_MESSAGE_FIELD = SpecField(text(what="the name of a field of the messages"))
_KAFKA_SINK: SpecTable = {
    **_KAFKA,
    "topic": SpecField(kafka.topic, required=True, example="topic: results"),
    "key": _MESSAGE_FIELD,
    "value": _MESSAGE_FIELD,
    "headers": _MESSAGE_FIELD,
    "exactlyOnce": SpecField(flag, False),
    "marksTopic": SpecField(kafka.topic, "streamer.sink-marks"),
}

SOURCES: Mapping[str, ConnectorShape] = {
    "file": ConnectorShape(
        {"path": _FILE, "format": SpecField(choice(*FORMATS), "text"), "follow": SpecField(flag, False)},
        paths=("path",),
    ),
    "stdin": ConnectorShape({"format": SpecField(choice(*FORMATS), "text")}),
    "generator": ConnectorShape(
        {
            "count": SpecField(whole(0)),
            "rate": SpecVariants("shape", _RATE, _SHAPES),
            "size": SpecField(quantity(0, limits.MESSAGE_BYTES_MAX // 2)),
            "value": SpecField(anything),
        },
        check=_check_generator,
    ),
    "kafka": ConnectorShape(_KAFKA_SOURCE, shared=("settings",), replicated=True),
}
SINKS: Mapping[str, ConnectorShape] = {
    "file": ConnectorShape(
        {"path": _FILE, "format": SpecField(choice(*FORMATS), "jsonl"), "append": SpecField(flag, False)},
        paths=("path",),
    ),
    "sqlite": ConnectorShape(
        {
            "path": SpecField(text(what="a path"), required=True, example="path: results.db"),
            "table": SpecField(text(what="the name of a table"), required=True, example="table: results"),
            "columns": SpecField(_columns),
        },
        paths=("path",),
    ),
    "stdout": ConnectorShape({"format": SpecField(choice(*FORMATS), "jsonl")}),
    "blackhole": ConnectorShape({}),
    "kafka": ConnectorShape(_KAFKA_SINK, shared=("settings",)),
}
BUILT_IN: ConnectorTables = {"source": SOURCES, "sink": SINKS}


def read_connector(fields: Fields, end: str, connectors: ConnectorTables) -> tuple[Mapping[str, Value], ConnectorShape]:
    """The spec of a node of kind `end` (source or sink), `connector` included, defaults filled in; and its shape."""
    table = connectors[end]
    name = fields.required("connector", _connector(end, connectors), None, example=f"connector: {next(iter(table))}")
    if name is None:
        return {}, NO_CONNECTOR
    shape = table[name]
    spec: dict[str, Value] = {"connector": name, **read_spec(fields, shape.fields)}
    shape.check(fields, spec)
    fields.close(where=f"a {name} {end}")
    return spec, shape


def read_spec(fields: Fields, table: SpecTable) -> dict[str, Value]:
    """The fields of a table; those that are absent and have no default are left out."""
    read = {key: _read_field(fields, key, field) for key, field in table.items()}
    return {key: value for key, value in read.items() if value is not None}


def _read_field(fields: Fields, key: str, field: SpecField | SpecRows | SpecVariants) -> Value:
    match field:
        case SpecRows():
            return _read_rows(fields, key, field)
        case SpecVariants():
            return _read_variant(fields, key, field)
        case SpecField(required=True):
            return fields.required(key, field.rule, None, example=field.example)
        case _:
            return fields.optional(key, field.rule, field.default)


def _read_rows(fields: Fields, key: str, field: SpecRows) -> Value:
    if not fields.has(key):
        fields.finding(key, "is missing", f"Add it, for example {field.example}")
        return None
    rows: list[Value] = []
    for row in fields.children(key, field.count_max):
        rows.append(read_spec(row, field.table))
        row.close(where=f"one of the {key}")
    if not rows and fields.optional(key, anything, None) == []:
        fields.finding(key, "is empty", f"Write one at least, for example {field.example}")
    return rows


def _read_variant(fields: Fields, key: str, field: SpecVariants) -> Value:
    given = fields.optional(key, lambda value: value if isinstance(value, dict) else field.plain(value), None)
    nested = fields.child(key) if isinstance(given, dict) else None
    if nested is None:
        return given
    name = nested.required(field.key, choice(*field.tables), None, example=f"{field.key}: {next(iter(field.tables))}")
    if name is None:
        return None
    read: dict[str, Value] = {field.key: name, **read_spec(nested, field.tables[name])}
    nested.close(where=f"a {key} of {field.key} {name}")
    return read


def _connector(end: str, connectors: ConnectorTables) -> Callable[[Value], str]:
    table = connectors[end]
    other = "sink" if end == "source" else "source"

    def rule(value: Value) -> str:
        name = text(what="the name of a connector")(value)
        if name in table:
            _found(table, name)
            return name
        if name in connectors[other]:
            raise MismatchError(
                f"the connector {quote(name)} cannot be a {end}", f"Connectors of a {end}: {', '.join(table)}."
            )
        raise MismatchError(f"{quote(name)} is not a connector", suggestion(name, table, what=f"connectors of a {end}"))

    return rule


def _found(table: Mapping[str, ConnectorShape], name: str) -> None:
    try:
        table[name]
    except ConnectorError as error:
        raise MismatchError(str(error), error.advice) from error
