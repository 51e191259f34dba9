"""A real job, touched and looked at from outside: its processes, its pages, its place in the control log.

It is detached, as `streamer run --detach` makes them, so that its supervising process can be killed like any other and
another one takes it up. Nothing here is asked of the job itself: who lives stands in the instances' folders, what they
have done in their pages, and what is wanted of it goes through the control log, as commands do it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from streamer.control.book import find
from streamer.control.events import Ask
from streamer.control.hosts.home import INSTANCES_FOLDER, account_of, open_log, page_of, submit
from streamer.control.jobs import JobAccount
from streamer.control.lifecycle import InstancePhase
from streamer.control.records import KeptJob
from streamer.control.wishes import want_end, want_flows, want_replicas
from streamer.errors import PlatformError
from streamer.limits import CRASH_LOOP_DEATHS
from streamer.plan.change import FlowsChange
from streamer.plan.compile import Plan
from streamer.platform.adopted import started_at
from streamer.protocol.account import InstanceAccount
from streamer.state.life import read_life
from streamer.testing.verify.checker import Arrival, arrival
from streamer.testing.verify.exposure import Progress
from streamer.testing.verify.links import Links
from streamer.testing.verify.pipeline import FLOW

SUPERVISOR_LOG = "supervisor.log"
_AT_WORK = (InstancePhase.RUNNING, InstancePhase.DRAINING)
_LINES_TOLD = 20


@dataclass(frozen=True, slots=True)
class Process:
    """A life of an instance, by the name that the system gives it."""

    instance: str
    epoch: int
    pid: int
    started: int

    def signal(self, number: int) -> None:
        """Send it this signal, if it is still there."""
        if started_at(self.pid) == self.started:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


class TriedJob:
    """A job of `plan` below `home`; it drains by itself after `limit_s`, should the verifier be killed."""

    def __init__(self, plan: Plan, home: Path, links: Links, limit_s: float) -> None:
        facts = submit(plan, home, duration_s=limit_s)
        self.name = facts.job
        self.folder = Path(facts.folder)
        self._home = home
        self._links = links
        self._log = open_log(home)
        self._supervisor: subprocess.Popen[bytes] | None = None

    # -- the supervising process ---------------------------------------------------------------------------------------

    def supervise(self) -> None:
        """Start a process that takes the job up from the control log."""
        with (self.folder / SUPERVISOR_LOG).open("ab") as log:
            self._supervisor = subprocess.Popen(
                self._links.supervisor(self._home, self.name),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "STREAMER_HOME": str(self._home)},
            )

    @property
    def supervised(self) -> bool:
        return self._supervisor is not None and self._supervisor.poll() is None

    def kill_supervisor(self) -> None:
        if self._supervisor is not None:
            self._supervisor.kill()
            self._supervisor.wait()

    def last_words(self) -> str:
        """What the supervising processes have said, at the end of it."""
        return "\n".join((self.folder / SUPERVISOR_LOG).read_text(errors="replace").splitlines()[-_LINES_TOLD:])

    # -- what is seen of it --------------------------------------------------------------------------------------------

    def kept(self) -> KeptJob:
        """The job as the control log has it."""
        kept = find(self._log, self.name)
        if kept is None:
            raise PlatformError(f"job {self.name} is not in the control log of {self._home}")
        return kept

    def living(self, node: str) -> Sequence[Process]:
        """The processes of the node's instances that are there now."""
        found = []
        for folder in sorted((self.folder / INSTANCES_FOLDER).iterdir()):
            if folder.name.rpartition("-")[0] == node:
                life = read_life(folder)
                if life is not None and life.code is None and started_at(life.pid) == life.started > 0:
                    found.append(Process(folder.name, life.epoch, life.pid, life.started))
        return found

    def page(self, instance: str) -> InstanceAccount | None:
        return page_of(self.folder, instance)

    def progress(self, sources: Sequence[str]) -> Mapping[str, Progress]:
        """How far the sources have come, on the edges that they have now."""
        plan = self.kept().plan
        found = {}
        for source in sources:
            page = self.page(f"{source}-0")
            if page is not None:
                targets = {output.target for output in plan.nodes[source].outputs}
                settled = [edge.roots for edge in page.edges if edge.target in targets]
                found[source] = Progress(settled, page.history.end)
        return found

    def account(self) -> JobAccount | None:
        return account_of(self.kept())

    # -- what is done to it --------------------------------------------------------------------------------------------

    def want_replicas(self, node: str, replicas: int) -> None:
        want_replicas(self._log, self.name, node, replicas)

    def want_flow(self, text: str) -> None:
        want_flows(self._log, self.name, FlowsChange({FLOW: text}))

    def want_drain(self) -> None:
        want_end(self._log, self.name, Ask.DRAIN)

    def destroy(self) -> None:
        """End whatever is left of it, by force."""
        self.kill_supervisor()
        for folder in (self.folder / INSTANCES_FOLDER).iterdir():
            for process in self.living(folder.name.rpartition("-")[0]):
                process.signal(signal.SIGKILL)
        self._log.close()


def is_at_work(kept: KeptJob) -> bool:
    """Whether every node has as many instances as it begins with, all at work."""
    working = [line.node for line in kept.instances if line.phase in _AT_WORK]
    return all(working.count(name) >= node.replicas for name, node in kept.plan.nodes.items())


def has_recovered(kept: KeptJob, instance: str, after_epoch: int) -> bool:
    """Whether a later life of the instance is at work, or it is gone for good."""
    line = next((line for line in kept.instances if line.instance == instance), None)
    return line is None or line.phase.gone or (line.epoch > after_epoch and line.phase in _AT_WORK)


def may_die(kept: KeptJob, instance: str) -> bool:
    """Whether one more death is no reason yet to give the job up, as it is when nothing gets done between many."""
    deaths = [line.quick_deaths for line in kept.instances if line.instance == instance]
    return max(deaths, default=0) < CRASH_LOOP_DEATHS - 2


def endpoint_of(kept: KeptJob, instance: str) -> str:
    """Where it is bound; '' if that is not known."""
    return next((line.endpoint for line in kept.instances if line.instance == instance), "")


def arrivals(path: Path) -> tuple[Sequence[Arrival], int]:
    """What a sink has written, and how many of its lines cannot be read."""
    found: list[Arrival] = []
    torn = 0
    if path.exists():
        with path.open("rb") as lines:
            for line in lines:
                try:
                    found.append(arrival(json.loads(line)))
                except (ValueError, KeyError, TypeError):
                    torn += 1
    return found, torn
