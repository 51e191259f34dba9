"""The connectors by name: how each is opened, and what can be known to be wrong before a job starts.

Control asks for problems before it makes a job, so that a missing file costs a message and not a job that fails; an
instance opens its own connector. Both look into the same two tables, so that a connector cannot be known to one and
not to the other. What a spec may hold was judged with the descriptor; here the question is what the machine says to it
(is the file there?). The tables are plain: a name in a descriptor never makes the engine import a module of that name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from streamer.connectors.base import Sink, Source
from streamer.connectors.blackhole import BlackholeSink
from streamer.connectors.file import FileSink, FileSource, sink_problems, source_problems
from streamer.connectors.generator import GeneratorSource
from streamer.connectors.standard import StdinSource, StdoutSink, stdin_problems, stdout_problems
from streamer.errors import ConnectorError
from streamer.plan.assignment import Connector, Role

Spec = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _SourceKind:
    make: Callable[[Spec], Source]
    problems: Callable[[Spec], list[str]]


@dataclass(frozen=True, slots=True)
class _SinkKind:
    make: Callable[[Spec, Path], Sink]
    problems: Callable[[Spec], list[str]]


_SOURCES: Mapping[str, _SourceKind] = {
    "file": _SourceKind(FileSource, source_problems),
    "stdin": _SourceKind(StdinSource, stdin_problems),
    "generator": _SourceKind(GeneratorSource, lambda _spec: []),
}

_SINKS: Mapping[str, _SinkKind] = {
    "file": _SinkKind(FileSink, sink_problems),
    "stdout": _SinkKind(lambda spec, _state: StdoutSink(spec), stdout_problems),
    "blackhole": _SinkKind(lambda _spec, _state: BlackholeSink(), lambda _spec: []),
}


def open_source(connector: Connector) -> Source:
    """The source of a node, to be told by `open` where to begin. Raises ConnectorError."""
    if connector.name not in _SOURCES:
        raise ConnectorError(_unknown("source", connector.name, _SOURCES))
    return _SOURCES[connector.name].make(connector.spec)


def open_sink(connector: Connector, *, state: Path) -> Sink:
    """The sink of a node, to be begun by `open`; `state` is the instance's own folder. Raises ConnectorError."""
    if connector.name not in _SINKS:
        raise ConnectorError(_unknown("sink", connector.name, _SINKS))
    return _SINKS[connector.name].make(connector.spec, state)


def problems(connector: Connector, role: Role) -> list[str]:
    """What would keep this connector from working here and now, each with its remedy; changes nothing."""
    kinds: Mapping[str, _SourceKind] | Mapping[str, _SinkKind] = _SOURCES if role is Role.SOURCE else _SINKS
    if connector.name not in kinds:
        return [_unknown(role.value, connector.name, kinds)]
    return kinds[connector.name].problems(connector.spec)


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


def _unknown(use: str, name: str, known: Mapping[str, object]) -> str:
    near = get_close_matches(name, known, n=1)
    meant = f" Did you mean {near[0]}?" if near else ""
    return f"there is no {use} connector {name!r}.{meant} Known are: {', '.join(known)}."
