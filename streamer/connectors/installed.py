"""The connectors of other packages: found by entry point, and imported when a descriptor names one of them.

An installed package tells its connectors in its metadata, so that they are known by name without any code of it: only
the one that is named is imported. Metadata is looked through only for a name that is not ours, since that costs
milliseconds in each instance of a job. A name of ours cannot be taken: a broken package would break `file` for
everyone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TypeVar

from streamer.connectors.plugin import SinkConnector, SourceConnector
from streamer.descriptor.connectors import SINKS, SOURCES, ConnectorShape, ConnectorTables
from streamer.errors import ConnectorError

SOURCES_GROUP = "streamer.connectors.sources"
SINKS_GROUP = "streamer.connectors.sinks"

C = TypeVar("C", SourceConnector, SinkConnector)


def connector_tables() -> ConnectorTables:
    """Ours and all that are installed, for whoever reads a descriptor."""
    return {
        "source": _Shapes(SOURCES, SOURCES_GROUP, lambda name: installed_source(name).shape),
        "sink": _Shapes(SINKS, SINKS_GROUP, lambda name: installed_sink(name).shape),
    }


def source_names() -> tuple[str, ...]:
    return tuple(_installed(SOURCES_GROUP))


def sink_names() -> tuple[str, ...]:
    return tuple(_installed(SINKS_GROUP))


def installed_source(name: str) -> SourceConnector:
    """Raises ConnectorError if its package is broken."""
    return _load(SOURCES_GROUP, name, SourceConnector)


def installed_sink(name: str) -> SinkConnector:
    """Raises ConnectorError if its package is broken."""
    return _load(SINKS_GROUP, name, SinkConnector)


class _Shapes(Mapping[str, ConnectorShape]):
    """By name, ours first; a shape of another package is loaded when it is asked for."""

    def __init__(self, ours: Mapping[str, ConnectorShape], group: str, load: Callable[[str], ConnectorShape]) -> None:
        self._ours = ours
        self._group = group
        self._load = load

    def __getitem__(self, name: str) -> ConnectorShape:
        if name in self._ours:
            return self._ours[name]
        if name not in _installed(self._group):
            raise KeyError(name)
        return self._load(name)

    def __contains__(self, name: object) -> bool:
        return name in self._ours or name in _installed(self._group)

    def __iter__(self) -> Iterator[str]:
        yield from self._ours
        yield from (name for name in _installed(self._group) if name not in self._ours)

    def __len__(self) -> int:
        return sum(1 for _ in self)


@cache
def _installed(group: str) -> Mapping[str, tuple[EntryPoint, ...]]:
    """By name; what is installed changes only between processes."""
    found: dict[str, dict[str, EntryPoint]] = {}
    for point in entry_points(group=group):
        # One package can be seen twice, by a folder and by its metadata beside it.
        found.setdefault(point.name, {})[point.value] = point
    return {name: tuple(found[name].values()) for name in sorted(found)}


def _load(group: str, name: str, kind: type[C]) -> C:
    points = _installed(group)[name]
    if len(points) > 1:
        raise ConnectorError(
            f"the connector {name!r} is installed twice, by {' and '.join(map(_package, points))}",
            remedy="Uninstall all but one of them.",
        )
    (point,) = points
    where = f"the connector {name!r} of {_package(point)}"
    try:
        found = point.load()
    except Exception as error:  # whatever a package raises at import is that package's error
        raise ConnectorError(
            f"{where} cannot be loaded from {point.value}: {type(error).__name__}: {error}",
            remedy="Repair or uninstall that package.",
        ) from error
    if not isinstance(found, kind):
        raise ConnectorError(
            f"{where} is a {type(found).__name__}, not a {kind.__name__} of streamer.connectors.plugin",
            remedy="Correct the entry point of that package, or uninstall it.",
        )
    return found


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else "a package without a name"
