"""A process that somebody else has started: watched, killed and found ended without being its parent.

A parent waits for its child and hears how it ended; a stranger has a number that may belong to another process by the
time it is used. So a process is held by a descriptor where the system has them (Linux), which becomes readable at its
end and cannot come to mean another process; elsewhere it is asked after. Its exit code goes to whoever inherited it.
"""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress
from pathlib import Path

_STARTED_AT = 19
"""Place of the start time in /proc/PID/stat, counted behind the name, which may contain anything."""


def started_at(pid: int) -> int:
    """When the process was started, in ticks of the machine; 0 if there is none, or the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[_STARTED_AT])


class AdoptedProcess:
    """The leader of a group of its own that was started at `started`, whether or not it is still there."""

    def __init__(self, pid: int, started: int) -> None:
        self.pid = pid
        self.fd: int | None = None
        self._ended = False
        self._foreign = False
        if hasattr(os, "pidfd_open"):
            try:
                self.fd = os.pidfd_open(pid)
            except ProcessLookupError:
                self._ended = True
                return
        found = started_at(pid)
        # a number is given again only when the group of that number is empty
        self._ended = self._foreign = found != started

    def has_ended(self) -> bool:
        if not self._ended and self.fd is not None:
            poll = select.poll()
            poll.register(self.fd, select.POLLIN)
            self._ended = bool(poll.poll(0))
        elif not self._ended:
            try:
                os.kill(self.pid, 0)
            except ProcessLookupError:
                self._ended = True
        return self._ended

    def kill_group(self) -> None:
        if not self._foreign:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def close(self) -> None:
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None
