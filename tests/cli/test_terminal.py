"""A person at a terminal: the live view appears, Ctrl-C is a key, and the account is the last thing on the screen."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cli.command import Desk

_CTRL_C = b"\x03"


class Terminal:
    """The master's end of a terminal of 80 columns and 24 rows in which a command runs."""

    def __init__(self, fd: int, pid: int) -> None:
        self._fd = fd
        self._pid = pid
        self.text = ""

    def press(self, key: bytes) -> None:
        os.write(self._fd, key)

    def until(self, pattern: str) -> None:
        while not re.search(pattern, self.text):
            assert self._read(), f"the command ended without {pattern!r}:\n{self.text}"

    def finish(self) -> int:
        """The exit code."""
        while self._read():
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])

    def _read(self) -> bool:
        try:
            chunk = os.read(self._fd, 65_536)
        except OSError:  # how a terminal says that the other end is gone
            return False
        self.text += chunk.decode(errors="replace")
        return bool(chunk)


@contextmanager
def terminal(folder: Path, *arguments: str) -> Iterator[Terminal]:
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(folder)
        environment = {**os.environ, "STREAMER_HOME": str(folder / "home"), "TERM": "xterm", "NO_COLOR": "1"}
        os.execve(sys.executable, [sys.executable, "-m", "streamer", *arguments], environment)
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    try:
        yield Terminal(fd, pid)
    finally:
        os.close(fd)


def test_a_live_view_is_shown_until_ctrl_c_and_then_the_account(tmp_path: Path) -> None:
    Desk(tmp_path).pipeline(
        "  - {nodeName: numbers, kind: source, spec: {connector: generator, rate: 200}}\n"
        "  - {nodeName: gone, kind: sink, spec: {connector: blackhole}}\n",
        "{main: numbers >> gone}",
    )

    with terminal(tmp_path, "run", "pipeline.yaml") as screen:
        screen.until(r"numbers > gone +[1-9]")
        screen.until(r"main +\d")
        screen.press(_CTRL_C)
        screen.until("draining")
        code = screen.finish()

    assert code == 0
    assert "1 running" in screen.text
    account = screen.text[screen.text.rindex("job ") :]
    assert "words     stopped" in account
    assert account.rstrip().splitlines()[-1].split()[:3] == ["gone", "1", "0"]


def test_records_on_the_terminal_leave_no_room_for_a_view(tmp_path: Path) -> None:
    Desk(tmp_path).pipeline(
        "  - {nodeName: numbers, kind: source, spec: {connector: generator, count: 3}}\n"
        "  - {nodeName: out, kind: sink, spec: {connector: stdout, format: text}}\n",
        "{main: numbers >> out}",
    )

    with terminal(tmp_path, "run", "pipeline.yaml") as screen:
        code = screen.finish()

    assert code == 0
    assert "msg/s" not in screen.text
    assert "\x1b" not in screen.text
