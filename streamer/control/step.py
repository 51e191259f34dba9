"""The controller of a job as a pure function: what has happened in, what is to be done out.

Decisions about restarts, drains and ends are the part of an engine that is hardest to test with real processes, because
the interesting cases are races. Here every one of them is a value: `step` takes a state, an event and the time, waits
for nothing and does nothing, so that any order of events can be played in a test, in microseconds. An event may come
twice (the second changes nothing), and a command may be lost (it is repeated).

Rules: `lifecycle` has the phases, `deaths` judges exits, `endings` knows who must be told of an end, `topology` who
must know whom. Commands leave at ticks only, so that a hundred instances that report at once cause one word to each.
"""

from __future__ import annotations

import dataclasses

from streamer import limits
from streamer.control import deaths, endings, flows, partition, placing, scaling, topology, update
from streamer.control.events import (
    AgentFound,
    AgentLost,
    Ask,
    Asked,
    BegunAgain,
    Decided,
    Effect,
    Event,
    Exited,
    FlowsSet,
    JobSubmitted,
    KillInstance,
    LettersHold,
    NotPlaced,
    Placed,
    ReplayWanted,
    Reported,
    Resumed,
    Scaled,
    SendCommand,
    Ticked,
    UpdateWanted,
    Wanted,
)
from streamer.control.lifecycle import INSTANCE, JOB, InstanceEvent, InstancePhase, JobEvent, JobPhase, follow
from streamer.control.state import UNTOLD, InstanceRecord, JobState
from streamer.errors import LifecycleError
from streamer.metrics.samples import InstanceState
from streamer.plan.assignment import Command, Peers, Verb, Wiring
from streamer.plan.difference import recoded

Stepped = tuple[JobState, tuple[Effect, ...]]

_SAYS = {state: InstanceEvent(f"says {state}") for state in InstanceState}
_BEFORE_READY = (InstancePhase.STARTING, InstancePhase.RESTARTING)


def step(state: JobState | None, event: Event, now: float) -> Stepped:
    """The job after `event` at `now`, and what is to be done. Raises LifecycleError before the job was submitted."""
    if isinstance(event, JobSubmitted):
        return (state, ()) if state is not None else _submitted(event, now)
    if state is None:
        raise LifecycleError(f"{type(event).__name__} came before the job was submitted")
    stepped: Stepped
    match event:
        case Reported():
            stepped = _reported(state, event, now), ()
        case Exited():
            stepped = _exited(state, event, now)
        case Ticked():
            stepped = _ticked(state, now)
        case LettersHold(oldest):
            stepped = dataclasses.replace(state, letters_hold=oldest), ()
        case Placed() | NotPlaced() | AgentLost() | AgentFound() | BegunAgain():
            stepped = placing.moved(state, event, now), ()
        case _:
            stepped = _wished(state, event, now)
    after, effects = stepped
    return update.ended_with_the_job(_advanced(after, now)), effects


def _submitted(event: JobSubmitted, now: float) -> Stepped:
    records = [
        InstanceRecord(node.name, index, f"{node.name}-{index}", started_at=now, wired=1)
        for node in event.plan.nodes.values()
        for index in range(node.replicas)
    ]
    state = JobState(
        event.job,
        event.plan,
        submitted_at=now,
        instances={record.instance: record for record in records},
        versions=dict.fromkeys(event.plan.nodes, 1),
        partitions=partition.first_of(event.plan),
    )
    return state, tuple(scaling.start_of(record) for record in records)


# -- reports ----------------------------------------------------------------------------------------------------------


