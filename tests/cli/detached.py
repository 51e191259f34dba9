"""Detached jobs seen from outside: the processes that belong to them, and what the commands say of them."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cli.command import Desk, Done

_PATIENCE_S = 45.0
_LOOK_S = 0.1
PASS = "def start(args, api):\n    return args['streamInput']['message']\n"


@dataclass(frozen=True)
class Detached:
    """One detached job of a desk."""

    desk: Desk
    job: str

    @property
    def folder(self) -> Path:
        return self.desk.home / "jobs" / self.job

    def ps(self) -> dict[str, Any]:
        """What `ps -a` says of it."""
        done = self.desk.run("ps", "-a", "--json")
        assert done.code == 0, done.stderr
        (line,) = done.stdout.splitlines()
        (row,) = [row for row in json.loads(line) if row["job"] == self.job]
        found: dict[str, Any] = row
        return found

    def status(self) -> dict[str, Any]:
        done = self.desk.run("status", self.job, "--json")
        assert done.code == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def until(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while not true():
            assert time.monotonic() < deadline, self._said()
            time.sleep(_LOOK_S)

    def _said(self) -> str:
        """The log of its supervisor, which a job in the foreground has not."""
        path = self.folder / "supervisor.log"
        return path.read_text() if path.exists() else json.dumps(self.status())

    def until_status(self, status: str) -> None:
        self.until(lambda: bool(self.ps()["status"] == status))

    def pids(self) -> dict[str, int]:
        """The processes of its instances."""
        names = [path.name for path in (self.folder / "instances").iterdir()]
        paths = {name: str(self.folder / "instances" / name / "assignment.json") for name in names}
        return {name: pid for name, path in paths.items() for pid in pids_with(path)}

    def supervisors(self) -> list[int]:
        return pids_with("supervise", self.job)

    def kill_supervisor(self) -> None:
        self.until(lambda: len(self.supervisors()) == 1)  # one that starts an instance looks like two for a moment
        (pid,) = self.supervisors()
        os.kill(pid, signal.SIGKILL)
        self.until(lambda: pid not in self.supervisors())  # a command at work may have taken the job up by now


def detached(desk: Desk, *options: object) -> Detached:
    done = desk.run("run", "pipeline.yaml", "--detach", "--json", *options)
    assert done.code == 0, done.stderr
    (line,) = done.stdout.splitlines()
    document = json.loads(line)
    assert list(document) == ["job"]
    return Detached(desk, document["job"])


def pids_with(*arguments: str) -> list[int]:
    """Processes with all of these among their arguments; those that have ended and were not waited for are none."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue  # gone while we looked
            if all(argument in words for argument in arguments):
                found.append(int(entry.name))
    return found


def is_one_message(done: Done, *words: str) -> bool:
    """Bad input, told in a few lines that hold these words, without a traceback and with nothing on stdout."""
    told = done.stderr
    return done.code == 2 and not done.stdout and "Traceback" not in told and all(word in told for word in words)
