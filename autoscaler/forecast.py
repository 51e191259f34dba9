"""What a season says of the next minute: a forecast that is only made where it would have been right before.

Replicas that take long to start come too late for any rule that waits for the load. Where load repeats (each day, each
hour), what came one season ago just after this time of it will come again, so that replicas can be asked for before it
does. The last whole season is compared with the one before it: if they differ by more than a quarter, there is no
season, and nothing is forecast. A forecast only ever adds replicas.
"""

from __future__ import annotations

import math

from autoscaler.snapshot import History

_ERROR_MOST = 0.25


def forecast(history: History | None, season_s: float | None, ahead_s: float) -> float | None:
    """The highest rate to be expected within `ahead_s` seconds, in messages per second; None if nothing can be said."""
    if history is None or season_s is None:
        return None
    rates, season = history.rates, round(season_s / history.step_s)
    if season < 1 or len(rates) < 2 * season or not _repeats(rates[-season:], rates[-2 * season : -season]):
        return None
    begin = len(rates) - season
    coming = rates[begin : begin + math.ceil(ahead_s / history.step_s) + 1]
    return max((rate for rate in coming if rate is not None), default=None)


def _repeats(last: tuple[float | None, ...], before: tuple[float | None, ...]) -> bool:
    pairs = [(now, then) for now, then in zip(last, before, strict=True) if now is not None and then is not None]
    if 2 * len(pairs) < len(last):
        return False
    total = sum(max(now, then) for now, then in pairs)
    return total > 0 and sum(abs(now - then) for now, then in pairs) <= _ERROR_MOST * total