def _reported(state: JobState, event: Reported, now: float) -> JobState:
    sample = event.sample
    record = state.instances.get(sample.instance)
    if record is None or record.epoch != sample.epoch or record.phase.gone:
        return state
    if record.phase is InstancePhase.RESTARTING:
        return state
    phase = follow(INSTANCE, record.phase, _SAYS[sample.state])
    moved = bool(sample.endpoint) and sample.endpoint != record.endpoint
    state = state.having(
        dataclasses.replace(
            endings.observe_quiet(record, sample, now),
            phase=phase,
            heard=True,
            sample=sample,
            endpoint=sample.endpoint or record.endpoint,
            progressed=record.progressed or sample.completed > 0,
            ready_at=now if record.ready_at is None and phase not in _BEFORE_READY else record.ready_at,
            wired=max(record.wired, sample.wiring),
            start_up_s=now - record.started_at if _comes_to_work(record, phase) else record.start_up_s,
            said_before=record.said_last if now > record.said_last else record.said_before,
            said_last=now,
        )
    )
    if moved or phase is InstancePhase.COMPLETED:
        state = topology.changed(state, record.node)
    return state


def _comes_to_work(record: InstanceRecord, phase: InstancePhase) -> bool:
    return record.phase is InstancePhase.STARTING and phase is not InstancePhase.STARTING


# -- exits ------------------------------------------------------------------------------------------------------------


def _exited(state: JobState, event: Exited, now: float) -> Stepped:
    record = state.instances.get(event.instance)
    if record is None or record.epoch != event.epoch or not record.phase.living:
        return state, ()
    record = dataclasses.replace(record, exit=event, exited_at=now, quiet_since=None, silent=False)
    if state.phase.ending_by_force:
        return state.having(_moved(record, InstanceEvent.ENDS)), ()
    if record.leaving and not scaling.has_more_to_send(state, record, event):
        return topology.changed(state.having(_moved(record, InstanceEvent.RETIRES)), record.node), ()
    if event.ended:
        record = _moved(record, InstanceEvent.SAYS_ENDED)
    if event.code == 0 or record.phase is InstancePhase.ENDED:
        record = _moved(record, InstanceEvent.LEAVES)
        state = state.having(record)
        completed = record.phase is InstancePhase.COMPLETED
        return (topology.changed(state, record.node) if completed else state), ()
    if record.renewing:
        return update.left(state.having(_moved(record, InstanceEvent.DIES)), record.instance, now), ()
    return _died(state, record, event)


def _died(state: JobState, record: InstanceRecord, event: Exited) -> Stepped:
    record = _moved(deaths.after_death(state, record, event), InstanceEvent.DIES)
    state = state.having(record)
    if update.is_of(state, record):
        return update.died(state, record, event), ()
    if event.handler_error:
        return _failed(state, deaths.handler_error(record, event))
    if event.cannot_open:
        return _failed(state, deaths.cannot_open_error(record, event))
    if deaths.is_crash_loop(record):
        return _failed(state, deaths.crash_loop_error(record, event))
    return state, ()


def _moved(record: InstanceRecord, event: InstanceEvent) -> InstanceRecord:
    return dataclasses.replace(record, phase=follow(INSTANCE, record.phase, event))


# -- wishes and ends by force -----------------------------------------------------------------------------------------


def _wished(state: JobState, event: Wanted, now: float) -> Stepped:
    match event:
        case Asked():
            return _asked(state, event, now)
        case Scaled():
            return scaling.wished(state, event), ()
        case Decided():
            return scaling.decided(state, event), ()
        case ReplayWanted():
            return _replay_wanted(state, event), ()
        case Resumed():
            return _resumed(state, event, now), ()
        case FlowsSet():
            return update.flows_wished(state, event, now), ()
        case UpdateWanted():
            return update.wished(state, event, now), ()


def _asked(state: JobState, event: Asked, now: float) -> Stepped:
    if event.number is not None and event.number <= state.wish:
        return state, ()  # of a life of the job that is over
    if event.ask is Ask.KILL:
        return _killed(state, None)
    phase = follow(JOB, state.phase, JobEvent.DRAIN)
    if phase is state.phase:
        return state, ()
    return dataclasses.replace(state, phase=phase, drain_deadline=now + limits.DRAIN_S), ()


