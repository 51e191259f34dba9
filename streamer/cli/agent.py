"""`streamer agent`: the instances of a cluster's jobs that run on this machine.

An agent has a name that stays, since what instances keep lies on its disk: it is that of the machine and of the folder.
Its instances outlive it; the next agent of this name takes them up. One that belongs to a `run` ends with that, and
its instances with it.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import signal
import socket
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from streamer.cli.cluster_jobs import kafka_settings, patient_log
from streamer.cli.exits import OK
from streamer.cli.interrupts import is_orphaned
from streamer.cli.jobs import home_folder
from streamer.cli.output import tell
from streamer.cluster_limits import (
    AGENT_LOOK_S,
)
from streamer.control.cluster.agent import ORDERS, Agent, Machine
from streamer.control.cluster.feed import ThreadFeed, ThreadPost
from streamer.control.hosts.embedded import INSTANCE_PROGRAM
from streamer.descriptor.resources import parse_capacity
from streamer.errors import HomeError, OptionError, SupervisedError
from streamer.limits import (
    NAME_CHARS_MAX,
)
from streamer.log.kafka.log import KafkaLog

_HOME_FILE = "home-id"
_LOCKS = "agents"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True, slots=True)
class AgentOptions:
    """`attached` is the process that it belongs to, 0 if it stands for itself."""

    bootstrap: str
    name: str = ""
    capacity: str = ""
    advertise: str = "127.0.0.1"
    attached: int = 0


def agent(options: AgentOptions) -> int:
    """Serve until SIGTERM or SIGINT. Raises OptionError, HomeError, SupervisedError, StateError or LogError."""
    home = home_folder()
    machine = _machine(options, home)
    settings = kafka_settings(options.bootstrap)
    patient_log(settings, tell).close()  # an address that is wrong is said now
    lock = _locked(home, machine.agent)
    said = _Once()
    served = Agent(
        machine,
        INSTANCE_PROGRAM,
        ThreadFeed(lambda: KafkaLog(settings), ORDERS, said),
        ThreadPost(lambda: KafkaLog(settings), said),
        tell,
    )
    stopped = _Stop()
    with closing(served):
        tell(f"agent {machine.agent} is ready at {options.bootstrap}, its instances at {machine.address}")
        while not stopped.wanted and not is_orphaned(options.attached):
            served.serve()
            served.wait(AGENT_LOOK_S)
        if options.attached:
            served.end()
    os.close(lock)
    return OK


class _Stop:
    """Until SIGTERM or SIGINT."""

    def __init__(self) -> None:
        self.wanted = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._want)

    def _want(self, _number: int, _frame: FrameType | None) -> None:
        self.wanted = True


class _Once:
    """Says a thing once, as long as it is the same."""

    def __init__(self, say: Callable[[str], None] = tell) -> None:
        self._say = say
        self._last = ""

    def __call__(self, text: str) -> None:
        if text != self._last:
            self._last = text
            self._say(text)


def _machine(options: AgentOptions, home: Path) -> Machine:
    home_id = _home_id(home)
    name = options.name or f"{re.sub(r'[^A-Za-z0-9_.-]', '-', socket.gethostname())}-{home_id[:6]}"
    if not _NAME.fullmatch(name) or len(name) > NAME_CHARS_MAX:
        raise OptionError(
            f"{name!r} is no name of an agent",
            remedy=f"Use at most {NAME_CHARS_MAX} letters, digits, and - _ . between them.",
        )
    _check_address(options.advertise)
    capacity = parse_capacity(options.capacity)
    return Machine(name, home, home_id, options.advertise, capacity, of_run=bool(options.attached))


def _check_address(address: str) -> None:
    """Instances bind to it, so it must be this machine's. Raises OptionError."""
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(address, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.bind(place)
    except OSError as error:
        raise OptionError(
            f"--advertise {address}: instances cannot be reached there: {error}",
            remedy="Give an address of this machine that the other machines reach.",
        ) from error


def _home_id(home: Path) -> str:
    """What tells this folder from all others, also where several machines share it."""
    path = home / _HOME_FILE
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            draft = path.with_suffix(f".{os.getpid()}")
            draft.write_text(secrets.token_hex(8))
            with suppress(FileExistsError):  # another one was first
                path.hardlink_to(draft)
            draft.unlink()
        return path.read_text().strip()
    except OSError as error:
        raise HomeError(f"the folder {home} cannot be used: {error}") from error


def _locked(home: Path, name: str) -> int:
    """Raises SupervisedError if another process is the agent of this name."""
    folder = home / _LOCKS
    folder.mkdir(mode=0o700, exist_ok=True)
    fd = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(fd)
        raise SupervisedError(
            f"agent {name} runs already in {home}",
            remedy="One is enough for a machine; another one needs a name of its own: --name.",
        ) from error
    return fd
