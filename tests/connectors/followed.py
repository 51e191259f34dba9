"""A log that is written, rotated and emptied, and the source that follows it, in virtual time."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from streamer import limits
from streamer.connectors.base import START, BadRecord, Mark, Records
from streamer.connectors.follow import FollowedSource

_TICK_NS = 1_000_000


@dataclass
class Log:
    """`access.log` in a folder. Each change is a millisecond after the one before, whatever the clock of the files."""

    folder: Path
    changed_ns: int = 1_700_000_000 * 10**9

    @property
    def path(self) -> Path:
        return self.folder / "access.log"

    def write(self, text: str, name: str = "access.log") -> None:
        with (self.folder / name).open("a") as file:
            file.write(text)
        self._touch(self.folder / name)

    def rename(self) -> None:
        """access.log -> access.log.1 -> access.log.2, as rotation does; the name is free then."""
        for number in range(99, 0, -1):
            old = self.folder / f"access.log.{number}"
            if old.exists():
                old.rename(self.folder / f"access.log.{number + 1}")
        if self.path.exists():
            self.path.rename(self.folder / "access.log.1")

    def copy_and_empty(self) -> None:
        copy = self.folder / "access.log.1"
        shutil.copyfile(self.path, copy)
        self._touch(copy)
        os.truncate(self.path, 0)
        self._touch(self.path)

    def _touch(self, path: Path) -> None:
        self.changed_ns += _TICK_NS
        os.utime(path, ns=(self.changed_ns, self.changed_ns))


@dataclass
class Reader:
    """Reads all that there is, and remembers it by number; `again` is its next life."""

    log: Log
    state: Path
    record_format: str = "text"
    now: float = 100.0
    values: dict[int, object] = field(default_factory=dict)
    bad: dict[int, BadRecord] = field(default_factory=dict)
    marks: list[Mark] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.state.mkdir(exist_ok=True)
        self.open(START)

    def open(self, mark: Mark) -> None:
        spec = {"path": str(self.log.path), "format": self.record_format, "follow": True}
        self.source = FollowedSource(spec, self.state)
        self.partition = self.source.partition
        self.source.open(mark)

    def again(self, mark: Mark) -> Reader:
        self.source.close()
        return Reader._of(self, mark)

    @staticmethod
    def _of(before: Reader, mark: Mark) -> Reader:
        reader = object.__new__(Reader)
        reader.log, reader.state, reader.record_format, reader.now = (
            before.log,
            before.state,
            before.record_format,
            before.now,
        )
        reader.values, reader.bad, reader.marks = {}, {}, []
        reader.open(mark)
        return reader

    def batch(self, limit: int = 512) -> Records | None:
        records = self.source.read(limit, self.now)
        if records is not None:
            self.marks.append(records.mark)
            for position, value in zip(records.positions, records.values, strict=True):
                assert position not in self.values
                self.values[position] = value
            self.bad |= {bad.position: bad for bad in records.bad}
        return records

    def until_dry(self, limit: int = 512) -> list[object]:
        """What came, waiting as the source says, until nothing came for longer than a rotation takes."""
        before = len(self.values)
        quiet_until = self.now + 2 * limits.ROTATION_GRACE_S
        while self.now < quiet_until:
            if self.batch(limit) is not None:
                quiet_until = self.now + 2 * limits.ROTATION_GRACE_S
            wait_s = self.source.wait_s(self.now)
            assert wait_s is not None
            self.now += wait_s
        return list(self.values.values())[before:]
