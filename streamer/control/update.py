"""How a job becomes another version of itself while it goes on: instance by instance, and back again if that fails.

New code cannot be told to an instance that runs; its next life brings it. So instances are renewed one at a time: each
leaves as in a scale-down, its name, its place and its state stay, and its next life is of the new *generation*. The one
after it is touched only when this life is at work and has lived for a while, so a version that cannot live costs one
instance for some seconds, and never the node. Until the last one has come so far, any death that an instance of the new
generation has brought about itself takes all of them back, to the plan that the job has still; one that somebody else
has killed is started once more. Replacing all at once would be faster, and would have nobody at work when it fails.

Old and new code are at work side by side meanwhile, so flows come in two steps: what is new is added before the code
that may name it, and once no message goes by the flows before; what is to be gone goes after the code that named it.
All of it is in the job's records, so another controller goes on from there. One update at a time: a second one is
refused, as it would have to say what "before" is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from streamer import limits
from streamer.control import deaths, flows, placing
from streamer.control.events import Effect, Exited, FlowsSet, KillInstance, UpdateWanted
from streamer.control.lifecycle import InstancePhase, JobPhase
from streamer.control.scaling import check
from streamer.control.state import Answer, InstanceRecord, JobState, Proposal, Update, Updated, UpdateStage
from streamer.errors import FlowsError, ScaleError, UpdateError
from streamer.plan.change import FlowsChange, changed
from streamer.plan.compile import Plan
from streamer.plan.difference import difference, renewed
from streamer.plan.versions import FlowVersion

_GOING_ON = (JobPhase.STARTING, JobPhase.RUNNING)
_WAITING = (InstancePhase.STARTING, InstancePhase.RUNNING, InstancePhase.DRAINING, InstancePhase.RESTARTING)
"""Phases in which an instance has a life before it that can be of another generation."""
_SETTLE_S = 10.0
"""Before its code comes, an update waits at most this long for messages of the flows before to be settled."""
_DEATHS = 2
"""An update is taken back when somebody else has killed an instance of it so often in a row, with nothing done."""


def wished(state: JobState, event: UpdateWanted, now: float) -> JobState:
    """The state on its way to the plan that somebody wants, or with the reason why it cannot be."""
    if event.number <= state.wish:
        return state
    state = dataclasses.replace(state, wish=event.number)
    try:
        update = begun(state, event.plan, event.number, now)
    except UpdateError as error:
        return _told(state, Updated(event.number, state.generation, f"{error}\n  {error.advice}", refused=True))
    if update is None:
        return _told(state, Updated(event.number, state.generation))
    return dataclasses.replace(state, update=update)


def begun(state: JobState, plan: Plan, number: int, now: float) -> Update | None:
    """The way to this plan; None if the job is there. Raises UpdateError that lists all that stands against it."""
    different = difference(state.plan, plan)
    problems = list(different.refused)
    if not problems:
        problems += _flows_problems(state, plan)
    if problems:
        raise UpdateError(f"job {state.job} cannot become this while it goes on:\n  " + "\n  ".join(problems))
    ways = _change(state.plan.current, plan.current.flows, plan.current.default)
    if not (different.renewed or different.counted or ways):
        return None
    _check_moment(state)
    now_in_force = state.plan.current
    return Update(
        number,
        1 + max(state.generation, *(one.generation for one in state.updates), 0),
        plan,
        different.renewed,
        now_in_force.flows,
        now_in_force.default,
        now,
    )


def _check_moment(state: JobState) -> None:
    """Raises UpdateError."""
    if state.phase not in _GOING_ON:
        raise UpdateError(
            f"job {state.job} is {state.phase}: it stays as it is",
            remedy="Only a job that is going on can be updated: `streamer ps` lists them.",
        )
    if state.update is not None:
        raise UpdateError(
            f"another update of job {state.job} is under way: {progress(state)}",
            remedy="Give this one when that one has ended: `streamer status JOB` tells.",
        )
    if state.proposal is not None:
        raise UpdateError(
            f"a change of the flows of job {state.job} is under way",
            remedy="Give the update again in a moment.",
        )


def _flows_problems(state: JobState, plan: Plan) -> list[str]:
    change = _change(state.plan.current, plan.current.flows, plan.current.default)
    if change is None or state.update is not None or state.proposal is not None:
        return []
    try:
        flows.proposed(state, change)
    except FlowsError as error:
        return [str(error)] if state.phase in _GOING_ON else []
    return []


def _change(before: FlowVersion, texts: Mapping[str, str], default: str) -> FlowsChange | None:
    """What makes these flows of those; None if they are the same."""
    added = {name: text for name, text in texts.items() if before.flows.get(name) != text}
    gone = {name: None for name in before.flows if name not in texts}
    if not added and not gone and default == before.default:
        return None
    return FlowsChange({**added, **gone}, default)


# -- what happens meanwhile -------------------------------------------------------------------------------------------


def is_of(state: JobState, record: InstanceRecord) -> bool:
    """Whether this life of an instance came by the update that is under way."""
    return state.update is not None and record.generation == state.update.generation


def died(state: JobState, record: InstanceRecord, exit_: Exited) -> JobState:
    """An instance of the update has died: either somebody else's doing, or the end of the update."""
    assert state.update is not None
    if state.update.undone:
        return state.having(_unblamed(record, record.exited_at))
    if not deaths.is_its_own(exit_) and record.deaths < _DEATHS:
        return state
    told = exit_.handler_error.rstrip("\n")
    words = f":\n{told}" if told else deaths.last_words(record, exit_)
    why = f"instance {record.instance} of the update died {deaths.describe_code(exit_.code)}{words}"
    return _undone(state.having(_unblamed(record, record.exited_at)), why, record.exited_at)


