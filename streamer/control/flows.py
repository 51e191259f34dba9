"""How the flows of a job change while it goes on: a version is proposed, then in force, and at last over.

A message that comes by a version of which its receiver knows nothing could not be handled, and an instance that has
come to its end would not take it. So a change has two phases. First every instance is told of the version, and says
that it knows it, and with that, that it does not come to its end before the inputs that it brings. Only then it is in
force: roots take it from the next moment on. If an instance ends before it has heard, or does not answer, the change is
taken back, and no message has ever seen it. Asking only those whose edges change would be faster, and wrong: a message
may name any flow at any node. Who is just being started is not waited for: it has no neighbours yet, and is told of
them only once it knows the flows.

A canary comes by the same way, and is taken by a share of the roots only. Another share, or all, is a word to each that
nobody need answer first. A rollback takes the share away at once, and proposes a version with the flows of before.

A version is over when no instance holds anything of it. One sample of each does not show that, for the reason that
`endings` gives for cycles: so there must be a moment after which all have said it twice. Dead letters keep the version
that they came by, to be sent in again by it; but not where they would keep the flows from changing any more.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from streamer import limits
from streamer.control import topology
from streamer.control.events import FlowsSet
from streamer.control.lifecycle import InstancePhase, JobPhase
from streamer.control.state import Answer, Clear, InstanceRecord, JobState, Proposal
from streamer.errors import FlowsError
from streamer.plan.assignment import Role
from streamer.plan.change import FlowsChange, FlowsRollback, new_edges, with_change, without_versions
from streamer.plan.compile import Plan

_GOING_ON = (JobPhase.STARTING, JobPhase.RUNNING)
_NAMES_TOLD = 5
_CANARY_VERSIONS = 2
"""Its own, and the one by which a rollback ends it."""


def wished(state: JobState, event: FlowsSet, now: float) -> JobState:
    """The state with the version proposed that somebody wants, or with the reason why it cannot be.

    Another share of a canary needs no proposal: everybody knows its version.
    """
    if event.number <= state.wish:
        return state
    state = dataclasses.replace(state, wish=event.number)
    try:
        plan = proposed(state, event.change, event.at)
    except FlowsError as error:
        return _answered(state, Answer(event.number, 0, f"{error}\n  {error.advice}"))
    if plan is None:
        return _answered(state, Answer(event.number, state.plan.newest.number))
    state = dataclasses.replace(state, wired=state.wired + 1)
    if plan.newest.number == state.plan.newest.number:
        return _answered(dataclasses.replace(state, plan=plan), Answer(event.number, plan.newest.number))
    proposal = Proposal(event.number, plan, now)
    return dataclasses.replace(state, plan=_without_share(state.plan), proposal=proposal)


def _without_share(plan: Plan) -> Plan:
    """No more roots take its canary: it is about to be followed by a version for all."""
    canary = plan.canary
    return plan if canary is None else dataclasses.replace(plan, canary=dataclasses.replace(canary, parts=0))


def proposed(state: JobState, change: FlowsChange | FlowsRollback, at: float | None = None) -> Plan | None:
    """The plan that comes of this change, with a new version or another share; None if it changes nothing.

    Raises FlowsError if the change is wrong, or cannot be made now.
    """
    plan = with_change(state.plan, change, at)
    if plan is state.plan:
        return None
    _check_moment(state)
    if plan.newest.number != state.plan.newest.number:
        _check_room(state, plan)
    _check_ends(state, (target for _, target in new_edges(state.plan, plan)))
    return plan


def _check_moment(state: JobState) -> None:
    if state.phase not in _GOING_ON:
        raise FlowsError(
            f"job {state.job} is {state.phase}: its flows stay as they are",
            remedy="Only the flows of a job that is going on can be changed: `streamer ps` lists them.",
        )
    if state.proposal is not None:
        raise FlowsError(
            f"another change of the flows of job {state.job} is under way",
            remedy="Give this one again in a moment: every instance is being told of the other one.",
        )


def _check_room(state: JobState, plan: Plan) -> None:
    """A canary leaves room for the version that may have to follow it."""
    alive = len(state.plan.versions)
    if alive + (1 if plan.canary is None else _CANARY_VERSIONS) > limits.FLOW_VERSIONS_MAX:
        oldest = state.plan.versions[0].number
        most = "" if plan.canary is None else ", and a canary needs two more, one to go back"
        raise FlowsError(
            f"{alive} versions of the flows are alive (FLOW_VERSIONS_MAX is {limits.FLOW_VERSIONS_MAX}){most}: "
            f"messages of version {oldest} are still held by {_named(_holders(state, oldest)) or 'dead letters'}",
            remedy="Give the change again when they are settled: `streamer flows show JOB` lists the live versions.",
        )


def advanced(state: JobState, now: float) -> JobState:
    """The proposed version in force if all know it, or taken back; versions of which nothing is left are over."""
    if state.proposal is not None:
        state = _decided(state, state.proposal, now)
        if state.proposal is None:
            return state
    return _retired(state, now) if state.phase in _GOING_ON and len(state.plan.versions) > 1 else state


# -- proposed, and in force -------------------------------------------------------------------------------------------


def _decided(state: JobState, proposal: Proposal, now: float) -> JobState:
    if state.phase not in _GOING_ON:
        return _taken_back(state, proposal, f"job {state.job} is {state.phase}")
    records = state.instances.values()
    ignorant = [record for record in records if _must_hear(state, record) and record.wired < state.wired]
    fed = {target for _, target in new_edges(state.plan, proposal.plan)}
    late = [r for r in records if r.node in fed and _comes_to_its_end(r) and not r.leaving and r.wired < state.wired]
    if late:
        return _taken_back(state, proposal, f"{_named(late)} had come to an end before the flows could lead there")
    if not ignorant:
        return _in_force(state, proposal)
    if now >= proposal.since + limits.FLOWS_S:
        return _taken_back(state, proposal, f"{_named(ignorant)} did not hear of it in {limits.FLOWS_S:g} s")
    return state


def _in_force(state: JobState, proposal: Proposal) -> JobState:
    before = state.plan
    state = dataclasses.replace(state, plan=proposal.plan, proposal=None, wired=state.wired + 1)
    state = topology.rewired(state, before)
    return _answered(state, Answer(proposal.number, proposal.plan.newest.number))


def _taken_back(state: JobState, proposal: Proposal, why: str) -> JobState:
    state = dataclasses.replace(state, proposal=None, wired=state.wired + 1)
    return _answered(state, Answer(proposal.number, 0, f"the flows stay as they are: {why}"))


def _must_hear(state: JobState, record: InstanceRecord) -> bool:
    """Those that are dead are told by their next assignment, and those that have ended get nothing any more."""
    return record.phase.living and record.phase is not InstancePhase.ENDED and not _is_fresh(state, record)


def _is_fresh(state: JobState, record: InstanceRecord) -> bool:
    """It was started by this controller, has not been heard, and so was told of no neighbours: it has no message.

    A node that makes messages of its own may have some all the same.
    """
    passes_on = state.node_of(record).role in (Role.STATELESS, Role.SINK)
    return passes_on and record.phase.living and not record.heard and record.wired > 0


def _comes_to_its_end(record: InstanceRecord) -> bool:
    ends = (InstancePhase.DRAINING, InstancePhase.ENDED, InstancePhase.LEFT, InstancePhase.COMPLETED)
    return record.phase in ends


def _check_ends(state: JobState, fed: Iterable[str]) -> None:
    """Raises FlowsError if a node that is to get an input has come to its end."""
    names = frozenset(fed)
    completed = (InstancePhase.COMPLETED, InstancePhase.LEFT, InstancePhase.ENDED)
    over = {record.node for record in state.instances.values() if record.phase in completed} | state.ended
    if ended := sorted(names & over):
        raise FlowsError(
            f"node {', '.join(ended)} has completed: no flow can lead there any more",
            remedy="Lead the flows around it, or start the job anew with these flows.",
        )


def _answered(state: JobState, answer: Answer) -> JobState:
    return dataclasses.replace(state, answers=(*state.answers, answer)[-limits.FLOWS_ANSWERS_KEPT :])


def _named(records: Iterable[InstanceRecord]) -> str:
    names = sorted(record.instance for record in records)
    more = f" and {len(names) - _NAMES_TOLD} more" if len(names) > _NAMES_TOLD else ""
    return ", ".join(names[:_NAMES_TOLD]) + more


# -- over -------------------------------------------------------------------------------------------------------------


def _retired(state: JobState, now: float) -> JobState:
    """The oldest versions are over once all have said twice, since all had said it, that they hold nothing of them.

    Not while another one is proposed: one thing at a time, and the next moment is near.
    """
    oldest = min((_oldest(state, record) for record in state.instances.values()), default=0)
    first = state.plan.versions[0].number
    below = min(oldest, state.plan.current.number)
    if state.letters_hold is not None:
        full = len(state.plan.versions) + _CANARY_VERSIONS > limits.FLOW_VERSIONS_MAX
        below = min(below, max(state.letters_hold, first + 1) if full else state.letters_hold)
    if below <= first:
        return state if state.clear is None else dataclasses.replace(state, clear=None)
    if state.clear is None or below < state.clear.below:
        return dataclasses.replace(state, clear=Clear(below, now))
    below, since = state.clear.below, state.clear.since
    holders = [record for record in state.instances.values() if record.phase.living and record.heard]
    if state.proposal is not None or not all(record.said_before > since for record in holders):
        return state
    before = state.plan
    state = dataclasses.replace(state, plan=without_versions(before, below), wired=state.wired + 1, clear=None)
    return topology.rewired(state, before)


def _oldest(state: JobState, record: InstanceRecord) -> int:
    """The oldest version of which anything can come from this instance: 0 if that is not known.

    Who makes no messages of its own holds nothing while it is dead. A source has records to send once more.
    """
    if record.phase.living and record.heard and record.sample is not None:
        return record.sample.oldest_version
    dead = record.phase is InstancePhase.RESTARTING and state.node_of(record).role in (Role.STATELESS, Role.SINK)
    return state.plan.current.number if record.phase.gone or dead or _is_fresh(state, record) else 0


def _holders(state: JobState, version: int) -> list[InstanceRecord]:
    return [record for record in state.instances.values() if _oldest(state, record) <= version]
