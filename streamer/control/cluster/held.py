"""What an agent holds of one job: what the log says of it, what runs here, and what was said last.

Reading the log changes only what is written down here, and looking at processes only what is alive here; what is to be
done follows from the two together, so that it does not matter in which order they come, or how often.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from streamer.cluster_limits import (
    AGENT_GONE_S,
    PLACED_EPOCHS,
)
from streamer.control.cluster.wire import Left, Told, Word, word_of
from streamer.control.hosts.link import ControlLink
from streamer.control.lifecycle import InstancePhase
from streamer.control.records import InstanceLine, JobLine, instance_line, job_line, job_plan, plan_key, update_key
from streamer.descriptor.resources import Needs
from streamer.log.base import Record
from streamer.log.topics import Topic
from streamer.metrics.samples import InstanceSample
from streamer.plan.assignment import Command, Peers, Verb, Wiring
from streamer.plan.compile import Plan
from streamer.plan.difference import renewed
from streamer.platform.alone import AlonePlatform


@dataclass(slots=True)
class Life:
    """What runs here, of which generation, and its last sample."""

    epoch: int
    generation: int
    sample: InstanceSample | None = None


@dataclass(slots=True)
class Over:
    """A life that is over since then, and its last sample, which may be read after its end was seen."""

    left: Left
    at: float
    sample: InstanceSample | None


@dataclass(slots=True)
class HeldJob:
    """What the log says of a job, and what is here of it."""

    name: str
    line: JobLine | None = None
    plan: Plan | None = None
    update: Plan | None = None
    lines: dict[str, InstanceLine] = field(default_factory=dict)
    flows: dict[str, Wiring] = field(default_factory=dict)
    peers: dict[str, Peers] = field(default_factory=dict)
    told: dict[str, Told] = field(default_factory=dict)
    link: ControlLink | None = None
    platform: AlonePlatform | None = None
    lives: dict[str, Life] = field(default_factory=dict)
    over: dict[str, Over] = field(default_factory=dict)
    lacking: dict[str, float] = field(default_factory=dict)
    """Since when instances wait for their code."""
    news: bool = False
    words: bool = False
    reported_at: float = 0.0
    told_at: float = 0.0

    def kill(self, instance: str) -> None:
        if self.platform is not None:
            self.platform.kill(instance, self.lives[instance].epoch)

    def put_away(self) -> None:
        """Its instances go on."""
        if self.platform is not None:
            self.platform.close()
        if self.link is not None:
            self.link.close()


def remember(job: HeldJob, record: Record) -> None:
    """What the newest record of each key says. Raises StateError."""
    if record.key == job.name:
        job.line = job_line({job.name: record}, job.name)
    elif record.key == plan_key(job.name):
        job.plan = job_plan(record)
    elif record.key == update_key(job.name):
        job.update = job_plan(record)
    elif record.topic is Topic.ASSIGNMENTS and record.key.count("/") == 1:
        line = instance_line(record)
        job.lines[line.instance] = line
    elif (word := word_of(record)) is not None:
        _hear(job, word)


def _hear(job: HeldJob, word: Word) -> None:
    job.words = True
    match word.word:
        case Wiring():
            job.flows[word.about] = word.word
        case Peers():
            job.peers[word.about] = word.word
        case Told():
            job.told[word.about] = word.word


def tell(job: HeldJob) -> None:
    """Every instance that was heard is told all that is in force, the flows before whom they may meet."""
    for instance, life in job.lives.items():
        line = job.lines.get(instance)
        if life.sample is not None and line is not None and job.link is not None:
            for command in _commands(job, line.node, instance, life.epoch):
                job.link.send(instance, life.epoch, command)


def _commands(job: HeldJob, node: str, instance: str, epoch: int) -> Iterator[Command]:
    if node in job.flows:
        yield Command(Verb.FLOWS, wiring=job.flows[node])
    if node in job.peers:
        yield Command(Verb.PEERS, job.peers[node])
    told = job.told.get(instance)
    if told is not None and told.epoch == epoch:
        for verb in sorted(told.verbs):
            yield Command(verb, lives=told.lives if verb is Verb.REPLAY else ())


def is_to_end(job: HeldJob, instance: str, wanted: InstanceLine | None) -> bool:
    """Whether what runs here of an instance is not, or not any more, what is `wanted`.

    A life that was begun here while nobody led may have the number of one that a controller has ordered meanwhile, and
    be of the generation before that.
    """
    life, told = job.lives[instance], job.told.get(instance)
    if wanted is None or wanted.epoch > life.epoch:
        return True
    other = wanted.epoch == life.epoch and wanted.generation != life.generation
    return other or (told is not None and told.kill and told.epoch == life.epoch)


def is_ahead(job: HeldJob, one: InstanceLine) -> bool:
    """Whether a life was begun here while nobody led, and the log tells no more yet than that the last one died."""
    life = job.lives.get(one.instance)
    return life is not None and one.phase is InstancePhase.RESTARTING and life.epoch > one.epoch


def is_due(job: HeldJob, one: InstanceLine, now: float) -> bool:
    """Whether this life is still to come; or one is over, was told long ago, and nobody leads the job, it seems.

    Then it goes on here, but for what has ended in order or for good, or was told to leave.
    """
    over = job.over.get(one.instance)
    if over is None or over.left.exit.epoch < one.epoch:
        return True
    if now - over.at < AGENT_GONE_S:
        return False
    exit_, told = over.left.exit, job.told.get(one.instance)
    for_good = exit_.code == 0 or exit_.ended or exit_.cannot_open or bool(exit_.handler_error)
    leaves = told is not None and (told.kill or Verb.LEAVE in told.verbs)
    return not for_good and not leaves and (exit_.epoch + 1) % PLACED_EPOCHS != 0


def plan_of(job: HeldJob, one: InstanceLine) -> Plan | None:
    """What this life of an instance runs (see `JobState.plan_of`); None as long as it has not been read here.

    An instance's line may be read before those of its job, which say what its generation is.
    """
    if job.line is None or job.plan is None:
        return None
    update = job.line.update
    if update is not None and one.generation == update.generation:
        return None if job.update is None else renewed(job.plan, job.update.nodes, counted=False)
    return job.plan if one.generation <= job.line.generation else None


def needs_of(job: HeldJob, instance: str) -> Needs:
    line = job.lines.get(instance)
    if line is None or job.line is None:
        return Needs()
    of_update = job.line.update is not None and job.line.update.generation == line.generation
    plan = job.update if of_update else job.plan
    return Needs() if plan is None or line.node not in plan.nodes else plan.nodes[line.node].needs