def left(state: JobState, instance: str, now: float) -> JobState:
    """A renewing instance is gone, in whatever way: its next life can begin."""
    return state.having(_unblamed(state.instances[instance], now))


def flows_wished(state: JobState, event: FlowsSet, now: float) -> JobState:
    """The flows are the update's as long as it is under way."""
    if state.update is None or event.number <= state.wish:
        return flows.wished(state, event, now)
    why = f"an update of job {state.job} is under way: {progress(state)}\n  Give the change again when it has ended."
    answers = (*state.answers, Answer(event.number, 0, why))[-limits.FLOWS_ANSWERS_KEPT :]
    return dataclasses.replace(state, wish=event.number, answers=answers)


def ended_with_the_job(state: JobState) -> JobState:
    """A job that comes to its end stays as it is."""
    if state.update is None or state.phase in _GOING_ON:
        return state
    why = state.update.undone or f"job {state.job} is {state.phase}"
    return _told(state, Updated(state.update.number, state.update.generation, why))


def _unblamed(record: InstanceRecord, now: float) -> InstanceRecord:
    return dataclasses.replace(record, restart_at=now, deaths=0, quick_deaths=0, leave_deadline=None)


def _undone(state: JobState, why: str, now: float) -> JobState:
    assert state.update is not None
    update = dataclasses.replace(state.update, undone=why)
    return dataclasses.replace(state, update=_at(update, UpdateStage.RENEWING, now))


# -- one step after the other -----------------------------------------------------------------------------------------


def advanced(state: JobState, now: float) -> tuple[JobState, tuple[Effect, ...]]:
    """The job as far on its way as it can be by now; flows that are proposed go their own way beside it."""
    effects: list[Effect] = []
    if state.update is not None and state.update.found_at is None:
        state = _in(state, dataclasses.replace(state.update, found_at=now))
    while (update := state.update) is not None:
        before = state = flows.advanced(state, now)
        match update.stage:
            case UpdateStage.ADDING:
                state = _adding(state, update, now)
            case UpdateStage.SETTLING:
                if len(state.plan.versions) == 1 or now >= update.since + _SETTLE_S:
                    state = _in(state, _at(update, UpdateStage.RENEWING, now))
            case UpdateStage.RENEWING:
                state, kills = _renewing(state, update, now)
                effects += kills
            case UpdateStage.JOINING:
                state = _joining(state, update, now)
        if state is before:
            break
    return state, tuple(effects)


