"""What one instance prints: bytes of a pipe into its log, and lines to whoever looks on.

An algorithm that prints must not be stopped by us, and one that prints without end must not stop us. So the pipe is
read without waiting and a bounded amount at a time; a line has a bounded length (a longer one is shown in pieces); the
log has everything up to a size and is then set aside once; and a terminal is shown at most so many lines per second,
with a word about the rest. Reading by a thread per instance would be simpler, and would cost a thread each and the
order between instances.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from io import FileIO
from pathlib import Path

from streamer import clock, limits


class Output:
    """Reader's end of an instance's pipe, for one life."""

    def __init__(self, fd: int, log: Path, on_line: Callable[[str], None]) -> None:
        os.set_blocking(fd, False)
        self.fd = fd
        self._log = log
        self._file: FileIO | None = log.open("ab", buffering=0)
        self._on_line = on_line
        self._partial = b""
        self._tail: deque[str] = deque(maxlen=limits.OUTPUT_TAIL_LINES)
        self._second = 0
        self._shown = 0
        self._unshown = 0

    def read(self) -> bool:
        """Take what is there, up to a limit; False at the end of the pipe."""
        left = limits.OUTPUT_READ_BYTES_MAX
        while left > 0:
            try:
                chunk = os.read(self.fd, min(left, 64 * limits.KIB))
            except BlockingIOError:
                return True
            if not chunk:
                return False
            left -= len(chunk)
            self._take(chunk)
        return True

    def finish(self) -> tuple[str, ...]:
        """After the life's end: take what is left, close, and give the last lines."""
        # one round only: a process that escaped its group may hold the other end, and print for ever
        self.read()
        if self._partial:
            self._line(self._partial)
            self._partial = b""
        self._tell_unshown()
        os.close(self.fd)
        if self._file is not None:
            self._file.close()
        return tuple(self._tail)

    def _take(self, chunk: bytes) -> None:
        self._store(chunk)
        second = int(clock.now())
        if second != self._second:
            self._tell_unshown()
            self._second, self._shown = second, 0
        *lines, self._partial = (self._partial + chunk).split(b"\n")
        for line in lines:
            self._line(self._cut(line))
        self._partial = self._cut(self._partial)

    def _store(self, chunk: bytes) -> None:
        if self._file is None:
            return
        try:
            if self._file.tell() + len(chunk) > limits.LOG_BYTES_MAX:
                self._file.close()
                self._log.replace(self._log.with_name(f"{self._log.name}.1"))
                self._file = self._log.open("ab", buffering=0)
            self._file.write(chunk)
        except OSError as error:
            # a full disk is no reason to stop the job: what is printed is still shown, and this is said once
            self._file.close()
            self._file = None
            self._on_line(f"... the log ends here: {error}")

    def _cut(self, raw: bytes) -> bytes:
        """Show the whole pieces of a line that is too long, and give the rest."""
        while len(raw) > limits.OUTPUT_LINE_BYTES_MAX:
            self._line(raw[: limits.OUTPUT_LINE_BYTES_MAX])
            raw = raw[limits.OUTPUT_LINE_BYTES_MAX :]
        return raw

    def _line(self, raw: bytes) -> None:
        line = raw.decode(errors="replace").rstrip("\r")
        self._tail.append(line)
        if self._shown < limits.OUTPUT_LINES_MAX_S:
            self._shown += 1
            self._on_line(line)
        else:
            self._unshown += 1

    def _tell_unshown(self) -> None:
        if self._unshown:
            self._on_line(f"... {self._unshown} more lines, not shown: see {self._log}")
            self._unshown = 0
