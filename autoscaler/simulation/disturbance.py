"""What goes wrong in a simulation besides noise: between which seconds, and how.

Times are those of the simulated clock. The metrics are disturbed in what a rule sees of the world, the platform in what
becomes of its wishes; a rule cannot tell a disturbance from the world, which is the point.
"""

from __future__ import annotations

from dataclasses import dataclass

Span = tuple[int, int]
"""From this second up to, and without, that one."""
NEVER: Span = (0, 0)


def _within(span: Span, now: int) -> bool:
    return span[0] <= now < span[1]


@dataclass(frozen=True, slots=True)
class Disturbance:
    """`gone`: the metrics server does not answer, and nothing else does. `fallback`: it does not, but instances do.
    `empty`: it answers with nothing. `stale`: it answers with its last samples, which grow old. `silent`: of each node
    this part of the instances (0 to 1) reports nothing, in `silent_span`. `reset`: in this second all counters begin
    anew. `clock_step_s`: so far the clock jumps at `clock_step_at`. `refusing`: the platform starts nothing. `dying`:
    replicas die as they start. `selectivity`: every edge carries so many times its messages from `selectivity_at` on.
    `work`: a message takes so many times its time from `work_at` on.
    """

    gone: Span = NEVER
    fallback: Span = NEVER
    empty: Span = NEVER
    stale: Span = NEVER
    silent: float = 0.0
    silent_span: Span = NEVER
    reset_at: int = -1
    clock_step_s: float = 0.0
    clock_step_at: int = -1
    refusing: Span = NEVER
    dying: Span = NEVER
    selectivity: float = 1.0
    selectivity_at: int = -1
    work: float = 1.0
    work_at: int = -1

    def is_gone(self, now: int) -> bool:
        return _within(self.gone, now)

    def falls_back(self, now: int) -> bool:
        return _within(self.fallback, now)

    def is_empty(self, now: int) -> bool:
        return _within(self.empty, now)

    def stale_for_s(self, now: int) -> int:
        """How old the newest sample is."""
        return now - self.stale[0] if _within(self.stale, now) else 0

    def silent_part(self, now: int) -> float:
        return self.silent if _within(self.silent_span, now) else 0.0

    def clock(self, now: int) -> float:
        """What the clock shows."""
        return now + (self.clock_step_s if 0 <= self.clock_step_at <= now else 0.0)

    def refuses(self, now: int) -> bool:
        return _within(self.refusing, now)

    def starts_die(self, now: int) -> bool:
        return _within(self.dying, now)

    def selectivity_changes(self, now: int) -> bool:
        return now == self.selectivity_at

    def work_changes(self, now: int) -> bool:
        return now == self.work_at

    def selectivity_factor(self, now: int) -> float:
        return self.selectivity if 0 <= self.selectivity_at <= now else 1.0


CALM = Disturbance()
