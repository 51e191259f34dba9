"""How much of what it can read again a source lets into the pipeline.

What is under way is done again when the source dies, and waits in memory meanwhile; more of it than keeps every
instance busy gains nothing. So a source keeps about as much unsettled as is settled in a fixed time, or in twice the
shortest time that a record ever took, whichever is longer: the same reasoning as a congestion window of bandwidth
times delay (Cardwell et al., "BBR: Congestion-Based Congestion Control", ACM Queue 14(5), 2016). While the window is
too small to fill the pipeline, records settle faster than that time, so it grows; when queues build up, it stays.

A full window delays its own records, so how long one takes by itself can only be seen with fewer before it: every few
seconds the window is a quarter until a record has come through. Without that, each estimate would contain the queue
that the last one made, and the window would double every few seconds for as long as the stream goes on.

A node that settles with its checkpoints is silent in between, and then settles all at once. The shortest delay says
nothing there, since it is that of whoever came last. So the window also holds half as much again as comes between two
such bursts: it fills the time from one to the next, and grows until it does.
"""

from __future__ import annotations

from collections import deque

from streamer.limits import INTAKE_FLOOR, INTAKE_TIME_S

_MEMORY_S = 5.0
"""The best rate of this span counts, so that a pause does not make the source forget."""
_PROBE_S = 5.0
"""The time between two looks at the delay of an emptier pipeline; at least ten such delays, since a look costs one."""
_PROBE_PART = 4
_SPAN_S = 1.0
"""A rate is an average over this span: old frames are acknowledged message by message in bursts, twice a second."""
_INTERVAL_S = 0.1
_SILENCE_S = 0.05
"""What is settled after so long a silence begins a burst."""
_PER_BURST = 1.5


class Intake:
    """Fed with what is settled; `limit` is the number of records that may be unsettled."""

    def __init__(self, now: float) -> None:
        self._window = INTAKE_FLOOR
        self._shortest = 0.0
        self._settled_at = self._burst_at = now
        self._pause = self._period = 0.0
        self._history: deque[tuple[float, int]] = deque([(now, 0)])
        self._rates: deque[tuple[float, float]] = deque()
        self._sent: deque[tuple[int, float]] = deque()
        self._probe_at = now + _PROBE_S
        self._probing = False

    @property
    def limit(self) -> int:
        return max(INTAKE_FLOOR, self._window // _PROBE_PART if self._probing else self._window)

    def sent(self, position: int, now: float) -> None:
        """Records up to before `position` have been let in."""
        self._sent.append((position, now))

    def measure(self, floor: int, settled: int, now: float) -> None:
        """All below `floor` are settled; `settled` counts records settled since the start."""
        if self._sent and self._sent[0][0] <= floor:
            self._beat(self._sent[0][1], now)
        while self._sent and self._sent[0][0] <= floor:
            self._came_through(self._sent.popleft()[1], now)
        if not self._probing and now >= self._probe_at:
            self._probing, self._probe_at = True, now
        history = self._history
        if now - history[-1][0] < _INTERVAL_S:
            return
        history.append((now, settled))
        while history[1][0] <= now - max(_SPAN_S, self._shortest, self._period):
            history.popleft()
        began, before = history[0]
        self._rate(now, (settled - before) / (now - began))
        self._window = int(self._rates[0][1] * max(INTAKE_TIME_S, 2 * self._shortest, _PER_BURST * self._period))

    def _beat(self, oldest_sent_at: float, now: float) -> None:
        """Something is settled: does that come in bursts? Of two pauses the shorter counts: one is an accident."""
        if now - self._settled_at > _SILENCE_S:
            pause = now - max(self._burst_at, oldest_sent_at)
            self._period, self._pause = min(self._pause, pause), pause
            self._burst_at = now
        elif now - self._burst_at > self._pause:
            self._pause = self._period = 0.0
        self._settled_at = now

    def _came_through(self, sent_at: float, now: float) -> None:
        """A record let in at `sent_at` is settled: it tells the delay if few were before it, or if it took less."""
        delay = now - sent_at
        probed = self._probing and sent_at >= self._probe_at
        if probed:
            self._probing, self._probe_at = False, now + max(_PROBE_S, 10 * delay)
        if probed or not self._shortest or delay < self._shortest:
            self._shortest = delay

    def _rate(self, now: float, rate: float) -> None:
        """Keep the best rate of the last span at the front: those behind it are younger and worse."""
        rates = self._rates
        while rates and rates[0][0] < now - _MEMORY_S:
            rates.popleft()
        while rates and rates[-1][1] <= rate:
            rates.pop()
        rates.append((now, rate))
