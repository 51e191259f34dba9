"""One pass: from a snapshot and what is remembered to a decision for each node, and what is remembered next.

It is a function of its arguments alone: no clock, no chance, no I/O. So it is simulated as it is, the same snapshot
gives the same plan, and a record of the journal can be checked by computing it again. The parts stand in modules of
their own, in the order in which they are used: assessment (figures, learning, outlook, sizing), policy, budget.
"""

from __future__ import annotations

from autoscaler.assessment import Circumstances, assess
from autoscaler.budget import Grant, Wish, share
from autoscaler.decision import Action, Decision, Guard, Inputs, ScalingPlan
from autoscaler.memory import Key, Memory, NodeMemory
from autoscaler.policy import Situation, Verdict, judge
from autoscaler.records import acted
from autoscaler.settings import DEFAULT, Settings
from autoscaler.snapshot import Snapshot
from autoscaler.speed import Speed

_LEAP_TICKS = 12.0


def decide(snapshot: Snapshot, memory: Memory, now: float, settings: Settings = DEFAULT) -> tuple[ScalingPlan, Memory]:
    """A decision for each node of the snapshot, and the memory for the next pass."""
    memory, stepped = _in_time(memory, now, settings)
    elapsed_s = settings.tick_s if memory.at is None or stepped else now - memory.at
    circumstances = Circumstances(now, elapsed_s, settings, snapshot.fallback, stepped)
    alarms = ["the clock has made a leap: no fewer replicas in this pass"] if stepped else []
    if snapshot.failure:
        alarms.append(snapshot.failure)
    judged: list[tuple[str, Situation, Speed | None, Verdict]] = []
    gains: dict[tuple[str, str, str], float] = {}
    for job in snapshot.jobs:
        assessed = assess(job, memory, circumstances)
        judged += [(job.job, situation, speed, judge(situation)) for situation, speed in assessed.situations]
        gains |= {(job.job, source, target): gain for (source, target), gain in assessed.gains.items()}
        alarms += [f"job {job.job}: {_loop_alarm(loop)}" for loop in assessed.loops]
    wishes = [Wish(job_id, situation.view, verdict.wanted) for job_id, situation, _, verdict in judged]
    nodes: dict[Key, NodeMemory] = {}
    decisions = []
    for (job_id, situation, speed, verdict), grant in zip(judged, share(wishes, snapshot.platform), strict=True):
        decision, nodes[job_id, situation.view.name] = _decided(job_id, situation, speed, verdict, grant)
        decisions.append(decision)
    return ScalingPlan(now, tuple(decisions), tuple(alarms)), Memory(now, nodes, gains)


def _in_time(memory: Memory, now: float, settings: Settings) -> tuple[Memory, bool]:
    """A clock that goes back, or leaps, says nothing of how long things have lasted: they are then as old as before."""
    if memory.at is None or 0 <= now - memory.at <= _LEAP_TICKS * settings.tick_s:
        return memory, False
    return memory.shifted(now - memory.at), True


def _loop_alarm(loop: frozenset[str]) -> str:
    return f"the cycle of {', '.join(sorted(loop))} makes at least one message of each: its demand has no bound"


def _decided(
    job: str, s: Situation, speed: Speed | None, verdict: Verdict, grant: Grant
) -> tuple[Decision, NodeMemory]:
    held, wanted = s.held, grant.wanted
    guard, reasons = verdict.guard, [verdict.reason]
    if s.memory.wanted == 0 and held and s.view.pinned is None:
        reasons.insert(0, "the controller woke it for the first message that came")
    if grant.bound is not None:
        guard = Guard.MINIMUM if grant.bound > verdict.wanted else Guard.MAXIMUM
        reasons.insert(0, f"it can have {'no less' if guard is Guard.MINIMUM else 'no more'} than {grant.bound}")
    if grant.short > 0:
        guard = Guard.CAPACITY
        reasons.insert(0, f"it wants {wanted + grant.short} replicas, and the platform has room for {wanted}")
    action = Action.UP if wanted > held else Action.DOWN if wanted < held else Action.HOLD
    kept = acted(s, action, wanted, speed, s.now)
    decision = Decision(
        job=job,
        node=s.view.name,
        at=s.now,
        had=held,
        wanted=wanted,
        action=action,
        recommended=None if s.size is None else s.size.replicas,
        guard=guard,
        formula=None if s.size is None else s.size.formula,
        inputs=_inputs(s, speed),
        reasons=tuple(reasons),
        short=grant.short,
        since=kept.since,
    )
    return decision, kept


def _inputs(s: Situation, speed: Speed | None) -> Inputs:
    ready = s.view.replicas.ready
    handled = s.figures.handled
    return Inputs(
        demand=s.demand,
        true_rate=None if speed is None else speed.rate,
        observed_rate=None if handled is None or not ready else handled / max(1, s.figures.fresh),
        efficiency=1.0 if speed is None or not ready else speed.capacity(ready) / (ready * speed.rate),
        backlog=s.backlog,
        backlog_s=s.backlog_s if s.backlog is not None and speed is not None else None,
        utilisation=None if s.size is None else min(s.size.utilisation, 1e9),
        busy=s.figures.busy,
        start_up_s=s.start_up_s,
        samples=s.figures.samples,
        age_s=s.figures.age_s,
        ready=ready,
        starting=s.view.replicas.starting,
    )
