"""A whole job from one seed: real instances and the real controller, on a simulated network in virtual time.

A failure that needs three processes, a cut at the wrong moment and a kill after it is not found by starting processes,
and cannot be found again. Here everything that may differ between two runs (delays, faults, what a kill catches) comes
from the seed, so a failure is a number. What the world itself watches all the time is in `verify`; when the job must
have ended is the world's own business: a job that has not by then is stuck.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from streamer.control.events import (
    Ask,
    Asked,
    Decided,
    Effect,
    Event,
    Exited,
    FlowsSet,
    JobSubmitted,
    KillInstance,
    Reported,
    Scaled,
    SendCommand,
    StartInstance,
    Ticked,
)
from streamer.control.jobs import JobAccount, account
from streamer.control.state import JobState
from streamer.control.step import step
from streamer.limits import CANARY_PARTS, REPORT_S
from streamer.plan.assignment import Command, Role, Wiring
from streamer.plan.change import FlowsChange, FlowsRollback
from streamer.plan.compile import Plan, wired
from streamer.plan.routing import part_of, part_of_version
from streamer.state.memory import MemoryStateDisk
from streamer.testing.clock import VirtualClock
from streamer.testing.disk import Disk, LetterBox, ListSource, PipeSource, Unreadable
from streamer.testing.keyed import Wrap, text_of
from streamer.testing.life import Life, Make
from streamer.testing.network import Network
from streamer.testing.promises import PromiseError, Watch

_TICK_S = 0.1
_CONTROL_DELAY_S = 0.02
_LOST_COMMANDS = 0.02


@dataclass(frozen=True, slots=True)
class Scene:
    """What is played: `records` of each source and `algorithms` of each algorithm node, by name.

    A source gives a record each `interval_s`, at most `batch_max` at once; one of the `pipes` only once. `replayable`:
    algorithms send nothing of their own accord, so that all roots can be read again. `wrap` makes of a record what
    travels.
    """

    plan: Plan
    records: Mapping[str, Sequence[object]] = field(default_factory=dict)
    algorithms: Mapping[str, Make] = field(default_factory=dict)
    interval_s: float = 0.0
    batch_max: int = 512
    replayable: bool = True
    pipes: frozenset[str] = frozenset()
    wrap: Wrap | None = None


class World:
    """One job. `deaths_in_hand` counts, by message, the deaths of instances that had it in hand.

    `doomed` says after how many effects the next life of an instance dies. `plans` are those of each version of the
    flows that was ever in force, by itself.
    """

    def __init__(self, scene: Scene, seed: int, watch: Watch | None = None) -> None:
        self.scene = scene
        self.random = Random(seed)
        self.clock = VirtualClock()
        self.watch = watch or Watch(replayable=scene.replayable)
        self.network = Network(self.clock, Random(self.random.random()), self.watch)
        self.letters = LetterBox()
        self.disks: dict[str, Disk] = {}
        self.states: dict[str, MemoryStateDisk] = {}
        self.lives: dict[str, Life] = {}
        self.deaths: Counter[str] = Counter()
        self.deaths_in_hand: Counter[object] = Counter()
        self.doomed: dict[str, int] = {}
        self.plans: dict[int, Plan] = {}
        self.watch.version_of = self._version_of
        self.steps = 0
        self._numbers = Random(self.random.random())
        self._state: JobState | None = None
        self._samples_last: dict[str, float] = {}

    # -- the job -------------------------------------------------------------------------------------------------------

    def run(self, limit_s: float, *, may_be_cut_off: bool = False) -> JobState:
        """Play until the job has ended. Raises PromiseError if it has not within so much virtual time, or has failed.

        `may_be_cut_off`: it may have been killed at the deadline of its drain.
        """
        self._take(JobSubmitted("job", self.scene.plan))
        self._tick()
        while not self.state.phase.ended:
            if self.clock.elapsed_s > limit_s or not self.clock.advance():
                raise PromiseError(f"the job is stuck after {self.clock.elapsed_s:g} s: {self._where_it_stands()}")
        if self.state.error is not None and not (may_be_cut_off and self.state.killed):
            raise PromiseError(f"the job failed: {self.state.error}")
        return self.state

    def drain(self) -> None:
        """Ask the job to end in order."""
        self._take(Asked(Ask.DRAIN))

    def change(self, flows: Mapping[str, str], default: str, parts: int = CANARY_PARTS) -> None:
        """Ask for these flows, and no others, for so many parts of the roots."""
        gone = {name: None for name in self.state.plan.current.flows if name not in flows}
        self._take(FlowsSet(FlowsChange({**gone, **flows}, default, parts), self.state.wish + 1))

    def share(self, parts: int) -> None:
        """Ask for another share of the canary, which is nothing if there is none."""
        self._take(FlowsSet(FlowsChange({}, parts=parts), self.state.wish + 1))

    def roll_back(self) -> None:
        """Ask for the flows of before."""
        self._take(FlowsSet(FlowsRollback(), self.state.wish + 1))

    def scale(self, node: str, replicas: int) -> None:
        """Ask for so many instances of this node."""
        self._take(Scaled(node, replicas, self.state.wish + 1))

    def decide(self, node: str, replicas: int) -> None:
        """Decide for so many instances of this node."""
        self._take(Decided(node, replicas))

    @property
    def state(self) -> JobState:
        assert self._state is not None
        return self._state

    def account(self) -> JobAccount:
        pages = {name: disk.account() for name, disk in self.disks.items()}
        return account(self.state, self.clock.now(), pages)

    def number(self) -> int:
        return self._numbers.getrandbits(56) + 1

    def _version_of(self, route: int) -> int:
        """The newest one that has this part of the routes."""
        return max((number for number in self.plans if part_of_version(number) == part_of(route)), default=0)

    def _where_it_stands(self) -> str:
        told = [""]
        for name, life in self.lives.items():
            told.append(f"{name} is {self.state.instances[name].phase} (alive: {life.alive})")
            if life.begun:
                edges = ", ".join(str(e.counts) for e in life.instance.outbox.edges)
                told.append(f"  {life.instance.stage.name}, {life.instance.inbox.unsettled} unsettled, edges: {edges}")
        return "\n  ".join(told)

    # -- the controller ------------------------------------------------------------------------------------------------

    def _take(self, event: Event) -> None:
        self._state, effects = step(self._state, event, self.clock.now())
        plan = self._state.plan
        for version in plan.versions:
            if version.number not in self.plans:
                self.plans[version.number] = wired(plan.pipeline, plan.nodes, (version,))
        for effect in effects:
            self._do(effect)

    def _do(self, effect: Effect) -> None:
        match effect:
            case StartInstance():
                wiring = self.state.wiring_of(effect.node)
                self.clock.after(self.random.uniform(0.0, 0.2), lambda: self._start(effect, wiring))
            case SendCommand(instance, epoch, command):
                if self.random.random() >= _LOST_COMMANDS:
                    self.clock.after(self._control_delay(), lambda: self._command(instance, epoch, command))
            case KillInstance(instance, epoch):
                self._kill(instance, epoch)

    def _tick(self) -> None:
        self._take(Ticked())
        if not self.state.phase.ended:
            self.clock.after(_TICK_S, self._tick)

    def _control_delay(self) -> float:
        return self.random.uniform(0.0, _CONTROL_DELAY_S)

    def _start(self, effect: StartInstance, wiring: Wiring) -> None:
        assignment = self.state.plan.assignment(
            effect.node, effect.index, job="job", token="secret", epoch=effect.epoch, folder="", dead_letters="",
            control="", endpoint=effect.endpoint or "sim://machine:0", wiring=wiring,
        )  # fmt: skip
        disk = self.disks.setdefault(effect.instance, Disk())
        life = self.lives[effect.instance] = Life(self, assignment, disk)
        source = self._source(life, disk) if assignment.role is Role.SOURCE else None
        self.watch.began(life)
        if (operations := self.doomed.pop(effect.instance, None)) is not None:
            life.kill_after(operations)
        life.begin(self.letters, make=self.scene.algorithms.get(effect.node), source=source)
        self._report(life)

    def _source(self, life: Life, disk: Disk) -> ListSource:
        scene, node = self.scene, life.assignment.node
        records, wrap = scene.records[node], scene.wrap
        if wrap is not None:
            records = [r if isinstance(r, Unreadable) else wrap(str(r)) for r in records]
        facts = records, scene.interval_s, scene.batch_max, lambda record: self.watch.read(life, text_of(record))
        return PipeSource(*facts, disk) if node in scene.pipes else ListSource(*facts)

    def read_again(self, life: Life, record: object) -> None:
        """It stands in the entry log of the life."""
        self.watch.read(life, record)

    def _command(self, instance: str, epoch: int, command: Command) -> None:
        life = self.lives[instance]
        if life.alive and life.begun and life.assignment.epoch == epoch:
            life.instance.command(command)

    def _kill(self, instance: str, epoch: int) -> None:
        life = self.lives[instance]
        if life.assignment.epoch == epoch:
            life.kill_after(0)

    # -- what lives tell -----------------------------------------------------------------------------------------------

    def _report(self, life: Life) -> None:
        if life.alive:
            if self.clock.now() >= life.stopped_until_s:
                self._send_sample(life)
            self.clock.after(REPORT_S, lambda: self._report(life))

    def _send_sample(self, life: Life) -> None:
        sample = life.instance.sample()
        at_s = max(self._samples_last.get(life.name, 0.0), self.clock.now() + self._control_delay())
        self._samples_last[life.name] = at_s
        self.clock.at(at_s, lambda: self._take(Reported(sample)))

    def stepped(self, life: Life) -> None:
        self.steps += 1
        self.watch.stepped(life)

    def took(self, life: Life, session: int, sequence: int, message: object) -> None:
        self.watch.keys.took(life, session, sequence, message)

    def left(self, life: Life) -> None:
        self._send_sample(life)
        self._exit(life, 0)

    def died(self, life: Life) -> None:
        self.deaths[life.name] += 1
        if life.handling:
            self.deaths_in_hand[life.in_hand] += 1
        self._exit(life, -9)

    def _exit(self, life: Life, code: int) -> None:
        self.watch.ended(life)
        epoch, completed = life.assignment.epoch, life.disk.account().completed
        exited = Exited(life.name, epoch, code, (), completed, handler_error=life.handler_error)
        self.clock.after(self._control_delay(), lambda: self._take(exited))
