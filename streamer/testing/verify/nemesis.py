"""Strikes a job by its schedule, and undoes what can be undone when its time is over.

Right before each fault it takes down what the sources say is settled, and looks whether every page balances, since
their account must hold at any moment. A fault is felt until the job has recovered from it: a killed instance until its
next life is at work, a pause until some time after the process goes on. That span is what the checker is told.
"""

from __future__ import annotations

import math
import signal
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from streamer import clock
from streamer.control.hosts.home import INSTANCES_FOLDER
from streamer.control.records import KeptJob
from streamer.testing.verify.disks import Disk
from streamer.testing.verify.exposure import Exposure, Window
from streamer.testing.verify.job import Process, TriedJob, endpoint_of, has_recovered, may_die
from streamer.testing.verify.links import Links
from streamer.testing.verify.schedule import Fault, Kind
from streamer.testing.verify.shapes import Shape

_KILLS = (Kind.KILL_SOURCE, Kind.KILL_RELAY, Kind.KILL_STATEFUL, Kind.KILL_SINK, Kind.KILL_GATEWAY)
_FELT_S = 1.0
"""Sessions open anew within this time once everybody is there: connections are tried again twice a second."""
_FELT_LONG_S = 6.0
"""... and frames that a broken connection has lost are missed within this time (`limits.TAIL_TIMEOUT_S`)."""
_UNNOTICED_S = 3.0
"""A shorter pause breaks no connection."""


@dataclass(slots=True, eq=False)
class _Harm:
    """A fault that is felt. `heal` is called at `heal_at`; once `over` says so, it is felt for `felt_s` more."""

    fault: Fault
    window: Window
    heal_at: float
    heal: Callable[[], None]
    over: Callable[[KeptJob], bool]
    felt_s: float
    healed: bool = False
    over_at: float = math.inf