def _resumed(state: JobState, event: Resumed, now: float) -> JobState:
    """Every instance that died with the job starts again, and may die as often as a new one before it is given up."""
    if event.number <= state.wish or state.phase is not JobPhase.FAILED:
        return state
    records = {
        name: dataclasses.replace(
            _moved(placing.freed(state, r, now), InstanceEvent.RESUMES),
            restart_at=now,
            deaths=0,
            quick_deaths=0,
            leave_deadline=None,
            renewing=False,
            endpoint="",
        )
        for name, r in state.instances.items()
        if r.phase is InstancePhase.DEAD
    }
    return dataclasses.replace(
        state,
        plan=recoded(state.plan, event.code),
        phase=follow(JOB, state.phase, JobEvent.RESUME),
        wish=event.number,
        error=None,
        ended_at=None,
        drain_deadline=None,
        instances={**state.instances, **records},
    )


def _replay_wanted(state: JobState, event: ReplayWanted) -> JobState:
    """Every instance of the node is told, also one that was told before: there is something new to look for."""
    if event.number <= state.wish or event.node not in state.plan.nodes:
        return state
    records = {
        name: dataclasses.replace(r, told=r.told - {Verb.REPLAY}) if r.node == event.node else r
        for name, r in state.instances.items()
    }
    decided = {**state.decided, event.node: 1} if state.decided.get(event.node) == 0 else state.decided
    return dataclasses.replace(
        state, wish=event.number, replays=state.replays | {event.node}, instances=records, decided=decided
    )


def _killed(state: JobState, error: str | None) -> Stepped:
    phase = follow(JOB, state.phase, JobEvent.KILL)
    if phase is state.phase:
        return state, ()
    return _by_force(dataclasses.replace(state, phase=phase, killed=True, error=error))


def _failed(state: JobState, error: str) -> Stepped:
    phase = follow(JOB, state.phase, JobEvent.FAIL)
    return _by_force(dataclasses.replace(state, phase=phase, error=error))


def _by_force(state: JobState) -> Stepped:
    """Every process is killed; what waits for its start, or for its last word, is dead already."""
    living = [record for record in state.instances.values() if record.phase.living]
    waiting = [r for r in state.instances.values() if not r.phase.living and not r.phase.gone]
    state = dataclasses.replace(
        state, instances={**state.instances, **{r.instance: _moved(r, InstanceEvent.ENDS) for r in waiting}}
    )
    return state, tuple(KillInstance(record.instance, record.epoch) for record in living)


# -- time -------------------------------------------------------------------------------------------------------------


def _ticked(state: JobState, now: float) -> Stepped:
    if state.phase.ended or state.phase.ending_by_force:
        return state, ()
    if state.phase is JobPhase.DRAINING and state.drain_deadline is not None and now >= state.drain_deadline:
        late = ", ".join(sorted(r.instance for r in state.instances.values() if not r.phase.gone))
        return _killed(state, f"killed {limits.DRAIN_S:g} s after the drain began, not drained: {late}")
    state, effects = _silent_leavers_died(state, now)
    if state.phase.ending_by_force:
        return state, effects
    state, updated = update.advanced(state, now)
    state, scaled = scaling.scaled(state, now)
    state, moved = partition.advanced(state, now)
    state, starts = _restarted(state, now)
    state, commands = _told(endings.with_quiet_components_ended(flows.advanced(state, now)), now)
    return state, (*updated, *scaled, *moved, *starts, *commands)


def _silent_leavers_died(state: JobState, now: float) -> Stepped:
    """Whoever left and did not come to say that it had ended has died, of something that exits with 0."""
    for record in state.instances.values():
        late = record.phase is InstancePhase.LEFT and now >= record.exited_at + limits.LAST_WORD_S
        if late and record.exit is not None:
            state, effects = _died(state, record, record.exit)
            if state.phase.ending_by_force:
                return state, effects
    return state, ()


