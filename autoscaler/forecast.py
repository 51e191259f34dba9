"""What a trend, or a season, says of the next minute: forecasts that are only made where they are likely to be right.

Replicas that take long to start come too late for any rule that waits for the load. Where load repeats (each day, each
hour), what came one season ago just after this time of it will come again, so that replicas can be asked for before it
does. The last whole season is compared with the one before it: if they differ by more than a quarter, there is no
season, and nothing is forecast. Where load has risen steadily for a minute it is taken to go on until new replicas are
at work. A forecast only ever adds replicas.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from autoscaler.snapshot import History

_ERROR_MOST = 0.25
TREND_PASSES = 13
"""Rates of so many passes are looked at, a minute at 5 s."""
_LAG = 3
_RISE_LEAST = 0.05
_RISE_MOST = 0.5
_SIGNIFICANT = 2.0


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


def trend(rates: Sequence[float], tick_s: float, window_s: float, ahead_s: float) -> float | None:
    """The rate in `ahead_s` seconds if it goes on rising as it has; None if it has not, by more than chance.

    The slope is the median of differences over three passes each (after Theil and Sen): a jump, which is in few of
    them, is no trend. A rise by less than two standard deviations of a Poisson process in a window is chance.
    """
    if len(rates) < TREND_PASSES:
        return None
    last = rates[-TREND_PASSES:]
    rise = median(later - earlier for earlier, later in zip(last, last[_LAG:], strict=False))
    now = last[-1]
    if rise <= _SIGNIFICANT * math.sqrt(2 * max(now, 0.0) / window_s):
        return None
    coming = min(_RISE_MOST * now, rise / (_LAG * tick_s) * ahead_s)
    return now + coming if coming > _RISE_LEAST * now else None


def _repeats(last: tuple[float | None, ...], before: tuple[float | None, ...]) -> bool:
    pairs = [(now, then) for now, then in zip(last, before, strict=True) if now is not None and then is not None]
    if 2 * len(pairs) < len(last):
        return False
    total = sum(max(now, then) for now, then in pairs)
    return total > 0 and sum(abs(now - then) for now, then in pairs) <= _ERROR_MOST * total