class Nemesis:
    """Of one job. `disks` are by node; `unbalanced` names edges whose account was wrong while the job went on."""

    def __init__(
        self, job: TriedJob, shape: Shape, links: Links, disks: Mapping[str, Disk], tell: Callable[[str], None]
    ) -> None:
        self.struck: Counter[str] = Counter()
        self.exposure = Exposure()
        self.unbalanced: set[str] = set()
        self.flows = [0]
        self._job = job
        self._shape = shape
        self._links = links
        self._disks = disks
        self._tell = tell
        self._harms: list[_Harm] = []
        self._held: set[tuple[Kind, str]] = set()
        self._replicas = {name: actor.replicas for name, actor in shape.actors.items()}

    @property
    def hurting(self) -> bool:
        """Whether something is still to be undone."""
        return any(not harm.healed for harm in self._harms)

    def serve(self, kept: KeptJob) -> None:
        """Undo what is due, and note what is not felt any more."""
        now = clock.now()
        for harm in tuple(self._harms):
            if not harm.healed and now >= harm.heal_at:
                harm.healed = True
                harm.heal()
            if harm.healed and harm.over_at == math.inf and harm.over(kept):
                harm.over_at = now + harm.felt_s
            if now >= harm.over_at:
                self._harms.remove(harm)
                self.exposure.close(harm.window, now, self._job.progress(self._shape.sources))

    def release(self) -> None:
        """Undo everything now."""
        for harm in self._harms:
            harm.heal_at = 0.0
            if not harm.healed:
                harm.healed = True
                harm.heal()

    def strike(self, fault: Fault, kept: KeptJob) -> bool:
        """Do it; False if there is nobody now to whom it could be done."""
        strikes = {
            Kind.SCALE: self._scale,
            Kind.FLOWS: self._change_flows,
            Kind.DRAIN: self._drain,
            Kind.KILL_SUPERVISOR: self._kill_supervisor,
        }
        strike = strikes.get(fault.kind)
        struck = strike(fault) if strike is not None else self._strike_instance(fault, kept)
        if struck:
            self._tell(f"{fault} ({struck})")
            self.struck[str(fault.kind)] += 1
        return bool(struck)

    # -- what leaves every message where it is -------------------------------------------------------------------------

    def _scale(self, fault: Fault) -> str:
        actor = self._shape.actors[fault.node]
        others = [n for n in range(actor.replicas, actor.replicas_max + 1) if n != self._replicas[fault.node]]
        self._replicas[fault.node] = replicas = others[fault.pick % len(others)]
        self._job.want_replicas(fault.node, replicas)
        return f"{replicas} replicas"

    def _change_flows(self, fault: Fault) -> str:
        others = [n for n in range(len(self._shape.flows)) if n != self.flows[-1]]
        self.flows.append(others[fault.pick % len(others)])
        self._job.want_flow(self._shape.flows[self.flows[-1]])
        return self._shape.flows[self.flows[-1]]

    def _drain(self, fault: Fault) -> str:  # noqa: ARG002  # it is meant for the whole job
        self.release()
        self._job.want_drain()
        return "the job ends"

    # -- what does not -------------------------------------------------------------------------------------------------

    def _kill_supervisor(self, fault: Fault) -> str:
        if not self._job.supervised:
            return ""
        window = self._open()
        self._job.kill_supervisor()
        self._add(fault, window, self._job.supervise, lambda _kept: self._job.supervised, _FELT_S)
        return "the instances are alone"

    def _strike_instance(self, fault: Fault, kept: KeptJob) -> str:
        kind = Kind.PAUSE if fault.kind is Kind.LONG_PAUSE else fault.kind
        living = [one for one in self._job.living(fault.node) if (kind, one.instance) not in self._held]
        if not living:
            return ""
        process = living[fault.pick % len(living)]
        match fault.kind:
            case Kind.PAUSE | Kind.LONG_PAUSE:
                return self._pause(fault, process)
            case Kind.CUT:
                return self._cut_off(fault, process, endpoint_of(kept, process.instance))
            case Kind.FULL_DISK:
                return self._fill_disk(fault, process)
            case _:
                return self._kill(fault, process) if may_die(kept, process.instance) else ""

    def _kill(self, fault: Fault, process: Process) -> str:
        assert fault.kind in _KILLS
        window = self._open()
        process.signal(signal.SIGKILL)
        self._add(fault, window, _nothing, lambda kept: has_recovered(kept, process.instance, process.epoch), _FELT_S)
        return process.instance

    def _pause(self, fault: Fault, process: Process) -> str:
        window = self._open()
        process.signal(signal.SIGSTOP)
        felt_s = _FELT_S if fault.length_s < _UNNOTICED_S else _FELT_LONG_S
        go_on = self._holding(Kind.PAUSE, process, lambda: process.signal(signal.SIGCONT))
        self._add(fault, window, go_on, lambda _kept: True, felt_s)
        return process.instance

    def _cut_off(self, fault: Fault, process: Process, endpoint: str) -> str:
        if not endpoint:
            return ""
        window = self._open()
        self._links.cut(process.instance, endpoint)
        heal = self._holding(fault.kind, process, lambda: self._links.heal(process.instance, endpoint))
        self._add(fault, window, heal, lambda _kept: True, _FELT_LONG_S)
        return process.instance

    def _fill_disk(self, fault: Fault, process: Process) -> str:
        disk = self._disks[fault.node]
        window = self._open()
        disk.fill(process)
        free = self._holding(fault.kind, process, lambda: disk.free(process))
        at_work = process.epoch - 1
        self._add(fault, window, free, lambda kept: has_recovered(kept, process.instance, at_work), _FELT_S)
        return process.instance

    def _holding(self, kind: Kind, process: Process, undo: Callable[[], None]) -> Callable[[], None]:
        """`undo`, until which the same is not done to the same instance again."""
        held = (kind, process.instance)
        self._held.add(held)

        def undo_and_forget() -> None:
            undo()
            self._held.discard(held)

        return undo_and_forget

    # -- what is taken down --------------------------------------------------------------------------------------------

    def _open(self) -> Window:
        for folder in (self._job.folder / INSTANCES_FOLDER).iterdir():
            page = self._job.page(folder.name)
            for edge in page.edges if page is not None else ():
                if not edge.balanced:
                    self.unbalanced.add(f"{folder.name} -> {edge.target} while it was going on")
        return self.exposure.open(clock.now(), self._job.progress(self._shape.sources))

    def _add(
        self,
        fault: Fault,
        window: Window,
        heal: Callable[[], None],
        over: Callable[[KeptJob], bool],
        felt_s: float,
    ) -> None:
        self._harms.append(_Harm(fault, window, clock.now() + fault.length_s, heal, over, felt_s))


def _nothing() -> None:
    """A kill is not undone from outside."""
