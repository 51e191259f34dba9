"""The simulated pipeline: fluid queues between stages, one second after another.

Messages are amounts: in a second a stage handles what waits, at most what its ready replicas can, and at most what the
queues behind it have room for. The queue before the first stages has no end, as a log or a file has none. Everything
that a rule may look at is kept as a running sum, so that the mean over any stretch of time costs one subtraction; hours
of five traces under seven rules must be a matter of a minute in plain Python.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from autoscaler.demand import System
from autoscaler.simulation.disturbance import CALM, Disturbance
from autoscaler.simulation.layout import Layout, Stage


@dataclass(slots=True)
class Cohort:
    """Replicas that came to be ready in the same second; the newest go first when the stage shrinks."""

    since: int
    replicas: int


class StageState:
    """One stage now, and the running sums of its past: `handled[t]` is all that was handled before second t."""

    __slots__ = (
        "arrived",
        "busy",
        "capacity",
        "cohorts",
        "flow",
        "handled",
        "links",
        "loads",
        "queue",
        "ready",
        "share_busy",
        "share_handled",
        "stage",
        "starting",
        "unit_demand",
        "waiting",
    )

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.ready = stage.min_replicas if stage.rate is not None else 1
        self.cohorts = [Cohort(-3600, self.ready)]
        self.starting: list[tuple[int, int]] = []
        """Of each replica: when it was asked for, and when it will be ready."""
        self.capacity = stage.capacity(self.ready)
        self.queue = 0.0
        self.flow = 0.0
        self.links: list[tuple[StageState, float, bool]] = []
        self.unit_demand = 0.0
        self.arrived, self.handled, self.busy = [0.0], [0.0], [0.0]
        self.waiting, self.loads = [0.0], [0.0]
        self.share_handled, self.share_busy = [0.0], [0.0]
        """Sums of one replica's share: what an instance counts between two seconds is a difference of them."""

    @property
    def name(self) -> str:
        return self.stage.name

    @property
    def held(self) -> int:
        return self.ready + len(self.starting)

    def mean(self, sums: Sequence[float], seconds: int) -> float:
        """Per second, over the last `seconds` (or as many as there are)."""
        last = len(sums) - 1
        span = min(seconds, last)
        return (sums[last] - sums[last - span]) / span if span else 0.0

    def refresh(self) -> None:
        self.capacity = self.stage.capacity(self.ready)


