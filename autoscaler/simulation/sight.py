"""What a metrics server and a platform would say of a simulated pipeline: its state as a snapshot.

The queue before a stage is told by the instances that send to it, as everywhere; its growth is the difference of two
running sums. Disturbances of the metrics are applied here: what is gone is missing, and not zero.
"""

from __future__ import annotations

from autoscaler.settings import Settings
from autoscaler.simulation.world import StageState, World
from autoscaler.snapshot import EdgeView, Growth, History, InstanceView, JobView, NodeView, Replicas, Snapshot
from streamer.plan.assignment import Role

JOB = "simulated"
_HISTORY_STEP_S = 10


class Sight:
    """It remembers nothing from one look to the next."""

    def __init__(self, settings: Settings) -> None:
        self._window_s = round(settings.window_s)
        self._latest_s = max(1, round(settings.tick_s))
        self._season_s = settings.season_s

    def snapshot(self, world: World) -> Snapshot:
        now, disturbance = world.now, world.disturbance
        blind = disturbance.is_gone(now) or disturbance.is_empty(now)
        nodes = tuple(self._node(world, state, blind) for state in world.stages)
        edges = tuple(EdgeView(link.source, link.target, in_cycle=link.in_cycle) for link in world.layout.links)
        job = JobView(JOB, world.layout.name, nodes, edges, world.layout.cycles)
        return Snapshot(
            at=disturbance.clock(now),
            jobs=(job,),
            fallback=disturbance.is_gone(now) or disturbance.falls_back(now),
            failure="the metrics server does not answer" if disturbance.is_gone(now) else "",
        )

    def _node(self, world: World, state: StageState, blind: bool) -> NodeView:
        stage = state.stage
        return NodeView(
            name=stage.name,
            role=stage.role,
            replicas=Replicas(ready=state.ready, starting=len(state.starting)),
            min_replicas=stage.min_replicas,
            max_replicas=stage.max_replicas,
            instances=() if blind else self._instances(world, state),
            partitioned=stage.role is Role.STATEFUL and stage.rate is not None,
            priority=stage.priority,
            starting_ages_s=tuple(float(world.now - asked) for asked, _ in state.starting),
            history=None if blind or state not in world.sources else self._history(world, state),
        )

    def _history(self, world: World, state: StageState) -> History | None:
        """Two seasons of what a source took in, if there is a season."""
        if self._season_s is None:
            return None
        step, now = _HISTORY_STEP_S, world.now
        begin = max(0, now - 2 * round(self._season_s / step) * step)
        ends = range(now, begin, -step)
        rates = [(state.arrived[end] - state.arrived[max(0, end - step)]) / step for end in ends if end >= step]
        return History(float(step), tuple(reversed(rates)))

    def _instances(self, world: World, state: StageState) -> tuple[InstanceView, ...]:
        disturbance = world.disturbance
        late = disturbance.stale_for_s(world.now)
        end = world.now - late
        if state.stage.rate is None:
            return (self._instance(world, state, 0, end, 1),)
        silent = round(state.ready * disturbance.silent_part(world.now))
        whole = end - self._window_s
        counts: dict[int, int] = {}
        for cohort in state.cohorts:
            since = max(whole, cohort.since)  # whoever was there for the whole window has counted the same in it
            counts[since] = counts.get(since, 0) + cohort.replicas
        found: list[InstanceView] = []
        for since, count in counts.items():
            found += [self._instance(world, state, since, end, max(1, state.ready))] * count
        return tuple(found[silent:])

    def _instance(self, world: World, state: StageState, since: int, end: int, ready: int) -> InstanceView:
        reset = world.disturbance.reset_at
        since = max(since, reset) if reset <= end else since
        limit = world.layout.queue_messages
        return InstanceView(
            name=state.name,
            age_s=float(world.now - end),
            window=self._growth(state, max(0, since, end - self._window_s), end),
            latest=self._growth(state, max(0, since, end - self._latest_s), end),
            backlog={target.name: target.queue / ready for target, _, _ in state.links},
            unread=0.0 if state.stage.rate is None else None,
            fullness={target.name: min(1.0, target.queue / limit) for target, _, blocks in state.links if blocks},
        )

    @staticmethod
    def _growth(state: StageState, begin: int, end: int) -> Growth | None:
        if end <= begin:
            return None
        alone = state.stage.rate is None
        handled = state.handled if alone else state.share_handled
        received = handled[end] - handled[begin]
        busy = 0.0 if alone else state.share_busy[end] - state.share_busy[begin]
        sent = {target.name: received * selectivity for target, selectivity, _ in state.links}
        return Growth(float(end - begin), end - begin + 1, received, busy, sent)
