"""The dead letters of a job: one JSON-lines file, to which all its instances append.

A message that nobody can handle must not be lost with the instance that gave it up, and it counts as settled as soon as
it is here: so when `append` returns, its lines are whole and a kill of the process loses none of them. Instances take
turns by a lock on the file, which the system takes back from a killed process; what such a process left half written
was never counted, and whoever writes next cuts it off. A file per instance would need no lock, but a reader would have
to find and merge them, also those of instances that are gone.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from streamer import limits
from streamer.connectors.json_form import to_json
from streamer.connectors.writing import write_all
from streamer.errors import StateError


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message that was given up.

    `reason` says why in a word or two (handler, hop limit, crash, bad record ...), `error` is the type and message of
    what was raised, with its `traceback` where there is one. `flow` and `target` are the route: the node that was to
    handle it, which differs from `node`, where it was given up, if it never got there. `source` is the node that it
    came from. `message` is any message when written, and its JSON form when read.
    """

    time_s: float
    node: str
    instance: str
    reason: str
    error: str
    traceback: str
    flow: str
    target: str
    source: str
    message_id: str
    attempts: int
    message: object

    def to_line(self) -> str:
        """One line of JSON, without its end."""
        facts = to_json(
            {
                "time": datetime.fromtimestamp(self.time_s, UTC).isoformat(timespec="microseconds"),
                "node": self.node,
                "instance": self.instance,
                "reason": self.reason,
                "error": self.error,
                "traceback": self.traceback,
                "route": {"flow": self.flow, "node": self.target},
                "source": self.source,
                "id": self.message_id,
                "attempts": self.attempts,
            }
        )
        # By itself, so that a message that has no full JSON form (nested too deeply) takes no fact with it.
        return f'{facts[:-1]},"message":{to_json(self.message)}}}'

    @classmethod
    def from_line(cls, line: bytes) -> DeadLetter:
        """Raises ValueError, KeyError or TypeError if this is no line of ours."""
        raw: dict[str, Any] = json.loads(line)
        return cls(
            time_s=datetime.fromisoformat(raw["time"]).timestamp(),
            node=raw["node"],
            instance=raw["instance"],
            reason=raw["reason"],
            error=raw["error"],
            traceback=raw["traceback"],
            flow=raw["route"]["flow"],
            target=raw["route"]["node"],
            source=raw["source"],
            message_id=raw["id"],
            attempts=raw["attempts"],
            message=raw["message"],
        )


class DeadLetters:
    """Appends to the file of the job, which comes into being with the first letter."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, records: Sequence[DeadLetter]) -> None:
        """Write these letters; they survive a kill once this returns. Raises StateError, then none was written."""
        if not records:
            return
        data = "".join([record.to_line() + "\n" for record in records]).encode()
        try:
            # Opened anew each time: the lock then holds between threads of one process too, and letters are rare.
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as error:
            raise _unwritable(self.path, error) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            end = _whole_lines_end(fd)
            os.ftruncate(fd, end)
            try:
                write_all(fd, data)
            except OSError as error:
                os.ftruncate(fd, end)
                raise _unwritable(self.path, error) from error
        finally:
            os.close(fd)


def read(path: Path) -> Iterator[DeadLetter]:
    """All letters of a job so far, the oldest first; none if there is no file. Raises StateError at a damaged line."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        # Whole lines never change, so the lock is only held to find their end.
        fcntl.flock(file, fcntl.LOCK_SH)
        end = _whole_lines_end(file.fileno())
        fcntl.flock(file, fcntl.LOCK_UN)
        number = 0
        while file.tell() < end:
            line = file.readline()
            number += 1
            try:
                letter = DeadLetter.from_line(line)
            except (ValueError, KeyError, TypeError) as error:
                raise StateError(f"{path}, line {number} is no dead letter of this version of streamer") from error
            yield letter


def _whole_lines_end(fd: int) -> int:
    """The length of the file without a last line that lacks its end."""
    end = os.fstat(fd).st_size
    while end:
        start = max(0, end - limits.READ_BYTES)
        found = os.pread(fd, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _unwritable(path: Path, error: OSError) -> StateError:
    return StateError(
        f"dead letters cannot be written to {path}: {error.strerror}",
        remedy="See that the disk has room and that $STREAMER_HOME (default ~/.streamer) can be written.",
    )