class World:
    """`start_up_s`: from the wish for a replica until it is ready. `mu_error`: by how much the measured rate of a
    replica is too high, since busy seconds are counted that much too low."""

    def __init__(
        self, layout: Layout, *, start_up_s: int, mu_error: float = 1.0, disturbance: Disturbance = CALM
    ) -> None:
        self.layout = layout
        self.start_up_s = start_up_s
        self.mu_error = mu_error
        self.disturbance = disturbance
        self.now = 0
        self.pause_s = 0
        self.by_name = {stage.name: StageState(stage) for stage in layout.stages}
        self.stages = tuple(self.by_name.values())
        self.scaled = tuple(state for state in self.stages if state.stage.rate is not None)
        self._passing = tuple(state for state in self.stages if state.stage.rate is None)
        self.sources = tuple(self.by_name[name] for name in layout.sources)
        self._order = tuple(self._leaves_first())
        self._wire()

    def _wire(self) -> None:
        sources = set(self.layout.sources)
        factor = self.disturbance.selectivity_factor(self.now)
        for state in self.stages:
            state.links = []
        for link in self.layout.links:
            blocks = not link.in_cycle and link.source not in sources
            self.by_name[link.source].links.append((self.by_name[link.target], link.selectivity * factor, blocks))
        names = tuple(self.by_name)
        gains = {(link.source, link.target): link.selectivity * factor for link in self.layout.links}
        unit = System(names, gains, self.layout.cycles).solve({name: 1.0 / len(self.sources) for name in sources})
        for state in self.stages:
            state.unit_demand = unit.rates[state.name]

    def _slow_down(self, factor: float) -> None:
        for state in self.scaled:
            assert state.stage.rate is not None
            state.stage = replace(state.stage, rate=state.stage.rate / factor)
            state.refresh()

    def _leaves_first(self) -> Iterable[StageState]:
        """Targets before their sources, as far as cycles allow."""
        done: dict[str, None] = {}
        targets: dict[str, list[str]] = {name: [] for name in self.by_name}
        for link in self.layout.links:
            targets[link.source].append(link.target)
        for name in self.by_name:
            path = [name]
            entered = {name}
            while path:
                deeper = next((t for t in targets[path[-1]] if t not in done and t not in entered), None)
                if deeper is None:
                    done.setdefault(path.pop())
                else:
                    entered.add(deeper)
                    path.append(deeper)
        return [self.by_name[name] for name in done]

    # -- one second ------------------------------------------------------------------------------------------------

    def advance(self, rate: float) -> None:
        """One second in which `rate` messages arrive."""
        now = self.now
        if self.disturbance.selectivity_changes(now):
            self._wire()
        if self.disturbance.work_changes(now):
            self._slow_down(self.disturbance.work)
        self._start_and_die(now)
        arriving = rate / len(self.sources)
        for state in self.sources:
            state.queue += arriving
        self._handle()
        came = dict.fromkeys(self.sources, arriving)
        for state in self._order:
            for target, selectivity, _ in state.links:
                amount = state.flow * selectivity
                target.queue += amount
                came[target] = came.get(target, 0.0) + amount
        for state in self.scaled:
            self._record(state, came.get(state, 0.0))
        for state in self._passing:
            state.arrived.append(state.arrived[-1] + came.get(state, 0.0))
            state.handled.append(state.handled[-1] + state.flow)
        self.now = now + 1

    def _handle(self) -> None:
        """What each stage handles, the last ones first: as much as it can, and as there is room for behind it."""
        paused = self.pause_s > 0
        self.pause_s -= paused
        limit = self.layout.queue_messages
        for state in self._order:
            flow = 0.0 if paused else min(state.queue, state.capacity)
            for target, selectivity, blocks in state.links:
                if blocks and selectivity > 0.0:
                    flow = max(0.0, min(flow, (limit - target.queue) / selectivity))
            state.queue -= flow
            state.flow = flow

    def _record(self, state: StageState, came: float) -> None:
        flow, ready = state.flow, state.ready
        busy = flow * ready / (state.capacity * self.mu_error) if flow else 0.0
        state.arrived.append(state.arrived[-1] + came)
        state.handled.append(state.handled[-1] + flow)
        state.busy.append(state.busy[-1] + busy)
        state.waiting.append(state.waiting[-1] + state.queue + flow)
        state.loads.append(state.loads[-1] + (busy / ready if ready else 0.0))
        state.share_handled.append(state.share_handled[-1] + (flow / ready if ready else 0.0))
        state.share_busy.append(state.share_busy[-1] + (busy / ready if ready else 0.0))

    def _start_and_die(self, now: int) -> None:
        for state in self.scaled:
            if state.starting and state.starting[0][1] <= now:
                begun = [start for start in state.starting if start[1] <= now]
                state.starting = state.starting[len(begun) :]
                if self.disturbance.starts_die(now):
                    state.starting += [(asked, now + self.start_up_s) for asked, _ in begun]
                else:
                    state.ready += len(begun)
                    state.cohorts.append(Cohort(now, len(begun)))
                    state.refresh()
            elif not state.ready and not state.starting and state.queue >= 1.0:
                state.starting.append((now, now + self.start_up_s))

    # -- what rules change -----------------------------------------------------------------------------------------

    def scale(self, state: StageState, wanted: int) -> int:
        """By how much the held replicas have changed. Replicas that still start are the first to go."""
        wanted = max(state.stage.min_replicas, min(wanted, state.stage.max_replicas))
        change = wanted - state.held
        if change > 0:
            if self.disturbance.refuses(self.now):
                return 0
            state.starting += [(self.now, self.now + self.start_up_s)] * change
        elif change < 0:
            cancelled = min(len(state.starting), -change)
            if cancelled:
                del state.starting[-cancelled:]
            self._leave(state, -change - cancelled)
        return change

    def _leave(self, state: StageState, leaving: int) -> None:
        state.ready -= leaving
        while leaving > 0:
            newest = state.cohorts[-1]
            gone = min(newest.replicas, leaving)
            newest.replicas -= gone
            leaving -= gone
            if not newest.replicas:
                state.cohorts.pop()
        state.refresh()

    def hold_replicas(self, replicas: dict[str, int]) -> None:
        """Begin with these ready replicas."""
        for name, count in replicas.items():
            state = self.by_name[name]
            state.ready = count
            state.cohorts = [Cohort(-3600, count)]
            state.refresh()

    # -- what is judged --------------------------------------------------------------------------------------------

    def queueing_s(self) -> float:
        """Seconds of work that wait, summed over the stages: backlog over the capacity of ready replicas."""
        total = 0.0
        for state in self.scaled:
            if state.queue > 1e-9:
                if state.capacity <= 0.0:
                    return float("inf")
                total += state.queue / state.capacity
        return total
