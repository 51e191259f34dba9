"""The rule turned round: at which demand the decision that is in force would become another one.

The formula and the dead band stand in the record of a decision with the figures that went into them, so this can be
asked of any decision, also of one that another process made a week ago. What cannot be told is None.
"""

from __future__ import annotations

from autoscaler.decision import Decision, Guard
from autoscaler.speed import Speed

_NO_DEMAND_CHANGES = (Guard.PINNED, Guard.SINGLE)
_TERMS = frozenset({"rate", "contention", "utilisation", "highest_utilisation"})


def more_above(decision: Decision) -> float | None:
    """Messages per second above which one replica more is asked for."""
    speed = _speed(decision)
    if speed is None or decision.formula is None:
        return None
    return decision.formula.terms["highest_utilisation"] * speed.capacity(decision.wanted)


def fewer_below(decision: Decision) -> float | None:
    """Messages per second below which, for the whole delay of scale-in, one replica less would do.

    One more than the formula asks for is left as it is while the node is as busy as the dead band allows.
    """
    speed = _speed(decision)
    if speed is None or decision.formula is None or decision.wanted < 2:
        return None
    terms, replicas = decision.formula.terms, decision.wanted
    target = terms["utilisation"]
    lowest = 2 * target - terms["highest_utilisation"]
    one_less = min(target * speed.capacity(replicas - 1), lowest * speed.capacity(replicas))
    return max(one_less, target * speed.capacity(replicas - 2))


def _speed(decision: Decision) -> Speed | None:
    formula = decision.formula
    if formula is None or decision.guard in _NO_DEMAND_CHANGES or not decision.wanted:
        return None
    return Speed(formula.terms["rate"], formula.terms["contention"]) if set(formula.terms) >= _TERMS else None
