"""How much of what it can read again a source lets into the pipeline.

What is under way is done again when the source dies, and waits in memory meanwhile; more of it than keeps every
instance busy gains nothing. So a source keeps about as much unsettled as is settled in a fixed time, or in twice the
shortest time that a record ever took, whichever is longer: the same reasoning as a congestion window of bandwidth
times delay (Cardwell et al., "BBR: Congestion-Based Congestion Control", ACM Queue 14(5), 2016). While the window is
too small to fill the pipeline, records settle faster than that time, so it grows; when queues build up, it stays.
"""

from __future__ import annotations

from collections import deque

from streamer.limits import INTAKE_FLOOR, INTAKE_TIME_S

_MEMORY_S = 5.0
"""The best rate and the shortest delay of this span count, so that a pause does not make the source forget."""
_SPAN_S = 1.0
"""A rate is an average over this span: old frames are acknowledged message by message in bursts, twice a second."""
_INTERVAL_S = 0.1


class Intake:
    """Fed with what is settled; `limit` is the number of records that may be unsettled."""

    def __init__(self, now: float) -> None:
        self.limit = INTAKE_FLOOR
        self._history: deque[tuple[float, int]] = deque([(now, 0)])
        self._rates: deque[tuple[float, float]] = deque()
        self._delays: deque[tuple[float, float]] = deque()
        self._sent: deque[tuple[int, float]] = deque()

    def sent(self, position: int, now: float) -> None:
        """Records up to before `position` have been let in."""
        self._sent.append((position, now))

    def measure(self, floor: int, settled: int, now: float) -> None:
        """All below `floor` are settled; `settled` counts records settled since the start."""
        delay: float | None = None
        while self._sent and self._sent[0][0] <= floor:
            delay = now - self._sent.popleft()[1]
        if delay is not None:
            _keep(self._delays, now, delay, lowest=True)
        history = self._history
        if now - history[-1][0] < _INTERVAL_S:
            return
        history.append((now, settled))
        shortest = self._delays[0][1] if self._delays else 0.0
        while history[1][0] <= now - max(_SPAN_S, shortest):
            history.popleft()
        began, before = history[0]
        _keep(self._rates, now, (settled - before) / (now - began), lowest=False)
        self.limit = max(INTAKE_FLOOR, int(self._rates[0][1] * max(INTAKE_TIME_S, 2 * shortest)))


def _keep(best: deque[tuple[float, float]], now: float, value: float, *, lowest: bool) -> None:
    """Keep the best value of the last span at the front: those behind it are younger and worse."""
    while best and best[0][0] < now - _MEMORY_S:
        best.popleft()
    while best and (best[-1][1] >= value if lowest else best[-1][1] <= value):
        best.pop()
    best.append((now, value))
