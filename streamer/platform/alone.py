"""Instances as processes of this machine that outlive whoever supervises them.

A detached job goes on when its supervising process is killed, and the next one takes its instances up untouched. So
nothing may bind them to their parent: they write their logs themselves, read no terminal, and each holds a lock in its
folder for as long as it, or anything that it has started, lives. The lock is taken before the process is started and
handed to it, so that there is no moment at which a life is there and nobody can tell; who it is stands in the folder
a moment later. The sibling that lives and dies with its command is `local`.
"""

from __future__ import annotations

import fcntl
import os
import selectors
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from streamer import clock
from streamer.errors import PlatformError
from streamer.plan.assignment import Assignment
from streamer.platform.adopted import AdoptedProcess
from streamer.platform.base import Exit
from streamer.platform.local import has_ended, kill_group, selector_fd, write_assignment
from streamer.platform.log_file import LogFile

LOCK_FILE = "lock"
_LOOK_S = 1.0
"""How often the length of the logs is looked at."""


@dataclass(frozen=True, slots=True)
class _Life:
    instance: str
    epoch: int
    process: subprocess.Popen[bytes] | AdoptedProcess
    log: LogFile


class AlonePlatform:
    """Starts `command` with the path of an assignment as its last argument.

    An instance with the connector `stdout` writes to the file `stdout`.
    """

    def __init__(self, command: Sequence[str], *, logs: Path, stdout: Path) -> None:
        self._command = tuple(command)
        self._logs = logs
        self._stdout = stdout
        self._lives: dict[str, _Life] = {}
        self._selector = selectors.DefaultSelector()
        self._looked_at = 0.0

    def start(self, assignment: Assignment) -> None:
        if assignment.instance in self._lives:
            raise PlatformError(f"instance {assignment.instance} was started while its last life goes on")
        log = self._log(assignment.instance)
        try:
            path = write_assignment(assignment)
            lock = _locked(path.parent)
            try:
                process = self._spawn(assignment, path, log, lock)
            finally:
                os.close(lock)
        except OSError as error:
            raise PlatformError(f"instance {assignment.instance} cannot be started: {error}") from error
        self._lives[assignment.instance] = _Life(assignment.instance, assignment.epoch, process, log)

    def adopt(self, instance: str, epoch: int, pid: int, started: int) -> None:
        """Take up a life that another process began; if it is over, its exit is told like any other."""
        process = AdoptedProcess(pid, started)
        self._lives[instance] = life = _Life(instance, epoch, process, LogFile(self._path(instance), adopted=True))
        if process.fd is not None:
            self._selector.register(process.fd, selectors.EVENT_READ, life)

    def kill(self, instance: str, epoch: int) -> None:
        life = self._lives.get(instance)
        if life is not None and life.epoch == epoch:
            _kill(life)

    def poll(self) -> tuple[Exit, ...]:
        now = clock.now()
        if now - self._looked_at > _LOOK_S:
            self._looked_at = now
            for life in self._lives.values():
                life.log.keep_short()
        return tuple(self._buried(life) for life in tuple(self._lives.values()) if _has_ended(life))

    def fileno(self) -> int:
        return selector_fd(self._selector)

    def close(self) -> None:
        """Let go of everything; what lives, lives on."""
        for life in self._lives.values():
            if isinstance(life.process, AdoptedProcess):
                life.process.close()
        self._lives = {}
        self._selector.close()

    def _spawn(self, assignment: Assignment, path: Path, log: LogFile, lock: int) -> subprocess.Popen[bytes]:
        writes = assignment.connector is not None and assignment.connector.name == "stdout"
        output = log.open()
        records = os.open(self._stdout, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) if writes else output
        try:
            return subprocess.Popen(
                (*self._command, str(path)),
                stdin=subprocess.DEVNULL,
                stdout=records,
                stderr=output,
                start_new_session=True,
                pass_fds=(lock,),
            )
        finally:
            for fd in {output, records}:
                os.close(fd)

    def _buried(self, life: _Life) -> Exit:
        """Take a dead life off the books, its group killed before it is reaped."""
        _kill(life)
        code = None
        if isinstance(life.process, AdoptedProcess):
            if life.process.fd is not None:
                self._selector.unregister(life.process.fd)
            life.process.close()
        else:
            code = life.process.wait()
        del self._lives[life.instance]
        return Exit(life.instance, life.epoch, code, life.log.finish())

    def _log(self, instance: str) -> LogFile:
        return LogFile(self._path(instance))

    def _path(self, instance: str) -> Path:
        return self._logs / f"{instance}.log"


def is_locked(folder: Path) -> bool:
    """Whether a life of the instance whose folder this is, or something that it has started, goes on."""
    try:
        os.close(_locked(folder))
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def _locked(folder: Path) -> int:
    """Raises BlockingIOError if a life holds the lock."""
    fd = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise
    return fd


def _has_ended(life: _Life) -> bool:
    if isinstance(life.process, AdoptedProcess):
        return life.process.has_ended()
    return has_ended(life.process)


def _kill(life: _Life) -> None:
    if isinstance(life.process, AdoptedProcess):
        life.process.kill_group()
    else:
        kill_group(life.process)
