"""The stream of events as a source of the engine: a connector such as the package of another author would bring.

An event is made of its number alone, so the position is the mark, and a restart makes the same events again. It is no
connector of ours, but found by an entry point: `install` declares that as an installed package does, in a folder that
stands on the path of this process and of those that it starts.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.nexmark.gate import Gate
from benchmarks.nexmark.generator import stream
from streamer.connectors.plugin import ConnectorShape, Mark, Records, SourceConnector, SpecField, text, whole

NAME = "nexmark"
_BATCH_MAX = 512
"""About half a frame: a batch that does not fit a frame would be cut, each time."""
_CLOSED_S = 0.002
_METADATA = "Metadata-Version: 2.1\nName: streamer-nexmark\nVersion: 1.0\n"
_ENTRY_POINTS = f"[streamer.connectors.sources]\n{NAME} = {__name__}:nexmark\n"


class NexmarkSource:
    """The first `count` events, as far as `gate` lets them pass."""

    replayable = True
    partition = "nexmark"

    def __init__(self, spec: Mapping[str, Any], _state: Path) -> None:
        self._count = int(spec["count"])
        self._gate = Gate(Path(spec["gate"]))
        self._next = 0

    @property
    def ended(self) -> bool:
        return self._next >= self._count

    def open(self, mark: Mark) -> None:
        self._next = mark.position

    def read(self, limit: int, now: float) -> Records | None:  # noqa: ARG002  # events have no time but their own
        first = self._next
        end = min(first + min(limit, _BATCH_MAX), self._count, self._gate.open_to)
        if end <= first:
            return None
        self._next = end
        positions = range(first, end)
        return Records(Mark(first, 0), positions, list[object](stream(positions)))

    def wait_s(self, now: float) -> float | None:  # noqa: ARG002  # events have no time but their own
        return 0.0 if self._next < self._gate.open_to else _CLOSED_S

    def fileno(self) -> int | None:
        return None

    def close(self) -> None:
        self._gate.close()


nexmark = SourceConnector(
    make=NexmarkSource,
    shape=ConnectorShape(
        {
            "count": SpecField(whole(1), required=True, example="count: 1000"),
            "gate": SpecField(text(what="a path"), required=True, example="gate: gate"),
        },
        paths=("gate",),
    ),
)


def install(folder: Path) -> None:
    """Declare the connector in `folder`, to this process and to all that it starts from now on."""
    about = folder / "streamer_nexmark-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(_METADATA)
    (about / "entry_points.txt").write_text(_ENTRY_POINTS)
    sys.path.append(str(folder))
    importlib.invalidate_caches()
    others = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([*([others] if others else []), str(folder)])
