"""The controller of many jobs on a cluster: the same `step` as on one machine, and the log for everything else.

It has neither processes nor sockets. Commands and reports are handed to it by whoever follows them; what it decides
goes into the log before anybody acts on it, and agents act on that. It leads a job under a claim: it begins with what
the log has, whoever wrote that, and goes away when it reads the claim of another. An event may be handed over twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace

from streamer import clock as clocks
from streamer.cluster_limits import AGENT_BEAT_S, CONTROLLER_TAKE_UP_S
from streamer.control.book import Book, find, lines
from streamer.control.cluster.agents import Agents, chosen, for_job, used_by
from streamer.control.cluster.feed import Feed, Post
from streamer.control.cluster.led import Led
from streamer.control.cluster.pace import may_be_due_after, pause_s
from streamer.control.cluster.wire import (
    JobReport,
    Member,
    Told,
    beat_of,
    controller_entry,
    flows_entry,
    member_of,
    peers_entry,
    report_of,
    submitted,
    told_entry,
)
from streamer.control.events import (
    AgentFound,
    AgentLost,
    Ask,
    Asked,
    BegunAgain,
    Effect,
    Event,
    JobSubmitted,
    KillInstance,
    NotPlaced,
    Placed,
    Reported,
    Resumed,
    SendCommand,
    StartInstance,
    Ticked,
)
from streamer.control.jobs import account
from streamer.control.placing import needless
from streamer.control.records import JobFacts, account_entry
from streamer.control.state import InstanceRecord, JobState
from streamer.control.step import step
from streamer.control.wishes import wishes
from streamer.descriptor.resources import NOTHING, Needs
from streamer.errors import ClaimError, StateError
from streamer.log.base import ControlLog, Entry, Record, everything
from streamer.log.topics import Topic
from streamer.plan.assignment import Peers, Verb, Wiring
from streamer.plan.compile import Plan

_VERSIONS_OF_AN_EPOCH = 1 << 24
"""Peers are numbered on from here under each claim, so that what is told is newer than what was told under the last."""


class ClusterHost:
    """`claims` is a feed of the topic jobs and `members` one of who is there, both from now on.

    One thread calls it. `say` hears what people should know; a job that is led elsewhere by then is not an error.
    """

    def __init__(
        self,
        log: ControlLog,
        name: str,
        claims: Feed,
        members: Feed,
        post: Post,
        say: Callable[[str], None],
        *,
        clock: clocks.Clock = clocks.now,
    ) -> None:
        self.name = name
        self._log = log
        self._claims = claims
        self._members = members
        self._post = post
        self._say = say
        self._clock = clock
        self._led: dict[str, Led] = {}
        self._awaited: deque[JobFacts] = deque()
        """What is to be taken up, the job that began first before the others."""
        self._unbegun: deque[Record] = deque()
        """Commands for jobs that nobody has begun."""
        self._agents = Agents(clock)
        self._used: dict[str, Needs] | None = None
        """What instances ask for by agent, for as long as one tick lasts."""
        self._beat_at = 0.0

    @property
    def jobs(self) -> tuple[str, ...]:
        return tuple(self._led)

    def is_kept(self, job: str) -> bool:
        """Whether the log has all that has happened to the job here."""
        led = self._led.get(job)
        return led is None or led.book.complaint is None

    def lead(self, is_mine: Callable[[str], bool]) -> None:
        """Let go of the jobs that are others' from now on; the live ones that are not are taken up as time goes on.

        Raises LogError.
        """
        for job in self.jobs:
            if not is_mine(job):
                self._let_go(job)
        found = lines(self._log, lambda error: self._say(f"{error}; left out"))
        self._awaited = deque(line.facts for line in found if line.live and is_mine(line.facts.job))
        known = {line.facts.job for line in found}
        commands = everything(self._log, Topic.COMMANDS)
        self._unbegun = deque(one for one in commands if one.scope not in known and is_mine(one.scope))

    def take(self, record: Record) -> None:
        """A command, or a report of a job. Raises LogError: it is to be handed over again."""
        try:
            if record.topic is Topic.COMMANDS:
                self._command(record)
            elif record.scope in self._led and self._led[record.scope].is_news(record):
                self._report(self._led[record.scope], report_of(record))
        except StateError as error:
            self._say(f"{error}")

    def tick(self) -> None:
        """What is due by now: to be called at least every `AGENT_LOOK_S`. Raises LogError: to be called again."""
        self._take_up_some()
        now = self._clock()
        for record in self._claims.take():
            led = self._led.get(record.scope)
            if led is not None and record.is_claim and (record.epoch or 0) > led.book.epoch:
                self._let_go(record.scope)
        for record in self._members.take():
            self._hear(record)
        if now - self._beat_at >= AGENT_BEAT_S:
            self._beat_at = now
            self._post.leave([controller_entry(self.name)])
        self._used = None
        for led in tuple(self._led.values()):
            if now - led.ticked_at >= pause_s(led.state, active=led.active):
                led.ticked_at, led.active = now, False
                self._look_at_machines(led)
                if led.is_over():
                    self._happened(led, Asked(Ask.DRAIN))
                if led.book.facts.run_by and self._agents.is_lost(led.book.facts.run_by):
                    self._happened(led, Asked(Ask.KILL))  # its run was killed, and nobody else is to go on with it
                self._happened(led, Ticked())

    def close(self) -> None:
        for job in self.jobs:
            self._let_go(job)
        for part in (self._claims, self._members, self._post):
            part.close()

    def _hear(self, record: Record) -> None:
        kind, name = member_of(record)
        if kind == Member.CONTROLLER and name == self.name:
            self._agents.heard_ourselves()
        elif kind == Member.AGENT:
            try:
                self._agents.heard(beat_of(record))
            except StateError as error:
                self._say(f"{error}")

    # -- jobs ---------------------------------------------------------------------------------------------------------

    def _take_up_some(self) -> None:
        """Of the jobs that wait for it, as those in hand must not wait for all of them."""
        began = self._clock()
        while self._awaited:
            facts = self._awaited[0]
            try:
                if facts.job not in self._led:
                    self._take_up(facts)
            except StateError as error:
                self._say(f"{error}")
            self._awaited.popleft()
            if self._clock() - began >= CONTROLLER_TAKE_UP_S:
                return
        while self._unbegun and self._clock() - began < CONTROLLER_TAKE_UP_S:
            self.take(self._unbegun[0])
            self._unbegun.popleft()

    def _found(self, job: str, *, revive: bool) -> Led | None:
        """None if there is no such job, or it has ended and nobody wants to `revive` it."""
        kept = find(self._log, job)
        return None if kept is None or not (kept.line.live or revive) else self._take_up(kept.line.facts, revive=revive)

    def _take_up(self, facts: JobFacts, *, revive: bool = False, plan: Plan | None = None) -> Led | None:
        """As the log has it once it is claimed: others may have written till then. One that is not there has `plan`."""
        job, led = facts.job, self._claimed(replace(facts, run_by="") if revive else facts)
        kept = find(self._log, job)
        if kept is None and plan is not None:
            self._led[job] = led
            led.book.begin(plan)
            self._say(f"leads job {job}, which begins")
            self._happened(led, JobSubmitted(job, plan))
            return led
        if kept is None or not (kept.line.live or revive):
            return None
        self._led[job] = led
        led.state = kept.state(led.book.clock_offset_s, led.book.epoch * _VERSIONS_OF_AN_EPOCH)
        self._say(f"leads job {job}")
        if led.state is None:
            self._happened(led, JobSubmitted(job, kept.plan))
        self._catch_up(job)
        return self._led.get(job)

    def _catch_up(self, job: str) -> None:
        """What was wanted and not done by whoever led before: Faust carries it, too, once all workers have agreed."""
        for record in everything(self._log, Topic.COMMANDS, scope=job):
            if job in self._led and submitted(record) is None:
                self.take(record)

    def _begin(self, facts: JobFacts, plan: Plan) -> None:
        """Unless it has begun: the command may come again, and another controller may have been faster."""
        if facts.job in self._led:
            return
        kept = find(self._log, facts.job) if self._log.claimed(facts.job) is not None else None
        if kept is None or kept.line.live:
            self._take_up(facts, plan=plan)

    def _claimed(self, facts: JobFacts) -> Led:
        book = Book(self._log, facts, holder=self.name, listens=False)
        return Led(book, self._log.end([Topic.REPORTS]))

    def _let_go(self, job: str) -> None:
        led = self._led.pop(job)
        led.book.close()
        self._say(f"leads job {job} no more")

    # -- events -------------------------------------------------------------------------------------------------------

    def _command(self, record: Record) -> None:
        begins = submitted(record)
        if begins is not None:
            self._begin(*begins)
            return
        for wish in wishes([record]):
            led = self._led.get(record.scope) or self._found(record.scope, revive=isinstance(wish, Resumed))
            if led is not None:
                self._happened(led, wish)

    def _report(self, led: Led, report: JobReport) -> None:
        led.pages.take(report)
        state = led.state
        if state is None:
            return
        for instance, epoch in report.lives.items():
            record = state.instances.get(instance)
            if record is not None and record.agent == report.agent and epoch > record.epoch:
                self._happened(led, BegunAgain(instance, epoch, report.agent))
        for sample in report.samples:
            self._happened(led, Reported(sample))
        for left in report.left:
            record = state.instances.get(left.exit.instance)
            if record is not None and record.agent == report.agent:
                self._happened(led, left.exit)

    def _look_at_machines(self, led: Led) -> None:
        """Lost ones and found ones, and places for what has none."""
        if led.state is None:
            return
        self._look_for_agents(led, led.state)
        if needless(led.state):
            self._happened(led, NotPlaced())
        if led.state.phase.ending_by_force:
            return
        waits = ""
        for record in tuple(led.state.instances.values()):
            if record.phase.living and not record.agent:
                waits = self._placed(led, record) or waits
            elif not record.phase.gone and record.agent and self._agents.is_gone(record.agent):
                waits = f"{record.instance} waits for agent {record.agent}, which has what it keeps"
        if waits and waits != led.waits:
            self._say(f"job {led.state.job}: {waits}")
        led.waits = waits

    def _look_for_agents(self, led: Led, state: JobState) -> None:
        records = state.instances.values()
        silent = {record.agent for record in records if record.silent}
        for agent in sorted({record.agent for record in records if record.agent and not record.phase.gone}):
            if self._agents.is_gone(agent):
                self._happened(led, AgentLost(agent, self._agents.is_shared(agent)))
            elif agent in silent:
                self._happened(led, AgentFound(agent))

    def _placed(self, led: Led, record: InstanceRecord) -> str:
        """Find a machine for it, or give the reason why there is none."""
        assert led.state is not None
        if self._used is None:
            self._used = used_by(one.state for one in self._led.values() if one.state is not None)
        there = for_job(self._agents.there(), led.book.facts)
        agent, missing = chosen(there, self._used, led.state, record)
        if agent is None:
            return f"{record.instance} waits for a machine: {missing}"
        self._used[agent] = self._used.get(agent, NOTHING).plus(led.state.node_of(record).needs)
        self._happened(led, Placed(record.instance, record.epoch, agent))
        return ""

    def _happened(self, led: Led, event: Event) -> None:
        """Step, and put into the log what comes of it; nothing of a job that was let go meanwhile."""
        if self._led.get(led.book.facts.job) is not led:
            return
        before = led.state
        led.active = led.active or may_be_due_after(before, event)
        led.state, effects = step(led.state, event, self._clock())
        news = self._words(led, led.state, effects, event)
        led.unsaid.update((entry.key, entry) for entry in news)
        if isinstance(event, Placed):
            return  # all that is placed in one tick is written with it
        if not (news or isinstance(event, Ticked) or led.state.phase.ended or before is None):
            return
        words = list(led.unsaid.values())
        ended = led.state.phase.ended
        if ended:
            words.append(account_entry(account(led.state, self._clock(), led.pages.of(led.state))))
        try:
            led.book.keep(led.state, words)
        except ClaimError:
            self._let_go(led.state.job)
            return
        if led.book.complaint is None:
            led.unsaid.clear()
        if ended and led.book.complaint is None:
            self._let_go(led.state.job)

    def _words(self, led: Led, state: JobState, effects: tuple[Effect, ...], event: Event) -> list[Entry]:
        """What agents have to know, the flows before anything that is started with them."""
        starts = [effect.node for effect in effects if isinstance(effect, StartInstance)]
        if isinstance(event, Placed) and event.instance in state.instances:
            starts.append(state.instances[event.instance].node)
        found = {
            entry.key: entry
            for node in dict.fromkeys(starts)
            for entry in (flows_entry(state.job, node, state.wiring_of(node)),)
        }
        for effect in effects:
            if isinstance(effect, SendCommand):
                entry = self._word(led, state, effect)
                found[entry.key] = entry
            elif isinstance(effect, KillInstance):
                told = _told_so_far(led, effect.instance, effect.epoch)
                led.told[effect.instance] = told = replace(told, kill=True)
                entry = told_entry(state.job, effect.instance, told)
                found[entry.key] = entry
        return list(found.values())

    def _word(self, led: Led, state: JobState, effect: SendCommand) -> Entry:
        node, command = state.instances[effect.instance].node, effect.command
        word = command.peers or command.wiring
        if word is not None:
            return _of_node(led, state.job, node, command.verb, word)
        told = _told_so_far(led, effect.instance, effect.epoch)
        told = replace(told, verbs=told.verbs | {command.verb}, lives=command.lives or told.lives)
        led.told[effect.instance] = told
        return told_entry(state.job, effect.instance, told)


def _of_node(led: Led, job: str, node: str, verb: Verb, word: Peers | Wiring) -> Entry:
    last, entry = led.words.get((node, verb), (None, None))
    if entry is None or last != word:
        entry = peers_entry(job, node, word) if isinstance(word, Peers) else flows_entry(job, node, word)
        led.words[node, verb] = word, entry
    return entry


def _told_so_far(led: Led, instance: str, epoch: int) -> Told:
    told = led.told.get(instance)
    return told if told is not None and told.epoch == epoch else Told(epoch)
