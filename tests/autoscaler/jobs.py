"""A small job as the autoscaler sees it: a source, a stateless node and a sink, in whatever state a test wants."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from autoscaler.decide import decide
from autoscaler.decision import Decision, ScalingPlan
from autoscaler.memory import EMPTY, Memory
from autoscaler.settings import DEFAULT, Settings
from autoscaler.snapshot import EdgeView, Growth, InstanceView, JobView, NodeView, PlatformView, Replicas, Snapshot
from streamer.plan.assignment import Role

WINDOW_S = 15.0


def instance(
    name: str, rate: float, busy: float = 0.0, gains: dict[str, float] | None = None, **fields: Any
) -> InstanceView:
    """One that handles `rate` messages/s, is busy for this part of its time, and sends so many messages for each."""
    received = rate * WINDOW_S
    sent = {target: received * gain for target, gain in (gains or {}).items()}
    growth = Growth(WINDOW_S, 4, received, busy * WINDOW_S, sent)
    return InstanceView(name, **{"age_s": 1.0, "window": growth, "latest": growth, **fields})


def source(rate: float, backlog: float = 0.0, **fields: Any) -> NodeView:
    one = instance("feed-0", rate, gains={"work": 1.0}, backlog={"work": backlog})
    return NodeView("feed", Role.SOURCE, Replicas(ready=1), 1, 1, **{"instances": (one,), **fields})


def work(
    ready: int, rate: float, true_rate: float = 100.0, *, starting: int = 0, gain: float = 1.0, **fields: Any
) -> NodeView:
    """`ready` replicas that together handle `rate` messages/s, each `true_rate` in a busy second."""
    each = rate / ready if ready else 0.0
    ones = tuple(
        instance(f"work-{at}", each, each / true_rate, {"save": gain}, backlog={"save": 0.0}) for at in range(ready)
    )
    given: dict[str, Any] = {
        "role": Role.STATELESS,
        "replicas": Replicas(ready=ready, starting=starting),
        "min_replicas": 1,
        "max_replicas": 50,
        "instances": ones,
        "start_up_s": 1.0,
        "starting_ages_s": (0.0,) * starting,
    }
    return NodeView("work", **{**given, **fields})


def sink() -> NodeView:
    return NodeView("save", Role.SINK, Replicas(ready=1), 1, 1, instances=(instance("save-0", 0.0),))


def job(*nodes: NodeView, name: str = "job-1") -> JobView:
    return JobView(name, "numbers", nodes, (EdgeView("feed", "work"), EdgeView("work", "save")))


def snapshot(*nodes: NodeView, at: float = 0.0, **fields: Any) -> Snapshot:
    return Snapshot(at, (job(*nodes, sink()),), **fields)


@dataclass
class Autoscaler:
    """Passes one after the other, five seconds apart unless it is told otherwise."""

    settings: Settings = DEFAULT
    memory: Memory = EMPTY
    now: float = 1000.0
    platform: PlatformView = field(default_factory=PlatformView)

    def plan(self, *nodes: NodeView, after_s: float = 5.0, **fields: Any) -> ScalingPlan:
        self.now += after_s
        seen = replace(snapshot(*nodes, at=self.now, **fields), platform=self.platform)
        plan, self.memory = decide(seen, self.memory, self.now, self.settings)
        return plan

    def decide(self, *nodes: NodeView, after_s: float = 5.0, **fields: Any) -> Decision:
        """About the node `work`."""
        found = self.plan(*nodes, after_s=after_s, **fields).of("job-1", "work")
        assert found is not None
        return found

    def passes(self, count: int, *nodes: NodeView, **fields: Any) -> Decision:
        """The last of so many."""
        for _ in range(count - 1):
            self.decide(*nodes, **fields)
        return self.decide(*nodes, **fields)
