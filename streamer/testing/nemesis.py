"""Who does the harm: a schedule of faults from a seed.

Faults are values with a moment, so that a schedule can be printed, shortened by hand, and played again. They are laid
over the few seconds in which a small job lives, and most of them are small; what a fault may do at most (how often one
instance is killed, how long a pause lasts) is bounded so that a job which keeps its promises must end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from streamer.limits import CANARY_PARTS, DRAIN_S, HEARTBEAT_S, SESSION_TIMEOUT_S
from streamer.runtime.stage import Stage
from streamer.testing.network import Link, Way
from streamer.testing.world import World

_KILLS_PER_INSTANCE_MAX = 3
"""Five deaths in a row with nothing done are a crash loop, and fail the job by right."""
_AGAIN_S = 0.1


@dataclass(frozen=True, slots=True)
class Kill:
    """The instance dies at this effect after `at_s` (0: at once)."""

    at_s: float
    instance: str
    operations: int

    def strike(self, world: World) -> None:
        life = world.lives.get(self.instance)
        if life is not None and life.alive:
            life.kill_after(self.operations)


@dataclass(frozen=True, slots=True)
class KillNewborn:
    """The instance dies, and its next life at this effect."""

    at_s: float
    instance: str
    operations: int

    def strike(self, world: World) -> None:
        world.doomed[self.instance] = self.operations
        Kill(self.at_s, self.instance, 0).strike(world)


@dataclass(frozen=True, slots=True)
class KillAtEnd:
    """The instance dies so many effects after its end has begun."""

    at_s: float
    instance: str
    stage: Stage
    operations: int

    def strike(self, world: World) -> None:
        if (life := world.lives.get(self.instance)) is not None:
            life.kill_in(self.stage, self.operations)


@dataclass(frozen=True, slots=True)
class FullDisk:
    """The entry log of the instance has no room for so long."""

    at_s: float
    instance: str
    for_s: float

    def strike(self, world: World) -> None:
        if (disk := world.disks.get(self.instance)) is not None:
            disk.full_until_s = world.clock.now() + self.for_s


@dataclass(frozen=True, slots=True)
class Drain:
    """Somebody wants the job to end in order."""

    at_s: float

    def strike(self, world: World) -> None:
        world.drain()


@dataclass(frozen=True, slots=True)
class ChangeFlows:
    """Somebody wants other flows, once no other change is under way, for so many `parts` of CANARY_PARTS of the roots.

    That is no harm, and it may be refused.
    """

    at_s: float
    flows: Mapping[str, str]
    parts: int = CANARY_PARTS

    def strike(self, world: World) -> None:
        _once_settled(world, lambda: world.change(self.flows, next(iter(self.flows)), self.parts))


@dataclass(frozen=True, slots=True)
class Share:
    """Somebody wants another share of the canary, all of CANARY_PARTS to be without one. It may be refused."""

    at_s: float
    parts: int

    def strike(self, world: World) -> None:
        _once_settled(world, lambda: world.share(self.parts))


@dataclass(frozen=True, slots=True)
class RollBack:
    """Somebody wants the flows of before. It may be refused."""

    at_s: float

    def strike(self, world: World) -> None:
        _once_settled(world, world.roll_back)


def _once_settled(world: World, want: Callable[[], None]) -> None:
    """Unless the job has ended, once no change of its flows is under way."""
    if world.state.proposal is not None:
        world.clock.after(_AGAIN_S, lambda: _once_settled(world, want))
    elif not world.state.phase.ended:
        want()


@dataclass(frozen=True, slots=True)
class Scale:
    """Somebody wants another number of instances of a node. That is no harm, and it may be refused."""

    at_s: float
    node: str
    replicas: int

    def strike(self, world: World) -> None:
        if not world.state.phase.ended:
            world.scale(self.node, self.replicas)


@dataclass(frozen=True, slots=True)
class Decide:
    """An autoscaler wants another number of instances of a stateless node, which may be none."""

    at_s: float
    node: str
    replicas: int

    def strike(self, world: World) -> None:
        if not world.state.phase.ended:
            world.decide(self.node, self.replicas)


@dataclass(frozen=True, slots=True)
class Stop:
    """The whole process stands still; its peers give up its links if that takes long."""

    at_s: float
    instance: str
    for_s: float

    def strike(self, world: World) -> None:
        life = world.lives.get(self.instance)
        if life is not None and life.alive:
            life.pause(self.for_s, whole=True)
            if self.for_s > 4.0:
                world.clock.after(4.0, lambda: world.network.isolate(self.instance))


@dataclass(frozen=True, slots=True)
class Wedge:
    """A handler takes long; the process lives, and says so."""

    at_s: float
    instance: str
    for_s: float

    def strike(self, world: World) -> None:
        life = world.lives.get(self.instance)
        if life is not None and life.alive and life.begun:
            life.pause(self.for_s, whole=False)
            if self.for_s > 2 * HEARTBEAT_S:
                life.pulse_for(self.for_s)


@dataclass(frozen=True, slots=True)
class Slow:
    """Its handlers take so many times as long."""

    at_s: float
    instance: str
    factor: float

    def strike(self, world: World) -> None:
        if (life := world.lives.get(self.instance)) is not None:
            life.slowness = self.factor


@dataclass(frozen=True, slots=True)
class Cut:
    """`choice` (0 to 1) says which of the links of that moment."""

    at_s: float
    choice: float

    def strike(self, world: World) -> None:
        if (link := _chosen(world, self.choice)) is not None:
            world.network.cut(link)


@dataclass(frozen=True, slots=True)
class Gap:
    """The next frames of a link are lost, and it goes on."""

    at_s: float
    choice: float
    way: Way
    frames: int

    def strike(self, world: World) -> None:
        if (link := _chosen(world, self.choice)) is not None:
            link.skip[self.way] = self.frames


@dataclass(frozen=True, slots=True)
class SlowLink:
    at_s: float
    choice: float
    delay_s: float

    def strike(self, world: World) -> None:
        if (link := _chosen(world, self.choice)) is not None:
            link.delay_s = self.delay_s


@dataclass(frozen=True, slots=True)
class Partition:
    at_s: float
    one: str
    other: str
    for_s: float

    def strike(self, world: World) -> None:
        world.network.partition(self.one, self.other, self.for_s)


Death = Kill | KillNewborn | KillAtEnd
Change = ChangeFlows | Share | RollBack | Scale | Decide
Fault = Death | FullDisk | Drain | Stop | Wedge | Slow | Cut | Gap | SlowLink | Partition


def _chosen(world: World, choice: float) -> Link | None:
    links = list(world.network.links())
    return links[int(choice * len(links))] if links else None


def unleash(world: World, faults: Sequence[Fault | Change]) -> None:
    """Have these faults, and changes, strike in a world that is about to begin."""
    for fault in faults:
        world.clock.after(fault.at_s, lambda fault=fault: fault.strike(world))  # type: ignore[misc]  # binds this round's fault


@dataclass(frozen=True, slots=True)
class Malice:
    """How many faults of each kind there are at most."""

    deaths: int = 0
    drained: bool = False
    pauses: int = 0
    wire: int = 0


CALM = Malice()
KILLS = Malice(deaths=6)
WIRE = Malice(wire=8, pauses=1)
PAUSES = Malice(pauses=3)
ALL = Malice(deaths=5, pauses=2, wire=6)
DRAINED = Malice(deaths=2, pauses=1, wire=2, drained=True)


def schedule(random: Random, instances: Sequence[str], malice: Malice, span_s: float) -> tuple[Fault, ...]:
    """Faults from this source of chance within `span_s`, the earliest first."""
    faults: list[Fault] = []
    killed: Counter[str] = Counter()
    for _ in range(random.randint(0, malice.deaths)):
        kill = _death(random, instances, span_s)
        killed[kill.instance] += 1
        if killed[kill.instance] <= _KILLS_PER_INSTANCE_MAX:
            faults.append(kill)
    faults += [_pause(random, instances, span_s) for _ in range(random.randint(0, malice.pauses))]
    faults += [_on_the_wire(random, instances, span_s) for _ in range(random.randint(0, malice.wire))]
    if malice.drained:
        faults.append(Drain(span_s * random.random()))
    return tuple(sorted(faults, key=lambda fault: fault.at_s))


def _death(random: Random, instances: Sequence[str], span_s: float) -> Death:
    instance, at_s = random.choice(instances), span_s * random.random()
    kind = random.random()
    if kind < 0.15:
        return KillNewborn(at_s, instance, random.randint(1, 30))
    if kind < 0.3:
        return KillAtEnd(at_s, instance, random.choice((Stage.STOPPING, Stage.ENDING)), random.randint(0, 8))
    return Kill(at_s, instance, random.choice((0, random.randint(1, 40))))


def outlasts_a_drain(faults: Sequence[Fault]) -> bool:
    """Whether a drain may not be done in its time: an instance stands still for so long, and others wait for it."""
    return any(isinstance(fault, Stop | Wedge) and fault.for_s >= DRAIN_S / 3 for fault in faults)


def _pause(random: Random, instances: Sequence[str], span_s: float) -> Fault:
    instance, at_s = random.choice(instances), span_s * random.random()
    for_s = random.choice((0.3, 1.5, SESSION_TIMEOUT_S - 0.5, SESSION_TIMEOUT_S + 2.0)) * random.uniform(0.8, 1.2)
    kind = random.random()
    if kind < 0.4:
        return Stop(at_s, instance, for_s)
    if kind < 0.8:
        return Wedge(at_s, instance, for_s)
    return Slow(at_s, instance, random.choice((3.0, 15.0)))


def _on_the_wire(random: Random, instances: Sequence[str], span_s: float) -> Fault:
    at_s, choice, kind = span_s * random.random(), random.random(), random.random()
    if kind < 0.35:
        return Cut(at_s, choice)
    if kind < 0.7:
        return Gap(at_s, choice, random.choice((Way.UP, Way.DOWN, Way.DOWN)), random.randint(1, 4))
    if kind < 0.85:
        return SlowLink(at_s, choice, random.choice((0.01, 0.05)))
    one, other = random.sample(list(instances), 2)
    return Partition(at_s, one, other, random.choice((0.2, 2.0, 5.0)))
