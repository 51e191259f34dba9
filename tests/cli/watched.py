"""A job as the command line sees it: a plan compiled from a descriptor, and snapshots with the counters of a test."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from streamer.control.jobs import JobSnapshot, JobStatus
from streamer.descriptor.flow import parse_flow
from streamer.metrics.samples import LATENCY_BOUNDS_S, EdgeSample, HistogramSample, InstanceSample, InstanceState
from streamer.plan.assignment import Connector, Role
from streamer.plan.compile import Plan, PlannedNode, wired
from streamer.plan.versions import flow_version


def planned(name: str, role: Role) -> PlannedNode:
    connectors = {Role.SOURCE: Connector("generator", {}), Role.SINK: Connector("blackhole", {})}
    replicas = 2 if role is Role.STATELESS else 1
    return PlannedNode(
        name=name,
        role=role,
        replicas=replicas,
        min_replicas=replicas,
        max_replicas=None,
        inputs=(),
        outputs=(),
        code=None,
        connector=connectors.get(role),
        concurrency=1,
        args={},
    )


def chain(*names: str) -> Plan:
    """A source, nodes of two instances, a sink; one flow through all of them."""
    roles = [Role.SOURCE, *[Role.STATELESS] * (len(names) - 2), Role.SINK]
    nodes = {name: planned(name, role) for name, role in zip(names, roles, strict=True)}
    return wired("words", nodes, (flow_version({"main": parse_flow(" >> ".join(names))}, "main", 1),))


PLAN = chain("lines", "parse", "save")


def sample(
    instance: str,
    *,
    received: int = 0,
    failed: int = 0,
    busy_s: float = 0.0,
    edge: EdgeSample | None = None,
    latencies: Mapping[int, int] | None = None,
) -> InstanceSample:
    """`latencies` are observations by bucket of the flow `main`."""
    counts = tuple((latencies or {}).get(bucket, 0) for bucket in range(len(LATENCY_BOUNDS_S) + 1))
    return InstanceSample(
        instance=instance,
        node=instance.rpartition("-")[0],
        epoch=1,
        state=InstanceState.RUNNING,
        received=received,
        failed=failed,
        busy_s=busy_s,
        edges=(edge,) if edge else (),
        end_to_end={"main": HistogramSample(LATENCY_BOUNDS_S, counts, 0.0)} if latencies is not None else {},
    )


def snapshot(
    elapsed_s: float,
    *samples: InstanceSample,
    status: JobStatus = JobStatus.RUNNING,
    phases: Mapping[str, str] | None = None,
    restarts: Mapping[str, int] | None = None,
    plan: Plan = PLAN,
) -> JobSnapshot:
    return JobSnapshot(
        job="abcdefghijkl",
        pipeline="words",
        status=status,
        started_at=0.0,
        elapsed_s=elapsed_s,
        samples={one.instance: one for one in samples},
        instances={one.instance: "running" for one in samples} | dict(phases or {}),
        restarts=restarts or {},
        error=None,
        killed=False,
        control="tcp://127.0.0.1:1",
        folder=Path("/nowhere"),
        refused=0,
        plan=plan,
    )
