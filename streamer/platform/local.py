"""Instances as processes of this machine.

Each is the leader of a session of its own: the Ctrl-C of a terminal goes to the command that supervises, which drains,
and not to the instances, which would die of it; and the whole group, with whatever an algorithm has started, can be
killed at once. A process is reaped only after its group was killed, because its id, and with it the group's, may belong
to somebody else from then on.

Instances print into one pipe each, standard output and error together, so that a log keeps the order of the two. The
exceptions are connectors: `stdin` reads the supervisor's own, `stdout` writes to it. An instance whose supervisor dies
ends by itself; that is its own part, since a killed supervisor can do nothing more.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from streamer.errors import PlatformError
from streamer.plan.assignment import SUPERVISOR_VARIABLE, Assignment
from streamer.platform.base import Exit, OnOutput
from streamer.platform.output import Output

ASSIGNMENT_FILE = "assignment.json"


@dataclass(frozen=True, slots=True)
class _Life:
    instance: str
    epoch: int
    process: subprocess.Popen[bytes]
    output: Output


class LocalPlatform:
    """Starts `command` with the path of an assignment as its last argument.

    `stdout_fd` is what an instance with the connector `stdout` gets as its standard output.
    """

    def __init__(self, command: Sequence[str], *, logs: Path, on_output: OnOutput, stdout_fd: int = 1) -> None:
        self._command = tuple(command)
        self._logs = logs
        self._on_output = on_output
        self._stdout_fd = stdout_fd
        self._lives: dict[str, _Life] = {}
        self._selector = selectors.DefaultSelector()

    def start(self, assignment: Assignment) -> None:
        if assignment.instance in self._lives:
            raise PlatformError(f"instance {assignment.instance} was started while its last life goes on")
        try:
            path = write_assignment(assignment)
            reader, writer = os.pipe()
        except OSError as error:
            raise PlatformError(f"instance {assignment.instance} cannot be started: {error}") from error
        try:
            process = self._spawn(assignment, path, writer)
            on_line = partial(self._on_output, assignment.node, assignment.instance)
            output = Output(reader, self._logs / f"{assignment.instance}.log", on_line)
        except OSError as error:
            os.close(reader)
            raise PlatformError(f"instance {assignment.instance} cannot be started: {error}") from error
        finally:
            os.close(writer)
        life = _Life(assignment.instance, assignment.epoch, process, output)
        self._lives[life.instance] = life
        self._selector.register(reader, selectors.EVENT_READ, life)

    def kill(self, instance: str, epoch: int) -> None:
        life = self._lives.get(instance)
        if life is not None and life.epoch == epoch:
            kill_group(life.process)

    def poll(self) -> tuple[Exit, ...]:
        for key, _ in self._selector.select(0):
            life: _Life = key.data
            if not life.output.read():
                self._selector.unregister(key.fd)
        ended = [life for life in self._lives.values() if has_ended(life.process)]
        return tuple(self._buried(life) for life in ended)

    def fileno(self) -> int:
        return selector_fd(self._selector)

    def close(self) -> None:
        for life in self._lives.values():
            kill_group(life.process)
        for life in tuple(self._lives.values()):
            self._buried(life)
        self._selector.close()

    def _spawn(self, assignment: Assignment, path: Path, writer: int) -> subprocess.Popen[bytes]:
        connector = assignment.connector.name if assignment.connector is not None else ""
        stdin: int | IO[bytes] | None = None if connector == "stdin" else subprocess.DEVNULL
        return subprocess.Popen(
            (*self._command, str(path)),
            stdin=stdin,
            stdout=self._stdout_fd if connector == "stdout" else writer,
            stderr=writer,
            env={**os.environ, SUPERVISOR_VARIABLE: str(os.getpid())},
            start_new_session=True,
        )

    def _buried(self, life: _Life) -> Exit:
        """Take a dead life off the books, its group killed before it is reaped."""
        kill_group(life.process)
        code = life.process.wait()
        if life.output.fd in self._selector.get_map():
            self._selector.unregister(life.output.fd)
        del self._lives[life.instance]
        return Exit(life.instance, life.epoch, code, life.output.finish())


def write_assignment(assignment: Assignment) -> Path:
    """It holds the job's token, so nobody else may read it; a kill leaves the old one or the new one."""
    path = Path(assignment.folder) / ASSIGNMENT_FILE
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(assignment.to_json())
    draft.replace(path)
    return path


def has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether it is dead; it is not reaped by this, so that its id stays its own."""
    if not hasattr(os, "waitid"):  # macOS before Python 3.13
        return process.poll() is not None
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and whatever it has started; to be done before it is reaped."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        # gone already; macOS denies the signal to a group of which only its dead leader is left
        return


def selector_fd(selector: selectors.BaseSelector) -> int:
    """The descriptor that is readable when one of the selector's is."""
    fileno = getattr(selector, "fileno", None)
    if fileno is None:
        raise PlatformError("this system has neither epoll nor kqueue", remedy="Run on Linux or macOS.")
    return int(fileno())
