"""The parts of a cluster as its users start them: commands in processes of their own, on a real broker.

Every agent has a home of its own, as it has on a machine of its own. Whatever runs at the end is ended: instances
outlive their agents by design, so they are found by the paths of their assignments.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.cli.command import Done

PATIENCE_S = 90.0
_LIMIT_S = 120
_LOOK_S = 0.05

PIPELINE = """
name: words
kind: stream
nodes:
  - {nodeName: lines, kind: source, spec: {connector: generator, rate: 200}}
  - {nodeName: parse, kind: algorithm, algorithmName: parse, stateType: stateless, minStatelessCount: 2}
  - {nodeName: save, kind: sink, spec: {connector: file, path: NAME.jsonl, format: jsonl}}
streaming: {flows: {main: lines >> parse >> save}}
---
name: parse
code: {path: parse.py}
"""
PARSE = "def start(args):\n    return args['streamInput']['message']\n"


@dataclass
class Part:
    """A controller, an agent, or a command that goes on."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def said(self) -> str:
        return self.log.read_text()

    def until(self, words: str, *, times: int = 1) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while self.said().count(words) < times:
            assert time.monotonic() < deadline, f"{self.name} never said {words!r}:\n{self.said()}"
            assert self.process.poll() is None, f"{self.name} has ended:\n{self.said()}"
            time.sleep(_LOOK_S)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def signal(self, number: int) -> None:
        self.process.send_signal(number)


class Machines:
    """All parts of one cluster; `prefix` keeps its topics apart from those of other tests.

    `variables` are further ones of the environment.
    """

    def __init__(self, folder: Path, bootstrap: str, variables: Mapping[str, str] = MappingProxyType({})) -> None:
        self.folder = folder
        self.bootstrap = bootstrap
        self.variables = variables
        self.prefix = f"test-{uuid.uuid4().hex[:10]}"
        self.parts: list[Part] = []
        (folder / "parse.py").write_text(PARSE)

    def pipeline(self, name: str, text: str = PIPELINE) -> Path:
        path = self.folder / f"{name}.yaml"
        path.write_text(text.replace("NAME", name).replace("name: words", f"name: {name}", 1))
        return path

    def controller(self, name: str) -> Part:
        part = self.start(name, "controller", "--name", name)
        part.until("is ready")
        return part

    def agent(self, name: str, *options: str, prefix: Sequence[str] = (), cwd: Path | None = None) -> Part:
        part = self.start(name, "agent", "--name", name, *options, home=name, prefix=prefix, cwd=cwd)
        part.until("is ready")
        return part

    def start(
        self,
        name: str,
        *arguments: object,
        home: str = "",
        prefix: Sequence[str] = (),
        cwd: Path | None = None,
    ) -> Part:
        """A command that goes on; `prefix` is what runs it, such as a network namespace, and `cwd` where it works."""
        log = self.folder / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                [*prefix, *_command(*arguments)],
                cwd=cwd or self.folder,
                env=self._environment(home),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.parts.append(Part(name, process, log))
        return self.parts[-1]

    def run(self, *arguments: object, home: str = "") -> Done:
        done = subprocess.run(
            _command(*arguments),
            cwd=self.folder,
            env=self._environment(home),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def ok(self, *arguments: object, home: str = "") -> str:
        done = self.run(*arguments, home=home)
        assert done.code == 0, f"{arguments}: {done}\n{self.told()}"
        return done.stdout

    def submit(self, name: str, text: str = PIPELINE) -> str:
        """The job's id."""
        job: str = json.loads(self.ok("submit", self.pipeline(name, text), "--json"))["job"]
        return job

    def status(self, job: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.ok("status", job, "--json"))
        return found

    def stopped(self, job: str) -> dict[str, Any]:
        """The account of the job after a drain, with every message in it settled."""
        account: dict[str, Any] = json.loads(self.ok("stop", job, "--json"))
        assert account["status"] == "stopped", account
        for edge in account["edges"]:
            lost = edge["in_flight"] + edge["dead_lettered"] + sum(edge["dropped"].values())
            assert lost == 0, account
            assert edge["sent"] == edge["settled"] + edge["abandoned"], account
        return account

    def lines(self, name: str) -> int:
        path = self.folder / f"{name}.jsonl"
        return path.read_bytes().count(b"\n") if path.exists() else 0

    def until(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not true():
            assert time.monotonic() < deadline, self.told()
            time.sleep(_LOOK_S)

    def pids(self, job: str) -> dict[str, int]:
        """The living processes of the job's instances on all machines."""
        return {path.parent.name: pid for path, pid in self._instances() if path.parts[-4] == job}

    def told(self) -> str:
        """What all parts have said."""
        return "\n".join(f"-- {part.name}\n{part.said()}" for part in self.parts)

    def close(self) -> None:
        for part in self.parts:
            if part.process.poll() is None:
                part.kill()
        for _, pid in self._instances():
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)

    def _instances(self) -> list[tuple[Path, int]]:
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with suppress(OSError):
                    last = (entry / "cmdline").read_bytes().rstrip(b"\0").rpartition(b"\0")[2].decode(errors="replace")
                    if last.startswith(str(self.folder)) and last.endswith("/assignment.json"):
                        found.append((Path(last), int(entry.name)))
        return found

    def _environment(self, home: str) -> dict[str, str]:
        return {
            **os.environ,
            "STREAMER_HOME": str(self.folder / (home or "home")),
            "STREAMER_KAFKA": self.bootstrap,
            "KAFKA_TOPIC_PREFIX": self.prefix,
            **self.variables,
        }


def _command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "streamer", *map(str, arguments)]
