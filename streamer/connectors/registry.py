"""The connectors by name: how each is opened, and what can be known to be wrong before a job starts.

Control asks for problems before it makes a job, so that a missing file costs a message and not a job that fails; an
instance opens its own connector. Both look into the same two tables and then at what is installed, so that a connector
cannot be known to one and not to the other. What a spec may hold was judged with the descriptor; here the question is
what the machine says to it (is the file there?). A name in a descriptor never makes the engine import a module of that
name: only what an installed package has declared as a connector is imported (`installed`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from streamer.connectors.base import Owner, SharedSource, Sink, Source
from streamer.connectors.blackhole import BlackholeSink
from streamer.connectors.file import FileSink, FileSource, sink_problems, source_problems
from streamer.connectors.generator import GeneratorSource
from streamer.connectors.standard import StdinSource, StdoutSink, stdin_problems, stdout_problems
from streamer.errors import ConnectorError
from streamer.plan.assignment import Connector, Role

Spec = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _SourceKind:
    make: Callable[[Spec, Owner], Source | SharedSource]
    problems: Callable[[Spec], list[str]]


@dataclass(frozen=True, slots=True)
class _SinkKind:
    make: Callable[[Spec, Owner], Sink]
    problems: Callable[[Spec], list[str]]


def _file_source(spec: Spec, owner: Owner) -> Source:
    if not spec.get("follow"):
        return FileSource(spec)
    from streamer.connectors.follow import FollowedSource

    return FollowedSource(spec, owner.state)


def _sqlite_sink(spec: Spec, owner: Owner) -> Sink:
    from streamer.connectors.sqlite import SqliteSink  # few instances need SQLite, and it takes some milliseconds

    return SqliteSink(spec, owner.state)


def _sqlite_problems(spec: Spec) -> list[str]:
    from streamer.connectors.sqlite import sqlite_problems

    return sqlite_problems(spec)


def _kafka_source(spec: Spec, owner: Owner) -> SharedSource:
    _need_aiokafka()
    from streamer.connectors.kafka.source import KafkaSource  # with asyncio and a client, which few instances need

    return KafkaSource(spec, owner)


def _kafka_sink(spec: Spec, owner: Owner) -> Sink:
    _need_aiokafka()
    from streamer.connectors.kafka.sink import KafkaSink

    return KafkaSink(spec, owner)


def _kafka_problems(spec: Spec) -> list[str]:
    try:
        _need_aiokafka()
    except ConnectorError as error:
        return [f"{error}. {error.advice}"]
    from streamer.connectors.kafka.look import kafka_problems

    return kafka_problems(spec)


def _need_aiokafka() -> None:
    """Raises ConnectorError."""
    if find_spec("aiokafka") is None:
        raise ConnectorError(
            "connector kafka needs the package aiokafka, which is not installed",
            remedy="Install the extra: pip install 'streamer[kafka]'.",
        )


_SOURCES: Mapping[str, _SourceKind] = {
    "file": _SourceKind(_file_source, source_problems),
    "stdin": _SourceKind(lambda spec, _owner: StdinSource(spec), stdin_problems),
    "generator": _SourceKind(lambda spec, _owner: GeneratorSource(spec), lambda _spec: []),
    "kafka": _SourceKind(_kafka_source, _kafka_problems),
}

_SINKS: Mapping[str, _SinkKind] = {
    "file": _SinkKind(lambda spec, owner: FileSink(spec, owner.state), sink_problems),
    "sqlite": _SinkKind(_sqlite_sink, _sqlite_problems),
    "stdout": _SinkKind(lambda spec, _owner: StdoutSink(spec), stdout_problems),
    "blackhole": _SinkKind(lambda _spec, _owner: BlackholeSink(), lambda _spec: []),
    "kafka": _SinkKind(_kafka_sink, _kafka_problems),
}


def open_source(connector: Connector, owner: Owner) -> Source | SharedSource:
    """The source of a node, to be told by `open` where to begin, or to `begin`. Raises ConnectorError."""
    return _source(connector.name).make(connector.spec, owner)


def open_sink(connector: Connector, owner: Owner) -> Sink:
    """The sink of a node, to be begun by `open`. Raises ConnectorError."""
    return _sink(connector.name).make(connector.spec, owner)


def problems(connector: Connector, role: Role) -> list[str]:
    """What would keep this connector from working here and now, each with its remedy; changes nothing."""
    try:
        kind = _source(connector.name) if role is Role.SOURCE else _sink(connector.name)
    except ConnectorError as error:
        return [f"{error}. {error.advice}"]
    return kind.problems(connector.spec)


def clashes(nodes: Mapping[str, tuple[Role, Connector]]) -> list[str]:
    """Files that a node writes and another node of the same pipeline reads or writes, each with its remedy.

    A sink starts its file anew, so that a pipeline which reads it too would destroy its own input.
    """
    found = []
    users: dict[Path, list[str]] = {}
    written: set[Path] = set()
    for node, (role, connector) in nodes.items():
        if connector.name == "file":
            path = Path(connector.spec["path"]).resolve()
            users.setdefault(path, []).append(node)
            if role is Role.SINK:
                written.add(path)
    for path, names in users.items():
        if path in written and len(names) > 1:
            found.append(f"nodes {' and '.join(names)} share the file {path}. Give each sink a file of its own.")
    return found


def _source(name: str) -> _SourceKind:
    if name in _SOURCES:
        return _SOURCES[name]
    # Here and below: looking through what is installed costs an instance time that only some need.
    from streamer.connectors.installed import installed_source, source_names

    if name not in source_names():
        raise _unknown("source", name, (*_SOURCES, *source_names()))
    found = installed_source(name)
    return _SourceKind(lambda spec, owner: found.make(spec, owner.state), found.problems)


def _sink(name: str) -> _SinkKind:
    if name in _SINKS:
        return _SINKS[name]
    from streamer.connectors.installed import installed_sink, sink_names

    if name not in sink_names():
        raise _unknown("sink", name, (*_SINKS, *sink_names()))
    found = installed_sink(name)
    return _SinkKind(lambda spec, owner: found.make(spec, owner.state), found.problems)


def _unknown(use: str, name: str, known: Sequence[str]) -> ConnectorError:
    near = get_close_matches(name, known, n=1)
    meant = f"Did you mean {near[0]}? " if near else ""
    return ConnectorError(
        f"there is no {use} connector {name!r}",
        remedy=f"{meant}Known are: {', '.join(known)}. One of another package must be installed beside streamer.",
    )
