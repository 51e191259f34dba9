"""The formula: how many replicas carry the demand at the target utilisation, or work off what waits in time.

n = ceil(replicas of capacity max(demand / U, demand + catch-up flow)), where demand is that which is expected when new
replicas are at work. The larger of the two, and not their sum: the
head room that 1/U leaves is there to work off small backlogs, so that only what it cannot do in time asks for more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from autoscaler.decision import Formula
from autoscaler.outlook import Outlook
from autoscaler.settings import Settings
from autoscaler.speed import Speed

_ROUNDING = 1e-6
_TOLERATED_S = 1.0
"""Backlogs of less than so many seconds of demand come and go with noise."""


@dataclass(frozen=True, slots=True)
class Size:
    """`expected`: the demand, in messages per second. `steady`: for the demand alone. `replicas`: with what waits.
    `utilisation`: demand over the capacity of `held`."""

    expected: float
    steady: int
    replicas: int
    formula: Formula
    utilisation: float


def size(node: str, speed: Speed, held: int, outlook: Outlook, settings: Settings, demand: float) -> Size:
    steady_capacity = demand / settings.utilisation
    catch_up = max(0.0, outlook.catch_up.get(node, 0.0) - _TOLERATED_S * demand / settings.catch_up_s)
    needed = max(steady_capacity, demand + catch_up)
    exact = speed.growing_from(held, needed)
    spares = settings.spares if demand > 0.0 else 0
    steady = _up(speed.growing_from(held, steady_capacity)) + spares
    replicas = max(_up(exact), steady)
    capacity = speed.capacity(held)
    formula = Formula(
        text="replicas whose capacity is max(expected_demand / utilisation, expected_demand + catch_up)",
        terms={
            "expected_demand": demand,
            "utilisation": settings.utilisation,
            "catch_up": catch_up,
            "backlog_at_ready": outlook.at_ready.get(node, 0.0),
            "catch_up_s": settings.catch_up_s,
            "rate": speed.rate,
            "contention": speed.contention,
            "highest_utilisation": settings.utilisation + settings.band,
            "late_s": settings.late_s,
            "spares": spares,
        },
        value=exact if math.isfinite(exact) else -1.0,
        replicas=replicas,
    )
    return Size(
        expected=demand,
        steady=steady,
        replicas=replicas,
        formula=formula,
        utilisation=demand / capacity if capacity > 0 else (math.inf if demand > 0 else 0.0),
    )


_MOST = 1_000_000


def _up(exact: float) -> int:
    return math.ceil(exact - _ROUNDING) if exact < _MOST else _MOST
