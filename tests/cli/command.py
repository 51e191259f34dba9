"""The command in a process of its own, as a user starts it, in a folder and a home of the test."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LIMIT_S = 60


@dataclass(frozen=True)
class Desk:
    """A folder in which pipelines are written and jobs are run."""

    folder: Path

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        return path

    def pipeline(self, nodes: str, flows: str, algorithms: str = "") -> Path:
        """`nodes` and `algorithms` are YAML, `flows` a flow mapping in braces."""
        return self.write(
            "pipeline.yaml", f"name: words\nkind: stream\nnodes:\n{nodes}streaming: {{flows: {flows}}}\n{algorithms}"
        )

    def run(self, *arguments: object, text: str | None = None) -> Done:
        done = subprocess.run(
            self._command(*arguments),
            cwd=self.folder,
            env=self._environment(),
            input=text,
            stdin=subprocess.DEVNULL if text is None else None,
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def started(self, *arguments: object, stdin: int = subprocess.DEVNULL) -> Iterator[Watched]:
        with subprocess.Popen(
            self._command(*arguments),
            cwd=self.folder,
            env=self._environment(),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield Watched(process)
            finally:
                process.kill()

    def kill(self, instance: str) -> None:
        """With -9: an instance of the only job."""
        process = self.process_of(instance)
        assert process is not None, f"{instance} has no process"
        os.kill(process, signal.SIGKILL)

    def process_of(self, instance: str) -> int | None:
        """Its number, if there is one now; it is known by the path of its assignment."""
        (job,) = self.jobs()
        path = str(job / "instances" / instance / "assignment.json").encode()
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if path in (entry / "cmdline").read_bytes().split(b"\0"):
                        return int(entry.name)
                except OSError:
                    continue  # gone while we looked
        return None

    def jobs(self) -> list[Path]:
        return sorted((self.home / "jobs").glob("*"))

    def _command(self, *arguments: object) -> list[str]:
        return [sys.executable, "-m", "streamer", *map(str, arguments)]

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "STREAMER_HOME": str(self.home)}


@dataclass(frozen=True)
class Done:
    code: int
    stdout: str
    stderr: str

    @property
    def account(self) -> dict[str, Any]:
        (line,) = self.stdout.splitlines()
        found: dict[str, Any] = json.loads(line)
        return found


@dataclass(frozen=True)
class Watched:
    """A command that is going on."""

    process: subprocess.Popen[str]

    def until(self, wanted: Callable[[str], bool]) -> str:
        """The first line of stderr from here on that is wanted."""
        assert self.process.stderr is not None
        seen = []
        for line in self.process.stderr:
            if wanted(line):
                return line
            seen.append(line)
        raise AssertionError("the command ended without it:\n" + "".join(seen))

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def finish(self) -> Done:
        stdout, stderr = self.process.communicate(timeout=_LIMIT_S)
        return Done(self.process.returncode, stdout, stderr)