def _adding(state: JobState, update: Update, now: float) -> JobState:
    """Propose the flows that are not there yet; those that cannot stand beside the old ones come with the others."""
    if update.asked:
        if state.proposal is not None:
            return state
        state, error = _answer(state, update)
        if error:
            return _undone(state, error, now)
        return _in(state, _at(update, UpdateStage.SETTLING, now))
    target = update.plan.current.flows
    added = {name: text for name, text in target.items() if name not in update.before}
    proposed = _proposed(state, update, FlowsChange(added), now) if added else None
    return proposed or _in(state, _at(update, UpdateStage.RENEWING, now))


def _joining(state: JobState, update: Update, now: float) -> JobState:
    """Propose the flows that are to be there in the end; once they are in force, so is the update."""
    if state.proposal is not None:
        return state
    error = ""
    if update.asked:
        state, error = _answer(state, update)
    texts, default = update.plan.current.flows, update.plan.current.default
    if update.undone:
        texts, default = update.before, update.default_before
    change = _change(state.plan.current, texts, default)
    if change is not None and not error:
        try:
            return _asked(state, update, flows.proposed(state, change), now)
        except FlowsError as refused:
            error = str(refused)
    if error and not update.undone:
        return _undone(state, error, now)
    if update.undone:
        more = f"\nThe flows stay as they are now: {error}" if error else ""
        return _told(state, Updated(update.number, update.generation, f"{update.undone}{more}"))
    return _there(state, update)


def _there(state: JobState, update: Update) -> JobState:
    """What the update wanted is what the job is from now on. Pins that are out of bounds by it are released."""
    nodes = update.plan.nodes
    pins = dict(state.pins)
    for name in difference(state.plan, update.plan).counted:
        pins[name] = _pin_within(state, update.plan, name)
    plan = renewed(state.plan, nodes, counted=True)
    state = dataclasses.replace(state, plan=plan, generation=update.generation, pins=pins)
    return _told(state, Updated(update.number, update.generation))


def _pin_within(state: JobState, plan: Plan, name: str) -> int | None:
    pin = state.pins.get(name)
    if pin is None:
        return None
    try:
        check(plan.nodes[name], pin)
    except ScaleError:
        return None
    return pin


def _proposed(state: JobState, update: Update, change: FlowsChange, now: float) -> JobState | None:
    try:
        changed(state.plan, change)
        plan = flows.proposed(state, change)
    except FlowsError:
        return None
    return _asked(state, update, plan, now)


def _asked(state: JobState, update: Update, plan: Plan | None, now: float) -> JobState:
    assert plan is not None, "a change that changes nothing is not asked for"
    proposal = Proposal(update.number, plan, now)
    update = dataclasses.replace(update, asked=True)
    return dataclasses.replace(state, update=update, proposal=proposal, wired=state.wired + 1)


def _answer(state: JobState, update: Update) -> tuple[JobState, str]:
    """What became of the flows that the update has proposed: why not, or ''. The answer is nobody else's."""
    own = [answer for answer in state.answers if answer.number == update.number]
    others = tuple(answer for answer in state.answers if answer.number != update.number)
    return dataclasses.replace(state, answers=others), own[-1].error if own else ""


# -- renewing ---------------------------------------------------------------------------------------------------------


def _renewing(state: JobState, update: Update, now: float) -> tuple[JobState, list[Effect]]:
    """One instance at a time, each when the one before it has shown that it can live."""
    state = _unplaced_turned(state, update)
    for record in _records(state, update):
        if record.renewing or (update.undone and record.phase is InstancePhase.RESTARTING):
            return state, []
        if is_of(state, record) is not bool(update.undone) and not _has_come(record, update, now):
            return _overdue(state, update, record, now)
    waiting = next((r for r in _records(state, update) if is_of(state, r) is bool(update.undone)), None)
    if waiting is None:
        return _in(state, _at(update, UpdateStage.JOINING, now)), []
    partition = state.partitions.get(waiting.node)
    if partition is not None and (partition.paused or partition.to is not None):
        return state, []
    deadline = now + limits.DRAIN_S if waiting.phase.living else None
    waiting = dataclasses.replace(waiting, renewing=True, leave_deadline=deadline)
    if waiting.phase is InstancePhase.RESTARTING:
        waiting = _unblamed(waiting, now)
    return state.having(waiting), []


