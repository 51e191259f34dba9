"""Where the state of a node lies on one machine, known before there is any: most nodes keep none.

The database is made when an algorithm first asks for its state, and whoever finds one goes on with it. SQLite is only
loaded then, since every instance would wait for it at its start.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from streamer.state.base import StateStore

DATABASE_FILE = "state.sqlite"
_FOLDER = "state"


def state_folder(job_folder: Path, node: str) -> Path:
    """Where a job keeps the state of a node."""
    return job_folder / _FOLDER / node


@dataclass(frozen=True, slots=True)
class SqliteHome:
    """The state of `node` in `folder`, for this life of `instance`."""

    folder: Path
    node: str
    instance: str
    epoch: int

    @property
    def exists(self) -> bool:
        return (self.folder / DATABASE_FILE).exists()

    def open(self) -> StateStore:
        """Raises StateError, FencedError."""
        from streamer.state.sqlite import SqliteStateStore

        return SqliteStateStore(self.folder, self.node, self.instance, self.epoch)
