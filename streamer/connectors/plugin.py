"""What the package of another author hands over to be a connector: how it is made, and what its spec may hold.

A connector from elsewhere must be as well checked as one of ours: a typing error in its spec is a finding with the
nearest name before a job exists, and not an exception in one of its instances. So it declares its fields in the form
that our own have, next to the function that makes it. Everything that an author needs is found in this module; it is
an entry point of the group `streamer.connectors.sources` or `streamer.connectors.sinks` that leads to such a value
(`docs/connectors.md` builds one).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from streamer.connectors.base import START, BadRecord, Mark, Records, Sink, Source
from streamer.descriptor.connectors import ConnectorShape, SpecField, SpecRows, SpecVariants
from streamer.descriptor.rules import MismatchError, anything, choice, flag, number, quantity, text, whole
from streamer.errors import ConnectorError

__all__ = [
    "START",
    "BadRecord",
    "ConnectorError",
    "ConnectorShape",
    "Mark",
    "MismatchError",
    "Records",
    "Sink",
    "SinkConnector",
    "Source",
    "SourceConnector",
    "SpecField",
    "SpecRows",
    "SpecVariants",
    "anything",
    "choice",
    "flag",
    "number",
    "quantity",
    "text",
    "whole",
]

Spec: TypeAlias = Mapping[str, Any]


def _none_known(_spec: Spec) -> list[str]:
    return []


@dataclass(frozen=True, slots=True)
class SourceConnector:
    """`make(spec, state)` gives the source; `state` is a folder of the instance that outlives it within a job.

    `problems(spec)` says what would keep it from working here and now, each with its remedy; it changes nothing.
    """

    make: Callable[[Spec, Path], Source]
    shape: ConnectorShape = field(default_factory=lambda: ConnectorShape({}))
    problems: Callable[[Spec], list[str]] = _none_known


@dataclass(frozen=True, slots=True)
class SinkConnector:
    """As `SourceConnector`, for the other end."""

    make: Callable[[Spec, Path], Sink]
    shape: ConnectorShape = field(default_factory=lambda: ConnectorShape({}))
    problems: Callable[[Spec], list[str]] = _none_known