def _unplaced_turned(state: JobState, update: Update) -> JobState:
    """What no machine has room for has no life to lose, and proves nothing: it is of the generation that is wanted."""
    wanted = state.generation if update.undone else update.generation
    for record in _all_records(state, update):
        if placing.is_unplaced(state, record) and record.generation != wanted:
            state = state.having(dataclasses.replace(record, generation=wanted))
    return state


def _records(state: JobState, update: Update) -> Iterable[InstanceRecord]:
    """Those that are to be renewed, one after the other."""
    return [record for record in _all_records(state, update) if not placing.is_unplaced(state, record)]


def _all_records(state: JobState, update: Update) -> Iterable[InstanceRecord]:
    """Instances of the nodes of the update that go on, in the order in which they are renewed; the way back is the
    other way round, for the same reason."""
    places = {node: at for at, node in enumerate(reversed(update.renewed) if update.undone else update.renewed)}
    records = [r for r in state.instances.values() if r.node in places and r.phase in _WAITING and not r.leaving]
    return sorted(records, key=lambda record: (places[record.node], record.index))


def _has_come(record: InstanceRecord, update: Update, now: float) -> bool:
    """Whether this life is to be trusted: one of a generation that the job has had, from its first word on."""
    if record.ready_at is None or not record.phase.living:
        return False
    if update.undone:
        return True
    wait_s = limits.UPDATE_PROVEN_S if record.progressed else limits.UPDATE_PROBATION_S
    return now >= record.ready_at + wait_s


def _overdue(state: JobState, update: Update, record: InstanceRecord, now: float) -> tuple[JobState, list[Effect]]:
    """An instance of the update is given so much time to come to work, and no more."""
    since = max(record.started_at, now if update.found_at is None else update.found_at)
    late = record.phase.living and record.ready_at is None and now >= since + limits.UPDATE_READY_S
    if not late or update.undone:
        return state, []
    why = f"instance {record.instance} of the update was not at work after {limits.UPDATE_READY_S:g} s"
    return _undone(state, why, now), [KillInstance(record.instance, record.epoch)]


def _at(update: Update, stage: UpdateStage, now: float) -> Update:
    return dataclasses.replace(update, stage=stage, since=now, asked=False)


def _in(state: JobState, update: Update) -> JobState:
    return dataclasses.replace(state, update=update)


def _told(state: JobState, updated: Updated) -> JobState:
    over = None if state.update is None or state.update.number == updated.number else state.update
    return dataclasses.replace(state, update=over, updates=(*state.updates, updated)[-limits.FLOWS_ANSWERS_KEPT :])


# -- for people -------------------------------------------------------------------------------------------------------


def counts(state: JobState, update: Update) -> tuple[int, int]:
    """How many instances are where the update wants them, or had them before if it is undone; and of how many."""
    records = list(_records(state, update))
    done = sum(is_of(state, r) is not bool(update.undone) and not r.renewing for r in records)
    return done, len(records)


def outcome(updates: Sequence[Updated]) -> str:
    """What became of the last update that was begun; '' if there was none."""
    last = next((one for one in reversed(updates) if not one.refused), None)
    if last is None:
        return ""
    return f"rolled back: {last.error}" if last.error else f"done, generation {last.generation}"


def progress(state: JobState) -> str:
    """One line on the update that is under way; '' if there is none."""
    update = state.update
    if update is None:
        return ""
    done, of = counts(state, update)
    at = f"{'rolling back: ' if update.undone else ''}{update.stage}"
    return f"{at}, {done} of {of}" if update.stage is UpdateStage.RENEWING else at