def _restarted(state: JobState, now: float) -> Stepped:
    effects = []
    for record in state.instances.values():
        if record.phase is InstancePhase.RESTARTING and now >= record.restart_at:
            phase, returns = follow(INSTANCE, record.phase, InstanceEvent.STARTS), record.returns + record.renewing
            alive = record.next_life(phase, now, state.wired, state.next_generation(record))
            state = topology.changed(state.having(dataclasses.replace(alive, returns=returns)), alive.node)
            effects.append(scaling.start_of(alive))
    return state, tuple(effects)


def _told(state: JobState, now: float) -> Stepped:
    """Every instance that can hear is told what it does not know yet, and everything again from time to time."""
    drained = endings.drained_nodes(state)
    beside = _Beside(state)
    told: dict[str, InstanceRecord] = {}
    effects: list[Effect] = []
    for record in state.instances.values():
        if record.heard and record.phase.living:
            wanted = endings.verbs(record, drained, state)
            if commands := _words(state, record, wanted, beside, now):
                effects += [SendCommand(record.instance, record.epoch, command) for command in commands]
                told[record.instance] = _having_been_told(state, record, wanted, commands, now)
    if told:
        state = dataclasses.replace(state, instances={**state.instances, **told})
    return state, tuple(effects)


def _words(
    state: JobState, record: InstanceRecord, wanted: frozenset[Verb], beside: _Beside, now: float
) -> list[Command]:
    """What this instance is to be told now. It meets nobody before it knows the flows of which they may send to it."""
    again = _is_told_again(record, now)
    version = state.versions[record.node]
    ignorant = record.wired < state.wired
    commands = []
    if ignorant and (again or record.told_wired != state.wired):
        commands.append(Command(Verb.FLOWS, wiring=beside.wiring(record.node)))
    meets = (again or record.told_version != version) and not (ignorant and record.told_version == UNTOLD)
    if meets:
        commands.append(Command(Verb.PEERS, beside.peers(record.node)))
    verbs = sorted(wanted if again else wanted - record.told)
    return commands + [Command(v, lives=beside.lives(record.node) if v is Verb.REPLAY else ()) for v in verbs]


def _having_been_told(
    state: JobState, record: InstanceRecord, wanted: frozenset[Verb], commands: list[Command], now: float
) -> InstanceRecord:
    meets = any(command.verb is Verb.PEERS for command in commands)
    return dataclasses.replace(
        record,
        told_at=now if _is_told_again(record, now) or record.told_version == UNTOLD else record.told_at,
        told_version=state.versions[record.node] if meets else record.told_version,
        told_wired=state.wired,
        told=wanted,
    )


def _is_told_again(record: InstanceRecord, now: float) -> bool:
    return now >= record.told_at + limits.COMMAND_REPEAT_S


class _Beside:
    """What the instances of each node are to know, made once for all of them."""

    def __init__(self, state: JobState) -> None:
        self._state = state
        self._peers: dict[str, Peers] = {}
        self._wirings: dict[str, Wiring] = {}

    def peers(self, node: str) -> Peers:
        if node not in self._peers:
            self._peers[node] = topology.peers_of(self._state, node)
        return self._peers[node]

    def lives(self, node: str) -> tuple[str, ...]:
        """The instances of the node that are there, or will be again."""
        return tuple(r.instance for r in self._state.instances.values() if r.node == node and not r.phase.gone)

    def wiring(self, node: str) -> Wiring:
        if node not in self._wirings:
            self._wirings[node] = self._state.wiring_of(node)
        return self._wirings[node]


# -- the job as a whole -----------------------------------------------------------------------------------------------


def _advanced(state: JobState, now: float) -> JobState:
    """The job's own phase follows from those of its instances."""
    if state.phase.ended:
        return state
    records = state.instances.values()
    if all(record.phase.gone for record in records):
        return dataclasses.replace(state, phase=follow(JOB, state.phase, JobEvent.GONE), ended_at=now)
    if state.phase is JobPhase.STARTING and not any(record.phase in _BEFORE_READY for record in records):
        return dataclasses.replace(state, phase=follow(JOB, state.phase, JobEvent.READY))
    return state
