"""A decision in plain words: why so many replicas, what would make it one more, and since when.

Everything said here comes out of the record itself, so that it can be said of a decision of last week as well as of
the one in force, by whoever has the journal. What is not known is said to be unknown.
"""

from __future__ import annotations

from autoscaler.decision import Action, Decision, Guard
from autoscaler.speed import Speed

_ONE_MORE_IS_UP_TO = {
    Guard.PINNED: "a person: `streamer scale JOB {node} auto` gives the node back",
    Guard.SINGLE: "nothing: such a node is one instance",
    Guard.MAXIMUM: "a larger maxStatelessCount (or maxReplicas): the demand is there already",
    Guard.CAPACITY: "more room on the platform: the demand is there already",
    Guard.NO_GAIN: "a gain: more replicas have added next to nothing, and it is tried again after ten minutes",
    Guard.DOWNSTREAM: "room behind it: the node that is full grows first",
    Guard.FAILING: "replicas that come to work: those that were started do not",
    Guard.LOOP: "a cycle that makes less than one message of each",
    Guard.REPLACING: "the end of the replacement of its instances",
    Guard.UNKNOWN: "samples: too little is known of it",
}


def explain(decision: Decision, now: float, most: int | None = None) -> str:
    """A few lines for a person. `most`: replicas that the node may have, None without a bound."""
    lines = [_headline(decision, now)]
    lines += [f"  because {reason}" for reason in decision.reasons]
    lines += [f"  {line}" for line in (_measured(decision), _computed(decision), _one_more(decision, most)) if line]
    return "\n".join(lines)


def _headline(decision: Decision, now: float) -> str:
    since = f"for {_duration(max(0.0, now - decision.since))}"
    if decision.action is Action.HOLD:
        return f"{decision.node}: {_replicas(decision.wanted)}, {since}"
    return f"{decision.node}: {_replicas(decision.wanted)} instead of {decision.had}, {since}"


def _measured(decision: Decision) -> str:
    known = decision.inputs
    if known.demand is None:
        return f"measured: its demand is unknown; {known.ready} ready, {known.starting} starting"
    rate = "unknown" if known.true_rate is None else f"{_number(known.true_rate)} per busy second"
    backlog = "an unknown number" if known.backlog is None else _number(known.backlog)
    return (
        f"measured: {_number(known.demand)} messages/s arrive, {backlog} wait; a replica handles {rate}; "
        f"{known.ready} ready, {known.starting} starting"
    )


def _computed(decision: Decision) -> str:
    formula = decision.formula
    if formula is None:
        return ""
    terms = ", ".join(f"{name} = {_number(value)}" for name, value in formula.terms.items())
    return f"computed: {formula.replicas} {formula.text}, with {terms}"


def _one_more(decision: Decision, most: int | None) -> str:
    more = decision.wanted + 1
    if decision.guard in _ONE_MORE_IS_UP_TO:
        return f"{more} would take {_ONE_MORE_IS_UP_TO[decision.guard].format(node=decision.node)}"
    formula = decision.formula
    if formula is None:
        return ""
    speed = Speed(formula.terms["rate"], formula.terms["contention"])
    demand = formula.terms["highest_utilisation"] * speed.capacity(decision.wanted)
    backlog = formula.terms["late_s"]
    bound = "" if most is None or more <= most else "a larger maxStatelessCount (or maxReplicas), and "
    return (
        f"{more} would take {bound}more than {_number(demand)} messages/s, "
        f"or more than {_number(backlog)} s of work waiting"
    )


def _replicas(count: int) -> str:
    return "1 replica" if count == 1 else f"{count} replicas"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
